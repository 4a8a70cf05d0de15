"""Where planes and volumes lie with respect to one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from napari_resonance.geometry import FloatArray
from napari_resonance.reading.frame import Frame

SAME_PLACE_MM = 0.01
# Farther than this, in mm, a patient in a scanner does not move, but the table does.
_FARTHEST_MM = 10.0
# Planes of one volume keep their distances, up to rounding.
_RIGID_MM = 0.05
# Volumes that moved by less than this part of their step do not interleave.
_PART_OF_STEP = 0.2


def places_of(frames: Sequence[Frame]) -> list[Hashable]:
    """Name the places of planes: equal names, equal positions up to rounding."""
    positions = np.array([f.position for f in frames], np.float64).reshape(-1, 3)
    tolerance = min(SAME_PLACE_MM, 0.2 * min(frames[0].spacing or (1.0,)))
    names = np.zeros(positions.shape, np.int64)
    for axis in range(3):
        start, name = -np.inf, -1
        for n in np.argsort(positions[:, axis]):
            if positions[n, axis] - start > tolerance:
                start, name = positions[n, axis], name + 1
            names[n, axis] = name
    return [tuple(map(int, name)) for name in names]


def crowd_of(frames: Sequence[Frame]) -> int:
    """Return how many planes lie at the one place that has most."""
    return max(Counter(places_of(frames)).values())


def by_depth(frames: Sequence[Frame]) -> list[Frame]:
    """Order planes along their normal."""
    depths = _positions(frames) @ _normal(frames[0])
    return [frames[n] for n in np.argsort(depths, kind="stable")]


def is_crumpled(frames: Sequence[Frame]) -> bool:
    """Tell whether planes at places of their own crowd around fewer ones."""
    if len(frames) < 4:
        return False
    gaps = np.diff(np.sort(_positions(frames) @ _normal(frames[0])))
    return bool(gaps.min() < _PART_OF_STEP * gaps.max())


def shift_between(volume: Sequence[Frame], other: Sequence[Frame]) -> float | None:
    """Return how far one volume lies from the other in mm, None if it is another.

    What one image holds is a volume, which may have moved as far as a patient moves;
    planes of separate images may also be the other half of an interleaved stack.
    """
    if len(volume) != len(other) or len(volume) < 2:
        return None
    mine, theirs = _positions(by_depth(volume)), _positions(by_depth(other))
    shifts = theirs - mine
    shift = float(np.linalg.norm(shifts, axis=1).max())
    step = float(np.linalg.norm(np.diff(mine, axis=0), axis=1).min())
    farthest = _PART_OF_STEP * step
    if _is_one_image(volume[0]) and _is_one_image(other[0]):
        # Half of its own height away it is a slab of its own.
        height = float(np.linalg.norm(mine[-1] - mine[0]))
        farthest = min(_FARTHEST_MM, height / 2)
    if shift > farthest or np.ptp(shifts, axis=0).max() > max(_RIGID_MM, 0.02 * step):
        return None
    return shift


def _is_one_image(frame: Frame) -> bool:
    return frame.tile is not None or frame.encoding.frames > 1


def _positions(frames: Sequence[Frame]) -> FloatArray:
    return np.array([f.position for f in frames], np.float64)


def _normal(frame: Frame) -> FloatArray:
    normal: FloatArray = np.cross(frame.direction[:3], frame.direction[3:])
    return normal
