"""A ResNet's tensors among all that a file holds, under MONAI's names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_resonance.classifier.head_stack import Between
from napari_resonance.classifier.last_layer import last_layer
from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    import torch

# Only ResNets have a tensor of this name, at any depth of wrapping.
_LANDMARK = "layer1.0.conv1.weight"
_STEM = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
# The same in ``Sequential(*network.children())``, where activation and pooling count.
_NUMBERED = "4.0.conv1.weight"
_CHILDREN = dict(zip("014567", _STEM, strict=True))


class Named(NamedTuple):
    """What a file holds, told apart.

    Parameters
    ----------
    own
        The ResNet's tensors under MONAI's names.
    others
        All other tensors by the names of the file.
    layers
        Those among them that a layer multiplies with: it is not known what for. Layers
        of another ResNet that was not asked for are left out.

    """

    own: dict[str, torch.Tensor]
    others: dict[str, torch.Tensor]
    layers: list[str]


def resnet_tensors(
    tensors: Mapping[str, torch.Tensor],
    source: str | Path,
    part: str = "",
    between: Between | None = None,
) -> Named:
    """Return a ResNet's tensors under MONAI's names, and all others.

    Whatever stands in front of ``layer1.0.conv1.weight`` (``module.``, ``backbone.``,
    ...) is cut. The layouts of torchvision, timm and MedicalNet then have MONAI's names
    already, but for the last layer, which goes by several, see `last_layer`.

    Parameters
    ----------
    tensors
        By the names of the file.
    source
        Named in errors.
    part
        Which of several ResNets in the file: what its names begin with, or a word of
        that.
    between
        What lies between the linear layers of the head, where it has several.

    Raises
    ------
    ModelError
        If the file holds several ResNets and `part` does not tell which, or the weights
        are no plain finite numbers.

    """
    prefixes = _prefixes(tensors, _LANDMARK)
    numbered = [] if prefixes else _prefixes(tensors, _NUMBERED)
    prefix = _chosen(prefixes or numbered, source, part)
    if prefix is None:
        prefix = _common_prefix(tensors)
    kept: dict[str, torch.Tensor] = {}
    rest: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(prefix) if name.startswith(prefix) else ""
        if numbered:
            first, dot, last = inner.partition(".")
            inner = _CHILDREN.get(first, "") + last if dot else ""
        if inner.startswith(_STEM):
            kept[inner] = tensor
        else:
            rest[name] = tensor
    rivals = [p for p in prefixes or numbered if p != prefix]
    near = {n: t for n, t in rest.items() if not _is_of(n, prefix, rivals)}
    head, used = last_layer(near, prefix, kept, between)
    kept |= head
    _check_values(kept, source)
    left = {n: t for n, t in rest.items() if n not in used}
    layers = [
        n
        for n in left
        if n in near and (near[n].ndim > 1 or n.endswith("running_mean"))
    ]
    return Named(kept, left, layers)


def _prefixes(tensors: Mapping[str, object], landmark: str) -> list[str]:
    """Return what stands in front of the ResNets' names."""
    whole = re.compile(rf"(.*\.)?{re.escape(landmark)}")
    found = (whole.fullmatch(name) for name in tensors)
    return sorted(match[1] or "" for match in found if match)


def _chosen(prefixes: Sequence[str], source: str | Path, part: str) -> str | None:
    """Return what stands in front of the names of the ResNet that is asked for."""
    if not part and len(prefixes) < 2:
        return prefixes[0] if prefixes else None
    exact = [p for p in prefixes if _plain(p) == part]
    found = exact or [p for p in prefixes if part in p.split(".")]
    if part and len(found) == 1:
        return found[0]
    names = _part_names(prefixes)
    file = str(source).removesuffix(f"#{part}") if part else str(source)
    if len(prefixes) > 1:
        raise ModelError(
            f"the file holds {len(prefixes)} ResNets: {', '.join(names)}",
            source=file,
            remedy=f"Say which: {' or '.join(f'{file}#{name}' for name in names)}",
        )
    raise ModelError(
        f"the file has no part {part!r} that is one ResNet",
        source=file,
        remedy=f"Leave #{part} away: it holds one network" if prefixes else None,
    )


def _plain(prefix: str) -> str:
    return prefix.rstrip(".") or "."


def _part_names(prefixes: Sequence[str]) -> list[str]:
    """Return a word of each that no other has, or all of it."""
    count = Counter(word for p in prefixes for word in set(p.split(".")))
    unique = [[w for w in p.split(".") if w and count[w] == 1] for p in prefixes]
    return [
        words[0] if words else _plain(p)
        for words, p in zip(unique, prefixes, strict=True)
    ]


def _is_of(name: str, own: str, rivals: Sequence[str]) -> bool:
    """Tell whether a name belongs to one of the ResNets that are not wanted."""
    if any(name.startswith(p) for p in rivals if len(p) > len(own)):
        return True
    return not name.startswith(own) and any(name.startswith(p) for p in rivals)


def _common_prefix(tensors: Mapping[str, object]) -> str:
    """Return ``module.`` where all names begin with it."""
    firsts = Counter(name.split(".")[0] for name in tensors)
    (first, count), *_ = firsts.most_common(1)
    return f"{first}." if first == "module" and count == len(tensors) else ""


def _check_values(tensors: Mapping[str, torch.Tensor], source: str | Path) -> None:
    """Refuse weights that are no plain finite numbers."""
    import torch

    for name, tensor in tensors.items():
        odd = ""
        if tensor.is_meta:
            odd = "has no values"
        elif tensor.layout != torch.strided or tensor.is_quantized:
            odd = "is sparse or quantized"
        elif name.endswith("num_batches_tracked"):
            continue
        elif not tensor.is_floating_point():
            odd = f"holds {str(tensor.dtype).removeprefix('torch.')}, not float numbers"
        elif not bool(tensor.float().isfinite().all()):  # 8 bits know no isfinite
            odd = "holds NaN or infinite values: its training went wrong"
        if odd:
            raise ModelError(
                f"the weights cannot be used: {name!r} {odd}",
                source=source,
                remedy="Save the network's plain float weights, or take an earlier one",
            )
