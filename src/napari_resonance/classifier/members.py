"""The heads of networks that answer together, or of a single one.

A head is what makes logits of the last feature map's mean: one linear layer, or layers
of hidden units before it. The last feature map of an ensemble holds the maps of its
members side by side, so that the logits of each member come from the same forward pass
as their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_resonance.classifier.activations import Name, activation

if TYPE_CHECKING:
    from napari_resonance.classifier.network import Network

Array = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Hidden:
    """A hidden layer of each member's head: ``act(weights @ values + biases)``.

    Parameters
    ----------
    weights
        float32 ``(M, H, F)``: of M members, for H units and F features, or units of the
        layer before.
    biases
        float32 ``(M, H)``.

    """

    weights: Array
    biases: Array

    def units(self, values: Floats) -> Floats:
        """Return the units ``(N, M, H)`` before their activation."""
        weights = self.weights.astype(np.float64)
        units: Floats = np.einsum("nmf,mhf->nmh", values, weights)
        return units + self.biases


@dataclass(frozen=True, eq=False)
class Heads:
    """The head of each member; a single network is its only member.

    Parameters
    ----------
    weights
        Of the last layer, float32 ``(M, K, F)``: of M members, for K labels and F
        features, or hidden units where there are any.
    biases
        float32 ``(M, K)``.
    hidden
        The layers before the last one; none where the logits are linear in the
        features.
    act
        Activation of the hidden units, see `activations`.

    """

    weights: Array
    biases: Array
    hidden: tuple[Hidden, ...] = ()
    act: Name = "relu"

    @property
    def is_linear(self) -> bool:
        """Whether logits are linear in the features."""
        return not self.hidden

    @property
    def features(self) -> int:
        """Features that each member is given."""
        first = self.hidden[0].weights if self.hidden else self.weights
        return int(first.shape[2])

    def apart(self) -> list[Heads]:
        """Return the head of each member by itself."""
        count = len(self.weights)
        parts = [slice(n, n + 1) for n in range(count)]
        return [
            Heads(
                self.weights[part],
                self.biases[part],
                tuple(Hidden(h.weights[part], h.biases[part]) for h in self.hidden),
                self.act,
            )
            for part in parts
        ]

    def member_logits(self, pooled: ArrayLike) -> Floats:
        """Return the logits of each member; their mean over members is the answer.

        Parameters
        ----------
        pooled
            ``(N, M * F)``: the last feature map's mean over its cells.

        Returns
        -------
        ndarray
            ``(M, N, K)``.

        """
        values = self._by_member(pooled)
        for layer in self.hidden:
            values = activation(self.act).value(layer.units(values))
        weights = self.weights.astype(np.float64)
        logits: Floats = np.einsum("nmf,mkf->mnk", values, weights)
        return logits + self.biases[:, None]

    def gradients(self, pooled: ArrayLike, score: ArrayLike) -> Array:
        """Return the gradient of a score of the mean logits in the pooled features.

        Parameters
        ----------
        pooled
            ``(N, M * F)``: the last feature map's mean over its cells.
        score
            ``(K,)``: what each label's logit counts for.

        Returns
        -------
        ndarray
            float32 ``(N, M * F)``; the same for all N where the heads are linear.

        """
        return self.gradients_between(pooled, pooled, score)

    def gradients_between(
        self, before: ArrayLike, after: ArrayLike, score: ArrayLike
    ) -> Array:
        """Return the mean gradient of a score along the straight line between features.

        Times the difference of the features it adds up to the difference of the score
        (Sundararajan et al., ICML 2017). A unit before its activation is linear along
        the line, so that the mean needs no steps. With several hidden layers each unit
        has the mean slope between its own ends instead (the rescale rule of DeepLIFT,
        Shrikumar et al., ICML 2017), which adds up to the same difference.

        Parameters
        ----------
        before, after
            ``(N, M * F)``, the ends of the line.
        score
            ``(K,)``: what each label's logit counts for.

        Returns
        -------
        ndarray
            float32 ``(N, M * F)``.

        """
        start, end = self._by_member(before), self._by_member(after)
        shape, act = start.shape, activation(self.act)
        slopes = []
        for layer in self.hidden:
            start, end = layer.units(start), layer.units(end)
            slopes.append(act.mean_slope(start, end))
            start, end = act.value(start), act.value(end)
        last = np.einsum("mkf,k->mf", self.weights, np.asarray(score, np.float64))
        each = np.broadcast_to(last, start.shape)
        for layer, slope in zip(self.hidden[::-1], slopes[::-1], strict=True):
            each = np.einsum("nmh,mhf->nmf", each * slope, layer.weights)
        return np.asarray(each.reshape(shape[0], -1) / shape[1], np.float32)

    def _by_member(self, pooled: ArrayLike) -> Floats:
        values = np.asarray(pooled, np.float64)
        return values.reshape(len(values), len(self.weights), -1)


def head_names(names: set[str]) -> list[str]:
    """Return what the tensors of the last layers are called, without their endings.

    ``["fc"]`` of a network, ``["members.0.fc", ...]`` of an ensemble.
    """
    if "fc.weight" in names:
        return ["fc"]
    count = sum(n.startswith("members.") and n.endswith(".fc.weight") for n in names)
    return [f"members.{n}.fc" for n in range(count)]


def heads_of(
    names: set[str], tensor: Callable[[str], ArrayLike], act: Name = "relu"
) -> Heads:
    """Return the heads among tensors that are asked for by name."""
    heads = head_names(names)

    def stacked(part: str) -> Array:
        return np.stack([np.asarray(tensor(f"{h}.{part}"), np.float32) for h in heads])

    more = sum(n.startswith(f"{heads[0]}.more.") for n in names) // 2
    layers = ["hidden", *(f"more.{n}" for n in range(more))]
    hidden = tuple(
        Hidden(stacked(f"{layer}.weight"), stacked(f"{layer}.bias"))
        for layer in layers
        if f"{heads[0]}.{layer}.weight" in names
    )
    return Heads(stacked("weight"), stacked("bias"), hidden, act)


def heads_in(network: Network) -> Heads:
    """Return the heads of a network in torch."""
    state = network.state_dict()
    act = getattr(getattr(network, "members", [network])[0].fc, "act", "relu")
    return heads_of(set(state), lambda n: state[n].detach().float().cpu().numpy(), act)


def read_heads(weights: Path, act: Name = "relu") -> Heads:
    """Return the heads in a bundle's safetensors file."""
    from safetensors import safe_open

    with safe_open(weights, framework="np") as file:
        return heads_of(set(file.keys()), file.get_tensor, act)
