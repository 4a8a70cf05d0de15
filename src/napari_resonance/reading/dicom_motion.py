"""Volumes of a time series that the scanner moved along with the patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_resonance.geometry import FloatArray
from napari_resonance.reading.dicom_frames import Frame

# Farther than this, in mm, a patient in a scanner does not move, but the table does.
_FARTHEST_MM = 10.0
# Planes of one volume keep their distances, up to rounding.
_RIGID_MM = 0.05
# Volumes that moved by less than this part of their step do not interleave.
_PART_OF_STEP = 0.2


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

    Tiles of one image are a volume for certain, however far they moved; planes of
    separate images may also be the other half of an interleaved stack.
    """
    if len(volume) != len(other) or len(volume) < 2:
        return None
    mine, theirs = _positions(by_depth(volume)), _positions(by_depth(other))
    shifts = theirs - mine
    shift = float(np.linalg.norm(shifts, axis=1).max())
    step = float(np.linalg.norm(np.diff(mine, axis=0), axis=1).min())
    is_one_image = volume[0].tile is not None and other[0].tile is not None
    farthest = _FARTHEST_MM if is_one_image else _PART_OF_STEP * step
    if shift > farthest or np.ptp(shifts, axis=0).max() > max(_RIGID_MM, 0.02 * step):
        return None
    return shift


def _positions(frames: Sequence[Frame]) -> FloatArray:
    return np.array([f.position for f in frames], np.float64)


def _normal(frame: Frame) -> FloatArray:
    normal: FloatArray = np.cross(frame.direction[:3], frame.direction[3:])
    return normal
