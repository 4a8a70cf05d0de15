"""What one network is trained on: prepared inputs, or features of them kept instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_resonance.training.augment import Augmentation


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled inputs of a network, on disk or in memory.

    Parameters
    ----------
    inputs
        float32 ``(n, C, *spatial)``, memory-mapped or not.
    targets
        ``(n,)`` index of the label.
    patients
        ``(n,)`` names.
    names
        What to call each case in messages.
    weights
        ``(n,)`` how much each case counts; 1 on average.

    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.int64]
    patients: NDArray[np.str_]
    names: tuple[str, ...]
    weights: NDArray[np.float32]

    def __deepcopy__(self, memo: dict[int, Any]) -> Samples:
        """Return itself: averaging copies the module, and scans may be many."""
        return self

    def chosen(self, rows: Sequence[int] | NDArray[np.int64]) -> Samples:
        """Return some of the cases, as a view where they lie in one piece."""
        index = np.asarray(rows, np.int64)
        return Samples(
            _Rows(self.inputs, index),  # type: ignore[arg-type]
            self.targets[index],
            self.patients[index],
            tuple(self.names[i] for i in index),
            self.weights[index],
        )

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.targets)

    def images(self, rows: NDArray[np.int64], device: torch.device | str) -> Tensor:
        """Return inputs ``(len(rows), C, *spatial)`` on a device."""
        batch = np.ascontiguousarray(self.inputs[rows], np.float32)
        return torch.from_numpy(batch).to(device, non_blocking=True)


class _Rows:
    """Rows of an array, read when they are asked for."""

    def __init__(self, array: Any, index: NDArray[np.int64]) -> None:
        self.array, self.index = array, index
        self.shape = (len(index), *array.shape[1:])
        self.ndim, self.dtype = array.ndim, array.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> Any:
        """Go to other processes as the name of a mapped file, not as what it holds."""
        array = self.array
        if isinstance(array, np.memmap):
            place = (str(array.filename), array.dtype.str, array.offset, array.shape)
            return _reopened, (place, self.index)
        return _Rows, (array, self.index)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        chosen = self.index[rows]
        values: NDArray[np.float32] = self.array[chosen]
        return values


def _reopened(place: tuple[str, str, int, Any], index: NDArray[np.int64]) -> _Rows:
    name, dtype, offset, shape = place
    return _Rows(np.memmap(name, dtype, "r", offset, shape), index)


@dataclass(frozen=True, eq=False)
class FeatureViews:
    """Pooled features of augmented views, so that the frozen network runs only once.

    Parameters
    ----------
    views
        float32 ``(V, n, F)``.

    """

    views: Tensor

    def __deepcopy__(self, memo: dict[int, Any]) -> FeatureViews:
        """Return itself."""
        return self

    def batch(self, rows: NDArray[np.int64], random: torch.Generator) -> Tensor:
        """Return features ``(len(rows), F)`` of a view drawn for each case."""
        drawn = torch.randint(
            len(self.views), (len(rows),), generator=random, device=random.device
        ).cpu()
        chosen: Tensor = self.views[drawn, torch.from_numpy(rows)]
        return chosen.to(random.device)


def epoch_order(
    targets: NDArray[np.int64], *, seed: int, epoch: int, balanced: bool
) -> NDArray[np.int64]:
    """Return the cases in the order in which an epoch shows them.

    Balanced, each label is drawn equally often: the cases of the rarer ones again.
    """
    random = np.random.default_rng((seed, epoch))
    n = len(targets)
    if not balanced:
        return random.permutation(n)
    labels = np.unique(targets)
    share = -(-n // len(labels))
    rows = []
    for label in labels:
        members = np.flatnonzero(targets == label)
        rounds = -(-share // len(members))
        rows.append(np.concatenate([random.permutation(members)] * rounds)[:share])
    return random.permutation(np.concatenate(rows))[:n].astype(np.int64)


def class_weights(targets: NDArray[np.int64], n_labels: int) -> NDArray[np.float32]:
    """Return weights ``(n_labels,)`` under which all labels count alike, mean 1."""
    counts = np.bincount(targets, minlength=n_labels).astype(np.float64)
    weights = np.where(counts > 0, len(targets) / np.maximum(counts, 1), 0)
    result: NDArray[np.float32] = (weights / (counts > 0).sum()).astype(np.float32)
    return result


def no_augmentation() -> Augmentation:
    """Return an augmentation that changes nothing."""
    return Augmentation((), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
