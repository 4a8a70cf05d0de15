"""Occlusion: how much of the score goes where a window of the scan is covered.

Zeiler and Fergus (ECCV 2014), coarse to fine. A window is four cells of the map wide.
First the windows tile the scan; then those halfway between them are looked at, but only
next to windows that change the score by a quarter of the largest change; then those
halfway between all of these, next to windows that change it by half of that. Elsewhere
the change is interpolated between its neighbours. A cell's value is the mean over all
windows that cover it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_resonance.geometry import FloatArray, Grid, spacing_of
from napari_resonance.saliency.cells import as_volume
from napari_resonance.saliency.covering import Covering
from napari_resonance.saliency.question import Array, Evidence, Question

CELLS = 4  # of a window, along each axis
# Share of the largest change next to which windows halfway between are looked at, by
# how many cells they are apart.
_WORTH = {2: 0.25, 1: 0.5}
# The longest side of what the network sees over that of a window, by dimensions: the
# cost grows with its square or cube.
_PER_SIDE = {2: 8, 3: 5}
_BATCH = 16


@dataclass(frozen=True)
class Windows:
    """Windows that cover images, one every cell.

    Parameters
    ----------
    shape
        Voxels of an image along each axis.
    cell
        Voxels of a cell along each axis.

    """

    shape: tuple[int, ...]
    cell: tuple[int, ...]

    @property
    def cells(self) -> tuple[int, ...]:
        """Cells along each axis; the last one may reach beyond the image."""
        return tuple(
            math.ceil(n / s) for n, s in zip(self.shape, self.cell, strict=True)
        )

    @property
    def counts(self) -> tuple[int, ...]:
        """Windows along each axis: as many cover each cell of the border as inside.

        A multiple of `CELLS` and one more, so that they can be halved twice.
        """
        return tuple(math.ceil((n + CELLS - 2) / CELLS) * CELLS + 1 for n in self.cells)

    def voxels(self, index: Sequence[int]) -> tuple[slice, ...]:
        """Return the voxels of a window; window 0 ends with the first cell."""
        first = [(i - CELLS + 1) * s for i, s in zip(index, self.cell, strict=True)]
        return tuple(
            slice(max(0, a), min(n, max(0, a + CELLS * s)))
            for a, s, n in zip(first, self.cell, self.shape, strict=True)
        )

    def meets(self, voxels: Sequence[slice]) -> bool:
        """Tell whether there is a voxel of the image in a window."""
        return all(part.start < part.stop for part in voxels)


def occlusion(question: Question) -> Evidence:
    """Return the occlusion map of a question, on its own grid of cells."""
    windows = Windows(question.array.shape[2:], cell_size(question))
    _say_other_window(question, windows.cell)
    changes = _changes(question, windows)
    maps = _mean_of_covering(changes, windows)
    return as_volume(maps), _affine(question.grid, windows.cell)


def cell_size(question: Question) -> tuple[int, ...]:
    """Return the voxels of a cell along each axis, about the same in millimetres."""
    shape = question.array.shape[2:]
    spacing = spacing_of(question.grid.affine)[: len(shape)]
    sides = [n * mm for n, mm in zip(shape, spacing, strict=True)]
    window = question.options.window_mm or max(sides) / _PER_SIDE[len(shape)]
    return tuple(
        max(1, min(round(window / CELLS / mm), n // CELLS))
        for n, mm in zip(shape, spacing, strict=True)
    )


def _say_other_window(question: Question, cell: tuple[int, ...]) -> None:
    """Note where the window that was asked for does not fit, and another was taken."""
    wanted = question.options.window_mm
    spacing = spacing_of(question.grid.affine)[: len(cell)]
    sides = [CELLS * s * mm for s, mm in zip(cell, spacing, strict=True)]
    # Within half a voxel a cell is rounding.
    if wanted and any(
        abs(side - wanted) > CELLS / 2 * mm + 1e-6
        for side, mm in zip(sides, spacing, strict=True)
    ):
        taken = " × ".join(f"{side:.3g}" for side in sides)
        question.notices.append(
            f"a window of {wanted:g} mm does not suit what the network sees: "
            f"{taken} mm were covered at a time"
        )


def _changes(question: Question, windows: Windows) -> Array:
    """Return what goes of the score with each window, ``(N, *windows.counts)``."""
    n = len(question.array)
    covering = Covering(question, [CELLS * s for s in windows.cell])
    changes = np.zeros((n, *(1 + (c - 1) // CELLS for c in windows.counts)), np.float32)
    wanted = np.ones(changes.shape, bool)
    step = CELLS
    while True:
        _evaluate(question, windows, step, (changes, wanted, covering))
        if step == 1:
            return changes
        step //= 2
        changes, wanted = _halved(changes, _WORTH[step])


def _halved(changes: Array, worth: float) -> tuple[Array, NDArray[np.bool_]]:
    """Return changes at twice as many places, and which are worth being looked at."""
    strong = np.abs(changes) >= worth * max(float(np.abs(changes).max()), 1e-12)
    near = changes
    between = strong.astype(np.float32)
    for axis in range(1, changes.ndim):
        near, between = _doubled(near, axis), _doubled(between, axis)
    wanted = between > 0
    wanted[(slice(None), *[slice(None, None, 2)] * (changes.ndim - 1))] = False
    return near, wanted


def _doubled(values: Array, axis: int) -> Array:
    """Put the mean of each two neighbours between them."""
    first = (slice(None),) * axis
    shape = list(values.shape)
    shape[axis] = 2 * shape[axis] - 1
    result = np.empty(shape, np.float32)
    result[(*first, slice(None, None, 2))] = values
    left, right = values[(*first, slice(None, -1))], values[(*first, slice(1, None))]
    result[(*first, slice(1, None, 2))] = (left + right) / 2
    return result


def _evaluate(
    question: Question,
    windows: Windows,
    step: int,
    state: tuple[Array, NDArray[np.bool_], Covering],
) -> None:
    """Cover windows, one every `step` cells, where that is wanted."""
    changes, wanted, covering = state
    places = [
        (place, windows.voxels([step * i for i in place[1:]]))
        for place in np.argwhere(wanted).tolist()
    ]
    # The last windows along an axis may lie beyond the image, and change nothing.
    places = [(at, voxels) for at, voxels in places if windows.meets(voxels)]
    question.steps.total += math.ceil(len(places) / _BATCH)
    for start in range(0, len(places), _BATCH):
        question.steps.begin(f"covering {len(places)} places, {step} cells apart")
        at, voxels = zip(*places[start : start + _BATCH], strict=True)
        rows = [place[0] for place in at]
        changes[tuple(np.transpose(at))] = covering.changes(rows, voxels)
    question.forwards += len(places) / len(question.array)


def _mean_of_covering(changes: Array, windows: Windows) -> Array:
    """Return for each cell the mean over the windows that cover it."""
    result = changes
    for axis, n in enumerate(windows.cells, 1):
        first = (slice(None),) * axis
        result = sum(
            (result[(*first, slice(i, i + n))] for i in range(CELLS)),
            start=np.zeros((), np.float32),
        ) / np.float32(CELLS)
    return np.asarray(result, np.float32)


def _affine(grid: Grid, cell: tuple[int, ...]) -> FloatArray:
    scale = [*map(float, cell), 1.0][:3]
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = [(s - 1) / 2 for s in scale]
    affine: FloatArray = grid.affine @ matrix
    return affine
