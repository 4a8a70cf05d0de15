"""The layer that makes logits, among tensors whose names say little about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_resonance.classifier.head_stack import KNOWN, Between, linear_layers
from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    import torch

# What the last layer is called most often, alone or in a small stack (``fc.1``).
_USUAL = re.compile(r"(fc|classifier|last_linear|head\.fc|head)(\.\d+)?\.")

Tensors = Mapping[str, "torch.Tensor"]


def last_layer(
    rest: Tensors, prefix: str, backbone: Tensors, between: Between | None = None
) -> tuple[dict[str, torch.Tensor], set[str]]:
    """Return the tensors of the head as ``fc``, and the names that they had.

    It is the one linear layer that takes as many numbers as the backbone has features,
    wherever it lies and whatever its name; of several, the one that has a usual name.
    Layers behind each other, as in ``Sequential(Linear, ReLU, Linear)``, are only taken
    where it is told what lies between them; batch normalisation beside them is folded
    into them, see `head_stack`. Of a stack of other layers none is taken for the last.
    A hidden layer of our own keeps its name.

    Parameters
    ----------
    rest
        Tensors beside the backbone, by the names of the file.
    prefix
        What stands in front of the backbone's names.
    backbone
        Its tensors under MONAI's names.
    between
        What lies between the linear layers, where there are several.

    Raises
    ------
    ModelError
        If it is told what lies between linear layers and there is no stack of them.

    """
    if f"{prefix}fc.hidden.weight" in rest:
        own = {n for n in rest if n.startswith(f"{prefix}fc.")}
        return {n.removeprefix(prefix): rest[n] for n in own}, own
    features = _features(backbone)
    if between is None:
        alone = [
            place
            for place, weight in _linear(rest).items()
            if weight.shape[1] == features and not _beside(rest, place)
        ]
        if len(alone) > 1:
            alone = [p for p in alone if _USUAL.fullmatch(p.removeprefix(prefix))]
        if alone:
            return _renamed(rest, alone[0]) if len(alone) == 1 else ({}, set())
    stacks = [
        (stack, layers)
        for stack in _stacks(rest)
        if (layers := linear_layers(_numbered(rest, stack), features, between))
    ]
    if len(stacks) == 1:
        ((stack, layers),) = stacks
        used = {n for n in rest if re.match(rf"{re.escape(stack)}\d+\.", n)}
        return _named(layers), used
    if between is None:
        return {}, set()
    raise ModelError(
        "the head is no stack of linear layers, such as fc.0 and fc.2", remedy=KNOWN
    )


def _stacks(rest: Tensors) -> list[str]:
    """Return what stands in front of the numbers of layers, ``"fc."``."""
    found = (re.fullmatch(r"((?:.*\.)?)\d+\.[^.]+", name) for name in rest)
    return sorted({match[1] for match in found if match})


def _numbered(rest: Tensors, stack: str) -> dict[int, dict[str, torch.Tensor]]:
    """Return the tensors of a stack by their last names, by their layer's number."""
    layers: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in rest.items():
        match = re.match(rf"{re.escape(stack)}(\d+)\.(.+)", name)
        if match:
            layers.setdefault(int(match[1]), {})[match[2]] = tensor
    return layers


def _named(
    layers: Sequence[tuple[torch.Tensor, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """Return the layers of a head by our names, see `network.HiddenHead`."""
    names = ["fc.hidden.", *(f"fc.more.{n}." for n in range(len(layers)))]
    places = [*names[: len(layers) - 1], "fc."]
    pairs = list(zip(places, layers, strict=True))
    return {f"{place}weight": weight for place, (weight, _) in pairs} | {
        f"{place}bias": bias for place, (_, bias) in pairs
    }


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


def _renamed(rest: Tensors, place: str) -> tuple[dict[str, torch.Tensor], set[str]]:
    found = _parameters(rest, place)
    return {f"fc.{n.removeprefix(place)}": rest[n] for n in found}, found


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
