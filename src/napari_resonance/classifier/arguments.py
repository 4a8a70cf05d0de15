"""The arguments of a network: what each of them may be, without torch.

A definition comes from a file, so nothing of it is believed. What passes here is a
network that can be built and run, but for the names of layers in `act` and `norm`,
which MONAI judges when it builds them.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from napari_resonance.classifier.activations import ACTIVATIONS, is_activation
from napari_resonance.errors import ModelError

_MOST_BLOCKS = 1_000
_MOST_CHANNELS = 100_000
_MOST_HIDDEN = 10  # layers
_MOST_CELLS = 1_000  # of a kernel, a stride or a dilation
# The largest ResNets have a tenth of them. More would only fill the memory.
_MOST_WEIGHTS = 2**31

_NEEDED = ("block", "layers", "block_inplanes")
_EXPANSION = {"basic": 1, "bottleneck": 4}


def check_arguments(settings: Mapping[str, Any], *, own: bool) -> None:
    """Refuse what no network can be built with.

    Parameters
    ----------
    settings
        Arguments by name.
    own
        Whether the class takes those that only ours has.

    Raises
    ------
    ModelError
        Naming the first argument that is wrong, missing or not known.

    """
    for key, value in settings.items():
        if not _is_literal(value):
            raise ModelError(
                f"the network definition's {key!r} is an expression: "
                f"{reprlib.repr(value)}",
                remedy="Write the value itself; expressions are never evaluated",
            )
    dimensions = settings.get("spatial_dims", 3)
    if type(dimensions) is not int or dimensions not in (2, 3):
        told = reprlib.repr(dimensions)
        raise ModelError(f"a network has 2 or 3 dimensions, not {told}")
    checks = _checks(dimensions) | (_own_checks(dimensions) if own else {})
    for key, value in settings.items():
        if key not in checks:
            raise ModelError(f"the network has no argument {key!r}")
        is_right, what = checks[key]
        if not is_right(value):
            raise ModelError(
                f"the network definition's {key!r} is {what}: {reprlib.repr(value)}"
            )
    for key in _NEEDED:
        if key not in settings:
            raise ModelError(f"the network definition has no {key!r}")
    _check_widths(settings, dimensions)


Check = tuple[Callable[[Any], bool], str]


def _checks(dimensions: int) -> dict[str, Check]:
    """Return for each argument of MONAI's ResNet what it may be, and what it is not."""
    count = (_is_channels, "no number of channels")
    cells = (
        lambda v: _is_count(v, _MOST_CELLS) or _are_counts(v, dimensions, _MOST_CELLS),
        f"neither a number greater than 0 nor {dimensions} of them",
    )
    truth = (lambda v: isinstance(v, bool), "neither true nor false")
    layer = (_is_layer, "no name of a layer, nor a name and its arguments")
    four = "no list of four numbers, one for each stage"
    return {
        "block": (lambda v: v in ("basic", "bottleneck"), "no kind of block"),
        "layers": (lambda v: _are_counts(v, 4, _MOST_BLOCKS), four),
        "block_inplanes": (lambda v: _are_counts(v, 4, _MOST_CHANNELS), four),
        "spatial_dims": (lambda _: True, ""),
        "n_input_channels": count,
        "num_classes": count,
        "conv1_t_size": cells,
        "conv1_t_stride": cells,
        "no_max_pool": truth,
        "bias_downsample": truth,
        "feed_forward": (
            lambda v: v is True,
            "not true, and a classifier needs the last linear layer",
        ),
        "shortcut_type": (lambda v: v in ("A", "B"), "neither 'A' nor 'B'"),
        "widen_factor": (_is_factor, "no number greater than 0"),
        "act": layer,
        "norm": layer,
    }


def _own_checks(dimensions: int) -> dict[str, Check]:
    """Return the same for the arguments that only our ResNet has."""
    return {
        "dilations": (
            lambda v: v is None or _are_counts(v, 4, _MOST_CELLS),
            "no list of four numbers, one for each stage",
        ),
        "mirror_axis": (
            lambda v: v is None or _are_axes(v, dimensions),
            f"no axis, or several, of {dimensions}",
        ),
        "head_hidden": (
            lambda v: v is None or _is_channels(v) or _are_units(v),
            "no number of hidden units, nor a list of such",
        ),
        "head_act": (is_activation, f"none of {', '.join(ACTIVATIONS)}"),
    }


def _check_widths(settings: Mapping[str, Any], dimensions: int) -> None:
    """Refuse stages too wide for a computer, or that their shortcuts cannot join."""
    factor = settings.get("widen_factor", 1.0)
    widths = [int(n * factor) for n in settings["block_inplanes"]]
    if min(widths) < 1:
        raise ModelError("the network definition's stages have no channels")
    growth = _EXPANSION[settings["block"]]
    blocks = zip(widths, settings["layers"], strict=True)
    weights = sum(n * (w * growth) ** 2 * 3**dimensions for w, n in blocks)
    kernel = settings.get("conv1_t_size", 7)
    cells = math.prod(kernel if isinstance(kernel, Sequence) else [kernel] * dimensions)
    weights += settings.get("n_input_channels", 3) * widths[0] * cells
    weights += settings.get("num_classes", 400) * widths[-1] * growth
    hidden = settings.get("head_hidden") or []
    units = [hidden] if isinstance(hidden, int) else hidden
    weights += sum(a * b for a, b in pairwise([widths[-1] * growth, *units]))
    if weights > _MOST_WEIGHTS:
        raise ModelError(
            f"the network definition is of a network too large for any computer: "
            f"{weights:.1e} weights"
        )
    # Shortcut A fills up with zeros, and so cannot take channels away.
    narrower = any(after < before for before, after in pairwise(widths))
    if settings.get("shortcut_type") == "A" and narrower:
        raise ModelError(
            f"the network definition's stages become narrower ({widths}), which "
            "shortcut A cannot"
        )


def _is_count(value: object, most: int) -> bool:
    """Tell whether something is a whole number; True and 1.0 are none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return 0 < value <= most


def _is_channels(value: object) -> bool:
    return _is_count(value, _MOST_CHANNELS)


def _are_units(values: object) -> bool:
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= _MOST_HIDDEN:
        return False
    return _are_counts(values, len(values), _MOST_CHANNELS)


def _are_counts(values: object, length: int, most: int) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == length
        and all(_is_count(n, most) for n in values)
    )


def _is_factor(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= _MOST_CHANNELS


def _are_axes(value: object, dimensions: int) -> bool:
    axes = value if isinstance(value, list | tuple) else [value]
    known = all(type(n) is int and 0 <= n < dimensions for n in axes)
    return known and len(set(axes)) == len(axes)


def _is_layer(value: object) -> bool:
    """Tell whether a value is ``"relu"`` or ``["relu", {"inplace": true}]``."""
    parts = value if isinstance(value, list | tuple) else [value]
    if len(parts) not in (1, 2) or not isinstance(parts[0], str):
        return False
    return len(parts) == 1 or isinstance(parts[1], Mapping)


def _is_literal(value: object, deepest: int = 4) -> bool:
    if deepest < 0:
        return False
    if isinstance(value, list | tuple):
        return all(_is_literal(v, deepest - 1) for v in value)
    if isinstance(value, Mapping):  # arguments: ["relu", {"inplace": true}]
        names = all(isinstance(k, str) and k.isidentifier() for k in value)
        calls = any(str(k).startswith("_") for k in value)
        values = all(_is_literal(v, deepest - 1) for v in value.values())
        return names and not calls and values
    if isinstance(value, str):
        return not value.startswith(("$", "@", "%"))
    return value is None or isinstance(value, bool | int | float)
