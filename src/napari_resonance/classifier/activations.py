"""What lies between the linear layers of a head: values and slopes, without torch.

An activation is named as MONAI names it: ``"relu"``, or with its argument
``["leakyrelu", {"negative_slope": 0.2}]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Name = str | Sequence[Any]

ACTIVATIONS = ("relu", "leakyrelu", "gelu", "silu", "tanh")

_SLOPE = "negative_slope"
_USUAL_SLOPE = 0.01  # torch's


@dataclass(frozen=True)
class Activation:
    """A function of one number, and its slope.

    Parameters
    ----------
    value, slope
        Of arrays, float64.

    """

    value: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]

    def mean_slope(self, start: Floats, end: Floats) -> Floats:
        """Return the mean slope on the way from one number to another.

        It is the difference of the values divided by that of the numbers, whatever the
        function; the slope itself where the two are the same.
        """
        import numpy as np

        way = end - start
        is_way = np.abs(way) > 1e-9 * (1 + np.abs(start))
        rise = self.value(end) - self.value(start)
        here = self.slope((start + end) / 2)
        found: Floats = np.where(is_way, rise / np.where(is_way, way, 1), here)
        return found


def is_activation(name: object) -> bool:
    """Tell whether this is the name of an activation that is known here."""
    parts = list(name) if isinstance(name, list | tuple) else [name]
    if not 1 <= len(parts) <= 2 or parts[0] not in ACTIVATIONS:
        return False
    given = parts[1] if len(parts) == 2 else {}
    if not isinstance(given, Mapping) or set(given) - {_SLOPE}:
        return False
    slope = given.get(_SLOPE, _USUAL_SLOPE)
    is_number = isinstance(slope, int | float) and not isinstance(slope, bool)
    return is_number and abs(slope) <= 1 and (not given or parts[0] == "leakyrelu")


def activation(name: Name) -> Activation:
    """Return an activation by its name.

    Raises
    ------
    ModelError
        If it is not known.

    """
    import numpy as np

    kind, slope = _read(name)
    if kind == "leakyrelu":
        return Activation(
            lambda x: np.where(x > 0, x, slope * x),
            lambda x: np.where(x > 0, 1.0, slope),
        )
    return {
        "relu": Activation(
            lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(np.float64)
        ),
        "tanh": Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        "silu": Activation(
            lambda x: x * _sigmoid(x),
            lambda x: _sigmoid(x) * (1 + x * (1 - _sigmoid(x))),
        ),
        "gelu": Activation(
            lambda x: x * _normal(x),
            lambda x: _normal(x) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi),
        ),
    }[kind]


def torch_activation(name: Name) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the same for tensors.

    Raises
    ------
    ModelError
        If it is not known.

    """
    import torch
    from torch.nn import functional

    kind, slope = _read(name)
    found: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "relu": torch.relu,
        "leakyrelu": partial(functional.leaky_relu, negative_slope=slope),
        "gelu": functional.gelu,
        "silu": functional.silu,
        "tanh": torch.tanh,
    }
    return found[kind]


def _read(name: Name) -> tuple[str, float]:
    """Return the kind, and the slope below 0 of a leaky ReLU."""
    if not is_activation(name):
        raise ModelError(
            f"the activation {name!r} is not known",
            remedy=f"Known are {', '.join(ACTIVATIONS)}",
        )
    parts: list[Any] = [name] if isinstance(name, str) else list(name)
    given = parts[1] if len(parts) == 2 else {}
    return str(parts[0]), float(given.get(_SLOPE, _USUAL_SLOPE))


def _sigmoid(x: Floats) -> Floats:
    from scipy.special import expit

    found: Floats = expit(x)
    return found


def _normal(x: Floats) -> Floats:
    """Return the share of a normal distribution below some numbers."""
    from scipy.special import ndtr

    found: Floats = ndtr(x)
    return found
