"""Planes with positions in, an even grid out: order, affine, and what does not fit.

The grid always tells the truth: a voxel lies where its plane says, or between two
planes where one is missing, and then a warning says so.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_resonance.geometry import LPS_TO_RAS, FloatArray, is_sheared

# Positions are often rounded to a tenth of a millimetre.
_ROUNDING_MM = 0.11
# A stack is filled up to this many times its own slices; beyond, it is several stacks.
_MOST_FILLING = 3
_FAR = 5.0


@dataclass(frozen=True)
class Stack:
    """How planes make a grid.

    Parameters
    ----------
    order
        Plane numbers along the normal of the planes.
    at
        Where each plane of `order` lies, in units of grid planes; whole numbers unless
        the spacing is uneven.
    n_planes
        Planes of the grid, `len(order)` unless some are filled in.
    affine
        Grid index ``(column, row, plane)`` to RAS+ mm.
    warnings
        What does not fit.

    """

    order: tuple[int, ...]
    at: tuple[float, ...]
    n_planes: int
    affine: FloatArray
    warnings: tuple[str, ...] = ()

    @property
    def is_even(self) -> bool:
        """Whether grid planes and given planes are the same."""
        return self.n_planes == len(self.order)


@dataclass(frozen=True)
class Planes:
    """Positions ``(n, 3)`` in LPS mm, one direction, and what a header says of spacing.

    Parameters
    ----------
    positions
        Centre of the first pixel of each plane.
    direction
        Unit vectors along a row and along a column.
    spacing
        Distance between rows and between columns; empty if the header lacks it.
    step
        Distance to the next plane as the header claims it, for a single plane.

    """

    positions: FloatArray
    direction: tuple[float, ...]
    spacing: tuple[float, ...]
    step: float | None

    @property
    def normal(self) -> FloatArray:
        """Unit normal: along a row × along a column."""
        normal = np.cross(self.direction[:3], self.direction[3:])
        unit: FloatArray = normal / np.linalg.norm(normal)
        return unit

    @property
    def depths(self) -> FloatArray:
        """Distances of the planes along the normal."""
        depths: FloatArray = self.positions @ self.normal
        return depths

    @property
    def offsets(self) -> FloatArray:
        """Positions within the plane, along a row and along a column."""
        axes = np.array(self.direction).reshape(2, 3)
        offsets: FloatArray = self.positions @ axes.T
        return offsets


def separate_stacks(planes: Planes) -> list[list[int]]:
    """Part planes that make no common stack: far apart, or shifted without rule.

    Returns
    -------
    list of list of int
        Plane numbers of each stack, in the order of the normal.

    """
    order = [int(n) for n in np.argsort(planes.depths, kind="stable")]
    if len(order) < 3:
        return (
            [order] if not _is_stepped_sideways(planes, order) else [[n] for n in order]
        )
    if _drift_residual(planes, order) > _sideways_tolerance(planes):
        by_offset: dict[tuple[int, int], list[int]] = defaultdict(list)
        for n in order:
            u, v = np.round(planes.offsets[n] / _sideways_tolerance(planes))
            by_offset[int(u), int(v)].append(n)
        return list(by_offset.values())
    return _without_far_gaps(planes, order)


def _sideways_tolerance(planes: Planes) -> float:
    return max(0.5 * min(planes.spacing or (1.0,)), _ROUNDING_MM)


def _is_stepped_sideways(planes: Planes, order: list[int]) -> bool:
    """Tell two planes beside each other from two on top of each other."""
    if len(order) < 2:
        return False
    depth = abs(float(np.ptp(planes.depths)))
    sideways = float(np.abs(np.ptp(planes.offsets, axis=0)).max())
    return sideways > max(depth, _sideways_tolerance(planes))


def _drift_residual(planes: Planes, order: list[int]) -> float:
    """Return how far planes lie off the straight line through first and last."""
    depths, offsets = planes.depths[order], planes.offsets[order]
    extent = depths[-1] - depths[0]
    if extent <= 0:
        return float(np.ptp(offsets, axis=0).max())
    share = ((depths - depths[0]) / extent)[:, None]
    line = offsets[0] + share * (offsets[-1] - offsets[0])
    return float(np.abs(offsets - line).max())


def _without_far_gaps(planes: Planes, order: list[int]) -> list[list[int]]:
    gaps = np.diff(planes.depths[order])
    usual = _usual_gap(gaps)
    n_filled = round(float(gaps.sum()) / usual) + 1
    if n_filled <= _MOST_FILLING * len(order):
        return [order]
    cuts = np.flatnonzero(gaps > _FAR * usual) + 1
    return [[int(n) for n in part] for part in np.split(np.array(order), cuts)]


def _usual_gap(gaps: NDArray[np.float64]) -> float:
    """Return the smallest gap that is more than a stray one: the lower quartile."""
    return max(float(np.quantile(gaps, 0.25, method="lower")), 1e-6)


def stack_planes(planes: Planes) -> Stack:
    """Order planes along their normal and find the even grid that they lie on.

    Parameters
    ----------
    planes
        One or more planes at different depths, as `separate_stacks` leaves them.

    Returns
    -------
    Stack
        With the shear of a tilted gantry kept in its affine, planes that are missing
        counted in, and an even step chosen where spacing is uneven.

    """
    order = [int(n) for n in np.argsort(planes.depths, kind="stable")]
    if len(order) == 1:
        return _single_plane(planes)
    depths = planes.depths[order]
    step, at, notes = _even_step(depths)
    start, end = planes.positions[order[0]], planes.positions[order[-1]]
    per_mm = (end - start) / (depths[-1] - depths[0])
    drift = (end - start) - planes.normal * (depths[-1] - depths[0])
    if np.linalg.norm(drift) < _ROUNDING_MM:
        per_mm = planes.normal
    affine, spacing_notes = _affine(planes, start, per_mm * step)
    n_planes = round(at[-1]) + 1
    return Stack(
        order=tuple(order),
        at=tuple(float(a) for a in at),
        n_planes=n_planes,
        affine=affine,
        warnings=(*notes, *spacing_notes, *_shear_note(affine)),
    )


def _single_plane(planes: Planes) -> Stack:
    step = planes.step or 1.0
    affine, notes = _affine(planes, planes.positions[0], planes.normal * step)
    if planes.step is None:
        notes = (*notes, "its header gives no slice thickness; 1 mm assumed")
    return Stack((0,), (0.0,), 1, affine, notes)


def _affine(
    planes: Planes, first: FloatArray, step: FloatArray
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the matrix of PS3.3 C.7.6.2.1.1, from LPS turned to RAS+."""
    rows, columns = planes.spacing or (1.0, 1.0)
    affine = np.eye(4)
    # The first column is the way along a row: from column to column.
    affine[:3, 0] = np.array(planes.direction[:3]) * columns
    affine[:3, 1] = np.array(planes.direction[3:]) * rows
    affine[:3, 2] = step
    affine[:3, 3] = first
    notes = () if planes.spacing else ("its header gives no pixel size; 1 mm assumed",)
    return LPS_TO_RAS @ affine, notes


def _shear_note(affine: FloatArray) -> tuple[str, ...]:
    if not is_sheared(affine):
        return ()
    i, j, k = (affine[:3, n] / np.linalg.norm(affine[:3, n]) for n in range(3))
    angle = np.degrees(np.arcsin(min(1.0, float(np.hypot(i @ k, j @ k)))))
    return (f"its slices are stacked at a slant of {angle:.1f}° (gantry tilt)",)


def _even_step(
    depths: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64], tuple[str, ...]]:
    """Return the step of the grid, the place of each plane on it, and what is odd."""
    n = len(depths)
    mean = float(depths[-1] - depths[0]) / (n - 1)
    off = np.abs(depths - depths[0] - mean * np.arange(n)).max()
    if off <= _tolerance(mean):
        note = f"its slice positions are uneven by up to {off:.2f} mm"
        return (
            mean,
            np.arange(n, dtype=np.float64),
            (note,) if off > _ROUNDING_MM else (),
        )
    gaps = np.diff(depths)
    usual = _usual_gap(gaps)
    counts = np.maximum(np.round(gaps / usual), 1)
    step = float(depths[-1] - depths[0]) / float(counts.sum())
    at = np.concatenate([[0.0], np.cumsum(counts)])
    if np.abs(depths - depths[0] - step * at).max() <= _tolerance(step):
        return step, at, (_missing(gaps, counts, depths),)
    step = float(depths[-1] - depths[0]) / max(
        1, round((depths[-1] - depths[0]) / usual)
    )
    note = (
        f"its slices are unevenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm) and "
        f"were interpolated onto an even grid of {step:.2f} mm"
    )
    return step, (depths - depths[0]) / step, (note,)


def _tolerance(step: float) -> float:
    return min(max(0.05 * step, _ROUNDING_MM), 0.25 * step)


def _missing(
    gaps: NDArray[np.float64],
    counts: NDArray[np.float64],
    depths: NDArray[np.float64],
) -> str:
    holes = np.flatnonzero(counts > 1)
    n_missing = int((counts - 1).sum())
    where = ", ".join(
        f"after slice {n + 1} ({gaps[n]:.1f} mm to the next)" for n in holes[:5]
    )
    more = f" and {len(holes) - 5} more places" if len(holes) > 5 else ""
    slices = "1 slice is" if n_missing == 1 else f"{n_missing} slices are"
    return f"{slices} missing {where}{more}; filled in between the neighbours"
