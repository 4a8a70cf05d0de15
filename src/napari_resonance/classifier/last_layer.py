"""The layer that makes logits, among tensors whose names say little about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    import torch

Between = Literal["relu", "none"]
"""What lies between two linear layers: weights do not tell."""

# What the last layer is called most often, alone or in a small stack (``fc.1``).
_USUAL = re.compile(r"(fc|classifier|last_linear|head\.fc|head)(\.\d+)?\.")

Tensors = Mapping[str, "torch.Tensor"]


def last_layer(
    rest: Tensors, prefix: str, backbone: Tensors, between: Between | None = None
) -> tuple[dict[str, torch.Tensor], set[str]]:
    """Return the tensors of the head as ``fc``, and the names that they had.

    It is the one linear layer that takes as many numbers as the backbone has features,
    wherever it lies and whatever its name; of several, the one that has a usual name.
    Two layers behind each other, as in ``Sequential(Linear, ReLU, Linear)``, are only
    taken where it is told what lies between them. A stack of more is no head of ours:
    none of its layers is taken for the last. A hidden layer of our own keeps its name.

    Parameters
    ----------
    rest
        Tensors beside the backbone, by the names of the file.
    prefix
        What stands in front of the backbone's names.
    backbone
        Its tensors under MONAI's names.
    between
        ``"relu"``, or ``"none"`` where two layers do what one does.

    Raises
    ------
    ModelError
        If it is told what lies between two layers and there are not two.

    """
    if f"{prefix}fc.hidden.weight" in rest:
        own = {n for n in rest if n.startswith(f"{prefix}fc.")}
        return {n.removeprefix(prefix): rest[n] for n in own}, own
    fitting = [
        place
        for place, weight in _linear(rest).items()
        if weight.shape[1] == _features(backbone)
    ]
    if between is not None:
        return _two(rest, fitting, between)
    alone = [p for p in fitting if not _beside(rest, p)]
    if len(alone) > 1:
        alone = [p for p in alone if _USUAL.fullmatch(p.removeprefix(prefix))]
    if len(alone) != 1:
        return {}, set()
    return _renamed(rest, alone[0], "fc.")


def _two(
    rest: Tensors, fitting: list[str], between: Between
) -> tuple[dict[str, torch.Tensor], set[str]]:
    linear = _linear(rest)
    found = [
        (first, last)
        for first in fitting
        for last, weight in linear.items()
        if weight.shape[1] == linear[first].shape[0]
        and _number(first) < _number(last)
        and _beside(rest, first) == _parameters(rest, last)
    ]
    if len(found) != 1:
        raise ModelError(
            "the head is no stack of two linear layers, such as fc.0 and fc.2",
            remedy="One linear layer, or two with ReLU between them, can be taken over",
        )
    ((first, last),) = found
    hidden, names = _renamed(rest, first, "fc.hidden.")
    final, more = _renamed(rest, last, "fc.")
    if between == "relu":
        return final | hidden, names | more
    before, after = hidden["fc.hidden.weight"].double(), final["fc.weight"].double()
    bias = after.new_zeros(len(after)) + final.get("fc.bias", 0)
    if "fc.hidden.bias" in hidden:
        bias = bias + after @ hidden["fc.hidden.bias"].double()
    return {"fc.weight": after @ before, "fc.bias": bias}, names | more


def _linear(rest: Tensors) -> dict[str, torch.Tensor]:
    """Return the weights of linear layers by their place, ``"fc."``."""
    return {
        name.removesuffix("weight"): tensor
        for name, tensor in rest.items()
        if tensor.ndim == 2 and (name == "weight" or name.endswith(".weight"))
    }


def _features(backbone: Tensors) -> int | None:
    for name in ("layer4.0.conv3.weight", "layer4.0.conv2.weight"):
        if name in backbone:
            return int(backbone[name].shape[0])
    return None


def _parameters(rest: Tensors, place: str) -> set[str]:
    return {f"{place}weight", f"{place}bias"} & rest.keys()


def _renamed(
    rest: Tensors, place: str, name: str
) -> tuple[dict[str, torch.Tensor], set[str]]:
    found = _parameters(rest, place)
    return {name + n.removeprefix(place): rest[n] for n in found}, found


def _number(place: str) -> int:
    """Return the place in a stack: 2 of ``"fc.2."``, -1 if it is in none."""
    last = place.rstrip(".").rpartition(".")[2]
    return int(last) if last.isdigit() else -1


def _beside(rest: Tensors, place: str) -> set[str]:
    """Return what else is in the same layer, or in the same stack of layers."""
    own = _parameters(rest, place)
    stack = re.escape(place)
    if _number(place) >= 0:
        above = place.rstrip(".").rpartition(".")[0]
        stack = (re.escape(above) + r"\." if above else "") + r"\d+\."
    return {name for name in rest if re.match(stack, name) and name not in own}
