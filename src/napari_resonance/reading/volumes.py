"""The planes of a scan as an array: all at once, or each when it is looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import ReadError
from napari_resonance.progress import ShouldStop
from napari_resonance.reading.dicom_geometry import Stack
from napari_resonance.reading.dicom_pixels import Scaling, fill_planes
from napari_resonance.reading.frame import Frame

# Places along a stack that differ by less are the same.
_NEAR = 1e-9


@dataclass(frozen=True, eq=False)
class Volumes:
    """Planes on a grid ``(time, plane, row, column[, 3])``, before they are read.

    Parameters
    ----------
    frames
        The planes of each time point, in the order of the stack.
    stack
        The grid; planes that it has and the files have not are interpolated between
        their neighbours, in the dtype of the files.

    """

    frames: Sequence[Sequence[Frame]]
    stack: Stack
    scaling: Scaling
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, frames: Sequence[Sequence[Frame]], stack: Stack) -> Volumes:
        """Find out the type that holds all values."""
        every = [f for volume in frames for f in volume]
        scaling = Scaling.of(every)
        stored = np.result_type(*{f.encoding.dtype for f in every})
        dtype = np.dtype(np.float32) if scaling.is_applied else stored
        return cls(frames, stack, scaling, dtype)

    def anchored(self) -> Volumes:
        """Return the same planes, found wherever the working folder moves to."""
        if self.first.path.is_absolute():
            return self
        absolute = {f.path: f.path.absolute() for v in self.frames for f in v}
        frames = [[replace(f, path=absolute[f.path]) for f in v] for v in self.frames]
        return replace(self, frames=frames)

    @property
    def first(self) -> Frame:
        """The first plane."""
        return self.frames[0][0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Times, planes, rows, columns, and 3 for colours."""
        colors = (3,) if self.first.encoding.color else ()
        size = (self.first.rows, self.first.columns)
        return (len(self.frames), self.stack.n_planes, *size, *colors)

    @property
    def n_bytes(self) -> int:
        """Memory that all planes take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self, should_stop: ShouldStop) -> NDArray[Any]:
        """Read all planes into one array, which is all the memory that it takes.

        Raises
        ------
        PixelError
            If files are damaged; it names all of them.
        DependencyError
            If the decoder of their compression is not installed.
        CancelledError
            If `should_stop` returned True.

        """
        out = _reserve(self.shape, self.dtype, self.first.path)
        whole = self._is_whole
        loose = [] if whole else [self._loose(len(volume)) for volume in self.frames]
        jobs: list[tuple[Frame, NDArray[Any]]] = []
        for n, volume in enumerate(self.frames):
            planes = [out[n][round(a)] for a in self.stack.at] if whole else loose[n]
            jobs += zip(volume, planes, strict=True)
        fill_planes(jobs, self.scaling.is_applied, should_stop)
        if not self.stack.is_even:
            for n, target in enumerate(out):
                given = _at_whole_places(target, self.stack.at) if whole else loose[n]
                _fill_between(given, self.stack.at, target)
        return out

    def load_planes(
        self, time: int, start: int, stop: int, should_stop: ShouldStop
    ) -> NDArray[Any]:
        """Read the planes from `start` to before `stop` of one time point."""
        at = self.stack.at
        first = max(0, int(np.searchsorted(at, start + _NEAR, "right")) - 1)
        end = min(len(at), int(np.searchsorted(at, stop - 1 - _NEAR)) + 1)
        volume = self.frames[time][first:end]
        given = self._loose(len(volume))
        fill_planes(
            list(zip(volume, given, strict=True)), self.scaling.is_applied, should_stop
        )
        if self.stack.is_even:
            return given
        out = _reserve((stop - start, *self.shape[2:]), self.dtype, self.first.path)
        _fill_between(given, [a - start for a in at[first:end]], out)
        return out

    @property
    def _is_whole(self) -> bool:
        """Whether every given plane is one of the grid."""
        return self.stack.is_even or all(a == round(a) for a in self.stack.at)

    def _loose(self, n_planes: int) -> NDArray[Any]:
        shape = (n_planes, *self.shape[2:])
        return _reserve(shape, self.dtype, self.first.path)


def _reserve(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> NDArray[Any]:
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        raise ReadError(
            f"needs more memory than there is for its {shape} voxels",
            source=path,
            remedy="Read it on a machine with more memory",
        ) from error


def _at_whole_places(target: NDArray[Any], at: Sequence[float]) -> list[NDArray[Any]]:
    return [target[round(a)] for a in at]


def _fill_between(
    given: Sequence[NDArray[Any]] | NDArray[Any],
    at: Sequence[float],
    target: NDArray[Any],
) -> None:
    """Interpolate linearly along the stack wherever a grid plane is not a given one."""
    for k in range(len(target)):
        above = int(np.searchsorted(at, k - _NEAR))
        if above < len(at) and abs(at[above] - k) < _NEAR:
            target[k] = given[above]
            continue
        above = min(max(above, 1), len(at) - 1)
        share = (k - at[above - 1]) / (at[above] - at[above - 1])
        between = (1 - share) * given[above - 1] + share * given[above].astype(
            np.float64
        )
        target[k] = between if target.dtype.kind == "f" else _rounded(between)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round halves away from zero, as other converters do, not to even numbers."""
    return np.trunc(values + np.copysign(0.5, values))
