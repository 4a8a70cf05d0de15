"""A head of several layers, as ``Sequential`` numbers them: ``fc.0``, ``fc.1``, ...

Weights tell linear layers and batch normalisation, and where the numbers leave room for
what has no weights: an activation, dropout. Batch normalisation scales and shifts each
unit by fixed numbers once a network is trained, which a linear layer beside it does as
well: it is folded into that, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_resonance.classifier.activations import ACTIVATIONS, Name, is_activation
from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]

_NORM = "batch"
_EPS = 1e-5  # torch's, timm's and MONAI's; weights do not tell it
_OF_NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}

KNOWN = (
    "Linear layers with one kind of activation between them "
    f"({', '.join(ACTIVATIONS)}), dropout and batch normalisation can be taken over"
)


@dataclass(frozen=True)
class Between:
    """What lies between the linear layers of a head.

    Parameters
    ----------
    act
        Name of the activation, see `activations`; None if there is none, so that all
        layers together do what one does.
    order
        ``"first"`` where batch normalisation comes before the activation, ``"last"``
        where it comes after, empty where the numbers of the layers shall tell.

    """

    act: Name | None
    order: str = ""


def read_between(text: str) -> Between:
    """Return what ``--between`` says.

    Parameters
    ----------
    text
        An activation, with the slope of a leaky ReLU after a colon
        (``"leakyrelu:0.2"``), or ``"none"``; and ``"batch"`` before or after it, with a
        comma, where there is batch normalisation and its place is not plain.

    Raises
    ------
    ModelError
        If it is not known.

    """
    words = [word.strip() for word in text.lower().split(",")]
    order = ""
    if len(words) == 2 and _NORM in words:
        order = "first" if words[0] == _NORM else "last"
        words.remove(_NORM)
    kind, colon, slope = words[0].partition(":")
    name: Any = kind
    if colon:
        name = [kind, {"negative_slope": _number(slope)}]
    if len(words) == 1 and name == "none" and not order:
        return Between(None)
    if len(words) == 1 and is_activation(name):
        return Between(name, order)
    raise ModelError(
        f"{text!r} does not tell what lies between the layers of a head",
        remedy=f"Name one of {', '.join(ACTIVATIONS)}, or none; leakyrelu:0.2 for "
        "another slope than 0.01, batch,relu or relu,batch with batch normalisation",
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True, eq=False)
class _Linear:
    """A linear layer and its number; ``weight`` is float64 once anything is folded."""

    number: int
    weight: torch.Tensor
    bias: torch.Tensor

    def scaled_after(self, norm: _Norm) -> _Linear:
        weight, bias = self.weight.double(), self.bias.double()
        return replace(
            self,
            weight=weight * norm.scale[:, None],
            bias=bias * norm.scale + norm.shift,
        )

    def scaled_before(self, norm: _Norm) -> _Linear:
        weight, bias = self.weight.double(), self.bias.double()
        return replace(
            self, weight=weight * norm.scale, bias=bias + weight @ norm.shift
        )

    def after(self, other: _Linear) -> _Linear:
        """Return what does both layers' work, where nothing lies between them."""
        weight, before = self.weight.double(), other.weight.double()
        bias = self.bias.double() + weight @ other.bias.double()
        return replace(self, weight=weight @ before, bias=bias)


@dataclass(frozen=True, eq=False)
class _Norm:
    """Batch normalisation and its number: ``scale * x + shift``, float64."""

    number: int
    scale: torch.Tensor
    shift: torch.Tensor


def linear_layers(
    layers: Mapping[int, Tensors], features: int | None, between: Between | None
) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
    """Return weight and bias of the linear layers that a head comes down to.

    Parameters
    ----------
    layers
        Tensors by their last names, by the number of their layer.
    features
        Of the backbone.
    between
        What lies between its linear layers; None of a head that has one.

    Returns
    -------
    list of (Tensor, Tensor)
        Float32, first to last; None if this is no such head.

    Raises
    ------
    ModelError
        If it cannot be told whether batch normalisation comes before or after the
        activation.

    """
    read = [_layer(number, tensors) for number, tensors in sorted(layers.items())]
    linear = [layer for layer in read if isinstance(layer, _Linear)]
    norms = [layer for layer in read if isinstance(layer, _Norm)]
    if len(linear) + len(norms) < len(read) or not linear:
        return None
    if (between is None) != (len(linear) == 1) or not _fit(read, features):
        return None
    found = _folded(linear, norms, between or Between(None))
    if found is None:
        return None
    return [(layer.weight.float(), layer.bias.float()) for layer in found]


def _layer(number: int, tensors: Tensors) -> _Linear | _Norm | None:
    names = tensors.keys()
    weight = tensors.get("weight")
    if weight is not None and weight.ndim == 2 and names <= {"weight", "bias"}:
        bias = tensors.get("bias")
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        return _Linear(number, weight, bias)
    if {"running_mean", "running_var"} <= names <= _OF_NORM:
        mean, variance = (tensors[f"running_{n}"].double() for n in ("mean", "var"))
        scale = (variance + _EPS).rsqrt()
        scale = scale if weight is None else scale * weight.double()
        shift = -mean * scale
        bias = tensors.get("bias")
        return _Norm(number, scale, shift if bias is None else shift + bias.double())
    return None


def _fit(layers: Sequence[_Linear | _Norm | None], features: int | None) -> bool:
    """Tell whether each layer takes what the one before it gives."""
    for layer in layers:
        if isinstance(layer, _Linear):
            if layer.weight.shape[1] != features:
                return False
            features = len(layer.weight)
        elif isinstance(layer, _Norm) and len(layer.scale) != features:
            return False
    return True


def _folded(
    linear: list[_Linear], norms: Sequence[_Norm], between: Between
) -> list[_Linear] | None:
    """Return the linear layers with batch normalisation in them, or None."""
    gaps = [sum(layer.number < norm.number for layer in linear) for norm in norms]
    if len(set(gaps)) < len(gaps):
        return None  # two, one behind the other
    for norm in norms:
        before = [n for n, layer in enumerate(linear) if layer.number < norm.number]
        after = [n for n, layer in enumerate(linear) if layer.number > norm.number]
        if not before:  # an activation of the pooled features has nothing to do
            linear[0] = linear[0].scaled_before(norm)
        elif not after:
            if norm.number != linear[-1].number + 1:
                return None
            linear[-1] = linear[-1].scaled_after(norm)
        elif _is_first(norm, linear[before[-1]], linear[after[0]], between):
            linear[before[-1]] = linear[before[-1]].scaled_after(norm)
        else:
            linear[after[0]] = linear[after[0]].scaled_before(norm)
    if between.act is not None:
        return linear
    joined = linear[0]
    for layer in linear[1:]:
        joined = layer.after(joined)
    return [joined]


def _is_first(norm: _Norm, left: _Linear, right: _Linear, between: Between) -> bool:
    """Tell whether batch normalisation comes before the activation.

    The activation has a number of its own, between that of a linear layer and that of
    the normalisation.
    """
    places = {
        "last": norm.number - left.number > 1,
        "first": right.number - norm.number > 1,
    }
    if between.act is None:
        return True
    order = between.order or next((o for o, is_room in places.items() if is_room), "")
    if not between.order and all(places.values()):
        raise ModelError(
            "the numbers of the head's layers do not tell whether batch normalisation "
            f"({norm.number}) comes before the activation or after it",
            remedy="Say --between batch,relu or relu,batch, with the activation's name",
        )
    if not order or not places[order]:
        raise ModelError(
            f"the head's layers {left.number} to {right.number} leave no room for an "
            "activation beside batch normalisation",
            remedy="If there is none, say --between none",
        )
    return order == "first"
