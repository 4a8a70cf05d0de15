"""The last linear layers of networks that answer together, or of a single one.

The last feature map of an ensemble holds the maps of its members side by side, so that
the logits of each member come from the same forward pass as their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Heads:
    """The last linear layer of each member; a single network is its only member.

    Parameters
    ----------
    weights
        float32 ``(M, K, F)``: of M members, for K labels and F features.
    biases
        float32 ``(M, K)``.

    """

    weights: Array
    biases: Array

    def side_by_side(self) -> Array:
        """Return the weights of the mean logits, float32 ``(K, M * F)``."""
        members, labels, features = self.weights.shape
        flat = self.weights.transpose(1, 0, 2).reshape(labels, members * features)
        return np.ascontiguousarray(flat / np.float32(members))

    def member_logits(self, pooled: ArrayLike) -> NDArray[np.float64]:
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
        members, _, features = self.weights.shape
        values = np.asarray(pooled, np.float64)
        parts = values.reshape(len(values), members, features)
        weights = self.weights.astype(np.float64)
        logits: NDArray[np.float64] = np.einsum("nmf,mkf->mnk", parts, weights)
        return logits + self.biases[:, None]


def head_names(names: set[str]) -> list[str]:
    """Return what the tensors of the last layers are called, without their endings.

    ``["fc"]`` of a network, ``["members.0.fc", ...]`` of an ensemble.
    """
    if "fc.weight" in names:
        return ["fc"]
    count = sum(n.startswith("members.") and n.endswith(".fc.weight") for n in names)
    return [f"members.{n}.fc" for n in range(count)]


def heads_of(names: set[str], tensor: Callable[[str], ArrayLike]) -> Heads:
    """Return the last layers among tensors that are asked for by name."""
    heads = head_names(names)
    weights, biases = (
        np.stack([np.asarray(tensor(f"{h}.{part}"), np.float32) for h in heads])
        for part in ("weight", "bias")
    )
    return Heads(weights, biases)


def read_heads(weights: Path) -> Heads:
    """Return the last layers in a bundle's safetensors file."""
    from safetensors import safe_open

    with safe_open(weights, framework="np") as file:
        return heads_of(set(file.keys()), file.get_tensor)
