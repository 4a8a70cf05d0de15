"""The heads of networks that answer together, or of a single one.

A head is what makes logits of the last feature map's mean: one linear layer, or a layer
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

if TYPE_CHECKING:
    from napari_resonance.classifier.network import Network

Array = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Hidden:
    """The hidden layer of each member's head: ``max(0, weights @ pooled + biases)``.

    Parameters
    ----------
    weights
        float32 ``(M, H, F)``: of M members, for H units and F features.
    biases
        float32 ``(M, H)``.

    """

    weights: Array
    biases: Array


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
        The layer before the last one; None where the logits are linear in the features.

    """

    weights: Array
    biases: Array
    hidden: Hidden | None = None

    @property
    def is_linear(self) -> bool:
        """Whether logits are linear in the features."""
        return self.hidden is None

    @property
    def features(self) -> int:
        """Features that each member is given."""
        layer = self.weights if self.hidden is None else self.hidden.weights
        return int(layer.shape[2])

    def apart(self) -> list[Heads]:
        """Return the head of each member by itself."""
        count = len(self.weights)
        parts = [slice(n, n + 1) for n in range(count)]
        hidden = self.hidden
        return [
            Heads(
                self.weights[part],
                self.biases[part],
                hidden and Hidden(hidden.weights[part], hidden.biases[part]),
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
        if self.hidden is not None:
            values = np.maximum(self._units(values), 0)
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
        (Sundararajan et al., ICML 2017). A hidden unit is linear in the features on
        either side of 0, so that the mean needs no steps.

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
        ends = [self._by_member(before), self._by_member(after)]
        n, members, features = ends[0].shape
        last = np.einsum("mkf,k->mf", self.weights, np.asarray(score, np.float64))
        if self.hidden is None:
            each = np.broadcast_to(last, (n, members, features))
        else:
            lit = last * _share_above_0(*(self._units(end) for end in ends))
            each = np.einsum("nmh,mhf->nmf", lit, self.hidden.weights)
        return np.asarray(each.reshape(n, -1) / members, np.float32)

    def _by_member(self, pooled: ArrayLike) -> Floats:
        values = np.asarray(pooled, np.float64)
        return values.reshape(len(values), len(self.weights), -1)

    def _units(self, values: Floats) -> Floats:
        """Return the hidden units ``(N, M, H)`` before what is negative becomes 0."""
        assert self.hidden is not None  # noqa: S101  (told by the callers)
        weights = self.hidden.weights.astype(np.float64)
        units: Floats = np.einsum("nmf,mhf->nmh", values, weights)
        return units + self.hidden.biases


def _share_above_0(start: Floats, end: Floats) -> Floats:
    """Return how much of the way from one number to another lies above 0."""
    low, high = np.minimum(start, end), np.maximum(start, end)
    crossing = (low < 0) & (high > 0)
    way = np.where(crossing, high - low, 1)
    share: Floats = np.where(crossing, high / way, (high > 0).astype(np.float64))
    return share


def head_names(names: set[str]) -> list[str]:
    """Return what the tensors of the last layers are called, without their endings.

    ``["fc"]`` of a network, ``["members.0.fc", ...]`` of an ensemble.
    """
    if "fc.weight" in names:
        return ["fc"]
    count = sum(n.startswith("members.") and n.endswith(".fc.weight") for n in names)
    return [f"members.{n}.fc" for n in range(count)]


def heads_of(names: set[str], tensor: Callable[[str], ArrayLike]) -> Heads:
    """Return the heads among tensors that are asked for by name."""
    heads = head_names(names)

    def stacked(part: str) -> Array:
        return np.stack([np.asarray(tensor(f"{h}.{part}"), np.float32) for h in heads])

    hidden = None
    if f"{heads[0]}.hidden.weight" in names:
        hidden = Hidden(stacked("hidden.weight"), stacked("hidden.bias"))
    return Heads(stacked("weight"), stacked("bias"), hidden)


def heads_in(network: Network) -> Heads:
    """Return the heads of a network in torch."""
    state = network.state_dict()
    return heads_of(set(state), lambda n: state[n].detach().float().cpu().numpy())


def read_heads(weights: Path) -> Heads:
    """Return the heads in a bundle's safetensors file."""
    from safetensors import safe_open

    with safe_open(weights, framework="np") as file:
        return heads_of(set(file.keys()), file.get_tensor)
