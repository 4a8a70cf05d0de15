"""Orthogonal planes through a scan, as a radiologist expects to see them.

Oriented scans are cut along their own axes (an oblique scan is not rotated), named by
the body plane they are nearest to and turned the radiological way: the patient's right
is on the left of axial and coronal planes, anterior is on the left of sagittal ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_resonance.geometry import (
    FloatArray,
    Grid,
    letters_towards,
    reorient,
    resample,
    to_index,
    to_world,
)

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Saliency
    from napari_resonance.scan import Scan


# Name, direction to the right, downwards and out of the plane, as (axis, sign) of a
# frame whose axes grow to R, A and S.
_Turn = tuple[int, int]
_Row = tuple[str, _Turn, _Turn, _Turn]
BODY_PLANES: tuple[_Row, ...] = (
    ("axial", (0, -1), (1, -1), (2, 1)),
    ("coronal", (0, -1), (2, -1), (1, 1)),
    ("sagittal", (1, -1), (2, -1), (0, 1)),
)
STORED_PLANES: tuple[_Row, ...] = (
    ("as stored", (0, 1), (1, 1), (2, 1)),
    ("columns and slices", (0, 1), (2, 1), (1, 1)),
    ("rows and slices", (1, 1), (2, 1), (0, 1)),
)


@dataclass(frozen=True, eq=False)
class Plane:
    """One plane of a scan, drawn upright with square pixels.

    Parameters
    ----------
    name
        ``"axial"``, ``"coronal (oblique)"``, ... or, for scans without orientation,
        the stored axes it shows.
    grid
        Pixel centres: shape ``(columns, rows, 1)``; columns grow to the right, rows
        downwards.
    letters
        Where left, right, top and bottom edge look ("R", "AS", ...); None for scans
        without orientation.
    cross
        Column and row of the point the planes go through.

    """

    name: str
    grid: Grid
    letters: tuple[str, str, str, str] | None
    cross: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.grid.shape[0], self.grid.shape[1]


def planes_through(
    scan: Scan, point_mm: Sequence[float], longest_px: int
) -> list[Plane]:
    """Return the planes of a scan through a point, all at one scale.

    Parameters
    ----------
    scan
        A volume gives three planes: axial, coronal, sagittal. A scan that is one voxel
        thin gives the one plane it consists of.
    point_mm
        RAS+ mm.
    longest_px
        Pixels along the longest side of any of them.

    """
    frame = frame_of(scan)
    table = BODY_PLANES if scan.oriented else STORED_PLANES
    if 1 in scan.grid_shape:
        thin = _axis_along(frame, scan.affine[:3, scan.grid_shape.index(1)])
        table = tuple(row for row in table if row[3][0] == thin)
    low, high = _box(scan, frame, np.asarray(point_mm, np.float64))
    shown = sorted({axis for _, right, down, _ in table for axis, _ in (right, down)})
    step = float((high - low)[shown].max()) / longest_px
    return [_plane(row, frame, (low, high), (point_mm, step), scan) for row in table]


def center_of(scan: Scan) -> tuple[float, float, float]:
    """Return the middle of a scan in RAS+ mm."""
    x, y, z = Grid(scan.grid_shape, scan.affine).center_mm
    return float(x), float(y), float(z)


def inside(scan: Scan, point_mm: Sequence[float]) -> tuple[float, float, float]:
    """Return the point, or the voxel centre of the scan that is nearest to it."""
    index = to_index(scan.affine, point_mm)
    kept = np.clip(index, 0, np.array(scan.grid_shape) - 1)
    x, y, z = to_world(scan.affine, kept)
    return float(x), float(y), float(z)


def sample_scan(
    scan: Scan, plane: Plane
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the physical values of a scan on a plane, and where the scan is.

    Returns
    -------
    values
        float32 ``(rows, columns)``, or ``(rows, columns, 3)`` stored values of a colour
        scan. Of a time series the first volume.
    covered
        bool ``(rows, columns)``, False beyond the scan's border.

    """
    stored = scan.stored()
    box, shift = _part_near(plane.grid, scan)
    affine = scan.affine @ shift
    near = np.asarray(stored[box])
    if scan.color:
        channels = [resample(near[..., c], affine, plane.grid) for c in range(3)]
        values = np.stack([channel[:, :, 0].T for channel in channels], axis=-1)
    else:
        physical = near * np.float64(scan.slope) + scan.intercept
        values = resample(physical, affine, plane.grid)[:, :, 0].T
    return values, _covers(scan.grid_shape, scan.affine, plane.grid)


def sample_saliency(
    saliency: Saliency, plane: Plane
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a map on a plane ``(rows, columns)``, and where the network saw it."""
    values = resample(saliency.shown, saliency.affine, plane.grid)[:, :, 0].T
    return values, _covers(*saliency.extent, plane.grid)


def frame_of(scan: Scan) -> FloatArray:
    """Return orthonormal axes (columns) along the scan's: to R, A, S, or i, j, k.

    In-plane axes are kept and the third is their normal, so that the slices of a
    sheared scan (gantry tilt) are shown as they were taken.
    """
    i, j, k = (scan.affine[:3, n] for n in range(3))
    i = i / np.linalg.norm(i)
    j = j - i * (i @ j)
    j /= np.linalg.norm(j)
    normal = np.cross(i, j)
    axes = np.eye(4)
    axes[:3, :3] = np.column_stack([i, j, normal * np.sign(normal @ k)])
    if scan.oriented:
        _, axes = reorient(np.zeros((1, 1, 1), np.uint8), axes, "RAS")
    return axes[:3, :3]


def _axis_along(frame: FloatArray, direction: FloatArray) -> int:
    return int(np.abs(frame.T @ direction).argmax())


def _box(
    scan: Scan, frame: FloatArray, point: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the scan's outer borders along the frame's axes, in mm from the point."""
    ends = [(-0.5, n - 0.5) for n in scan.grid_shape]
    corners = np.array(np.meshgrid(*ends)).reshape(3, -1).T
    along = (to_world(scan.affine, corners) - point) @ frame
    low: FloatArray = along.min(axis=0)
    high: FloatArray = along.max(axis=0)
    return low, high


def _plane(
    row: _Row,
    frame: FloatArray,
    borders: tuple[FloatArray, FloatArray],
    place: tuple[Sequence[float], float],
    scan: Scan,
) -> Plane:
    name, *turns = row
    point, step = place
    axes = np.column_stack([frame[:, axis] * sign for axis, sign in turns])
    starts, counts = [], []
    for axis, sign in turns[:2]:
        near, far = (borders[0][axis], borders[1][axis])[::sign]
        starts.append(float(near * sign))
        counts.append(max(1, round(float((far - near) * sign) / step)))
    affine = np.eye(4)
    affine[:3, :3] = axes * step
    offset = axes[:, 0] * (starts[0] + step / 2) + axes[:, 1] * (starts[1] + step / 2)
    affine[:3, 3] = np.asarray(point) + offset
    cross = (-starts[0] / step - 0.5, -starts[1] / step - 0.5)
    letters = letters_of(axes) if scan.oriented else None
    grid = Grid((counts[0], counts[1], 1), affine)
    return Plane(titled(name, letters), grid, letters, cross)


def titled(name: str, letters: tuple[str, ...] | None) -> str:
    """Return the name of a plane, with a word where it is oblique."""
    oblique = letters is not None and max(len(text) for text in letters) > 1
    return f"{name} (oblique)" if oblique else name


def letters_of(axes: FloatArray) -> tuple[str, str, str, str]:
    """Return where the left, right, top and bottom edge of a plane look.

    The first column of `axes` ``(3, 2 or more)`` points right, the second down.
    """
    right, down = axes[:, 0], axes[:, 1]
    return (
        letters_towards(-right),
        letters_towards(right),
        letters_towards(-down),
        letters_towards(down),
    )


def _part_near(grid: Grid, scan: Scan) -> tuple[tuple[slice, ...], FloatArray]:
    """Return the voxels a plane needs, and the affine of that part in the whole.

    A plane through a large scan then costs what it shows, not what the scan holds.
    """
    ends = [(0, n - 1) for n in grid.shape]
    corners = np.array(np.meshgrid(*ends)).reshape(3, -1).T
    index = to_index(scan.affine, to_world(grid.affine, corners))
    # resample() blurs with at most this many voxels before it coarsens.
    steps = np.abs((np.linalg.inv(scan.affine) @ grid.affine)[:3, :3]).max(axis=1)
    margin = 2 + 4 * np.ceil(steps)
    last = np.array(scan.grid_shape) - 1
    start = np.clip(np.floor(index.min(axis=0) - margin), 0, last).astype(int)
    stop = np.clip(np.ceil(index.max(axis=0) + margin), 0, last).astype(int) + 1
    shift = np.eye(4)
    shift[:3, 3] = start
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True)), shift


def _covers(
    shape: tuple[int, int, int], affine: FloatArray, grid: Grid
) -> NDArray[np.bool_]:
    """Tell for each pixel ``(rows, columns)`` whether it lies in a grid's voxels."""
    columns, rows = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]))
    pixels = np.stack([columns, rows, np.zeros_like(rows)], axis=-1)
    index = to_index(affine, to_world(grid.affine, pixels))
    within = (index >= -0.5 - 1e-6) & (index <= np.array(shape) - 0.5 + 1e-6)
    return np.asarray(within.all(axis=-1), np.bool_)
