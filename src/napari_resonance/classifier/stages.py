"""What passes between the stages of a classification: a prepared case, an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import CancelledError, ModelError
from napari_resonance.preprocessing import NetworkInput
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.scan import Scan

# Slices of a volume that a 2D network sees at once: enough to keep every core busy, few
# enough for the memory of a small graphics card.
_BATCH = 16

Millimetres = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A scan made ready for a network, with what the answer will be judged by.

    Parameters
    ----------
    scan
        The scan, or the first of several registered ones: the map lies on it.
    network_input
        What the network is given, and where that lies.
    recipe_sha256
        Of the recipe that made it.
    warnings
        What was odd about the model, the scans and their preparation, in sentences.
    center_mm, box_mm
        Middle of the region in RAS+ mm and its size, where they were chosen.
    channels
        Files or folders of the further scans that are input channels.

    """

    scan: Scan
    network_input: NetworkInput
    recipe_sha256: str
    warnings: tuple[str, ...]
    center_mm: Millimetres | None = None
    box_mm: Millimetres | None = None
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Answer:
    """Raw outputs of a network.

    Parameters
    ----------
    logits
        float32 ``(N, labels)``: N = 1 of a 3D network, one row a slice of a 2D one.
    features
        float32 ``(N, F, *cells)``: the last feature map.
    notes
        What was odd about the run, in sentences.

    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    notes: tuple[str, ...] = ()

    @property
    def pooled(self) -> NDArray[np.float32]:
        """Features averaged over positions and slices, ``(F,)``."""
        mean: NDArray[np.float32] = self.pooled_by_image.mean(axis=0)
        return mean

    @property
    def pooled_by_image(self) -> NDArray[np.float32]:
        """Features averaged over positions, ``(N, F)``."""
        space = tuple(range(2, self.features.ndim))
        mean: NDArray[np.float32] = self.features.mean(axis=space)
        return mean


class Steps:
    """Counts steps, reports them, and stops between them when asked to.

    Parameters
    ----------
    total
        Steps that are foreseen; may grow on the way.
    progress, should_stop
        Told of each step; asked before each.

    """

    def __init__(self, total: int, progress: Progress, should_stop: ShouldStop) -> None:
        self.total = total
        self._done = 0
        self._progress = progress
        self._should_stop = should_stop

    def begin(self, text: str) -> None:
        """Report that a step begins.

        Raises
        ------
        CancelledError
            If it shall not.

        """
        if self._should_stop():
            raise CancelledError("the classification was stopped")
        self._progress(self._done, self.total, text)
        self._done += 1

    def end(self) -> None:
        """Report that all steps are done."""
        self._progress(self.total, self.total, "done")


def parts_of(array: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return a batch in parts that a network can take at once."""
    return [array[n : n + _BATCH] for n in range(0, len(array), _BATCH)]


def joined(
    outputs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    notes: Iterable[str] = (),
) -> Answer:
    """Return the answers to all parts as one, with notes about the run.

    Raises
    ------
    ModelError
        If a value is not finite.

    """
    logits = np.concatenate([logits for logits, _ in outputs])
    features = np.concatenate([features for _, features in outputs])
    if not (np.isfinite(logits).all() and np.isfinite(features).all()):
        raise ModelError(
            "the network answered with values that are not finite",
            remedy="Its weights are damaged, or the scan holds absurd values",
        )
    return Answer(logits, features, tuple(notes))


def millimetres(values: Sequence[float] | None) -> Millimetres | None:
    """Return three numbers as a tuple of floats, None as None."""
    if values is None:
        return None
    x, y, z = (float(n) for n in values)
    return x, y, z
