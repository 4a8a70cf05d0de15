"""A box around a marked place: a nodule, a gland, a lesion instead of a whole scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from napari_resonance.errors import PreprocessingError
from napari_resonance.geometry import (
    FloatArray,
    Grid,
    orthogonal_grid,
    reorient,
    spacing_of,
    to_index,
    to_world,
)
from napari_resonance.preprocessing import grid, intensity
from napari_resonance.preprocessing.channels import background, start_volumes
from napari_resonance.preprocessing.grid import Prepared
from napari_resonance.scan import Scan

Step = tuple[str, Mapping[str, Any]]

STEP = "box"
# Steps that do to a part of a scan what they do to the whole of it.
_LOCAL = ("color", "orient", "resample_spacing", "resample_shape", "ct_window")


def marked_box(
    volume: Prepared,
    shape: Sequence[int | None] | None = None,
    size_mm: Sequence[float | None] | None = None,
    value: float | None = None,
    default: str = "",
) -> Prepared:
    """Cut a box whose middle is the marked place, on the grid the volume is on.

    The place is ``center_mm`` of ``Recipe.apply``, in RAS+ mm; the middle of the box is
    the voxel nearest to it (between two voxels where the box has an even number). The
    box is parallel to the scan's own axes, and nothing is interpolated. Where all steps
    before it do the same to a part as to the whole (``color``, ``orient``,
    ``resample_spacing``, ``resample_shape``, ``ct_window``), only that part of the scan
    is prepared.

    Parameters
    ----------
    volume
        With ``center_mm``.
    shape
        Size in voxels; None for an axis keeps all of it.
    size_mm
        Size in mm instead, rounded to voxels; None for an axis keeps all of it.
    value
        Beyond the edge of the scan; its background if None: the lowest value, in CT
        air (-1000 HU) where something is lower.
    default
        ``"center"`` takes the middle of the scan where no place is given; ``""``
        refuses.

    Raises
    ------
    PreprocessingError
        If no place is marked.

    """
    if volume.center_mm is None:
        raise no_center()
    start, size = _place(volume.grid, volume.center_mm, shape, size_mm)
    if value is None:
        value = float(volume.values.min()) if _leaves(volume.grid, start, size) else 0.0
    return grid.box(volume, start, size, value)


def check_box(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments of the step ``box`` that no box can be cut with.

    Raises
    ------
    PreprocessingError
        Saying which.

    """
    sizes = [arguments.get(k) for k in ("shape", "size_mm")]
    given = [s for s in sizes if s is not None]
    if len(given) != 1:
        raise PreprocessingError("step 'box' needs either shape or size_mm")
    fits = isinstance(given[0], Sequence) and len(given[0]) == 3
    if not fits or not all(s is None or _is_size(s) for s in given[0]):
        raise PreprocessingError(
            f"step 'box': a size is three numbers above 0, not {given[0]!r}"
        )
    if arguments.get("default", "") not in ("", "center"):
        raise PreprocessingError("step 'box': default is 'center' or left out")


def _is_size(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value < np.inf
    )


def no_center() -> PreprocessingError:
    """Return the error of a region whose place nobody gave."""
    return PreprocessingError(
        "a region of the scan is looked at, and its centre is not given",
        remedy="Give it in RAS+ mm: center_mm=(x, y, z), or --center x,y,z",
    )


def checked_center(scan: Scan, center_mm: ArrayLike) -> FloatArray:
    """Return a centre in RAS+ mm once it is known to lie in the scan.

    Raises
    ------
    PreprocessingError
        If it is not three finite numbers, or lies outside; where it would lie inside
        with DICOM's signs, the remedy says so.

    """
    try:
        point = np.asarray(center_mm, np.float64)
    except (TypeError, ValueError):
        point = np.full(3, np.nan)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise PreprocessingError(
            f"a centre is three numbers in mm, not {center_mm!r}",
            remedy="Give x, y, z in RAS+ mm",
        )
    own = Grid(scan.grid_shape, scan.affine)
    if own.holds(point):
        return point
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in own.shape]), axis=-1)
    world = to_world(own.affine, corners.reshape(-1, 3))
    ranges = ", ".join(
        f"{axis} {low:.0f} to {high:.0f}"
        for axis, low, high in zip("xyz", world.min(0), world.max(0), strict=True)
    )
    remedy = f"The scan reaches over {ranges} in RAS+ mm"
    if own.holds(point * (-1, -1, 1)):
        remedy += "; with the signs of x and y turned, as DICOM has them, it is inside"
    raise PreprocessingError(
        f"the centre {_text(point)} mm lies outside the scan", remedy=remedy
    )


def _text(point: FloatArray) -> str:
    return "(" + ", ".join(f"{n:.4g}" for n in point) + ")"


def begin(
    scans: Sequence[Scan],
    names: Sequence[str],
    steps: Sequence[Step],
    center: FloatArray,
    time: int = 0,
) -> tuple[list[Prepared], Sequence[Step]]:
    """Return the channels of a region, and the steps that are still to be done.

    Where that is the same, only the region is cut out and interpolated, and the steps
    up to ``box`` are done; else nothing is, and all steps are returned.

    Parameters
    ----------
    scans, names
        As in `channels.start_volumes`.
    steps
        Of a recipe, with a ``box``.
    center
        RAS+ mm, inside the first scan.
    time
        Which volume of a time series.

    """
    at = [name for name, _ in steps].index(STEP)
    before, arguments = steps[:at], steps[at][1]
    color = any(name == "color" for name, _ in steps)
    if any(name not in _LOCAL for name, _ in before):
        volumes = _told(start_volumes(scans, names, time, color=color))
        return [replace(v, center_mm=center) for v in volumes], steps
    base = orthogonal_grid(scans[0])
    grids = _grids(base, before, oriented=scans[0].oriented)
    size = arguments.get("shape"), arguments.get("size_mm")
    start, shape = _place(grids[-1], center, *size)
    parts = _parts(grids, start, shape)
    volumes = _told(start_volumes(scans, names, time, parts[0], color=color))
    result = []
    for volume, scan in zip(volumes, scans, strict=True):
        value = arguments.get("value")
        if value is None:
            value = 0.0
            if _leaves(grids[-1], start, shape):
                value = _after(before, background(scan, color=color))
        for (name, settings), part in zip(before, parts[1:], strict=True):
            volume = _done(volume, name, settings, part)  # noqa: PLW2901
        first = to_world(grids[-1].affine, start)
        here = np.rint(to_index(volume.affine, first)).astype(int)
        result.append(grid.box(volume, here.tolist(), shape, value))
    return result, steps[at + 1 :]


def _told(volumes: list[Prepared]) -> list[Prepared]:
    """Say it where the millimetres of a centre are not the patient's."""
    first = volumes[0]
    if first.oriented:
        return volumes
    note = "the file gives no orientation: the centre was taken along its own axes"
    return [first.with_values(first.values, note), *volumes[1:]]


def _grids(base: Grid, steps: Sequence[Step], *, oriented: bool) -> list[Grid]:
    """Return the grid before the first step, and the one after each."""
    grids = [base]
    for name, arguments in steps:
        last = grids[-1]
        if name == "orient" and oriented:
            nothing = np.broadcast_to(np.float32(0), last.shape)
            turned, affine = reorient(nothing, last.affine, **arguments)
            x, y, z = turned.shape
            last = Grid((x, y, z), affine)
        elif name == "resample_spacing":
            last = grid.spaced_grid(last, arguments["spacing"])
        elif name == "resample_shape":
            last = grid.shaped_grid(last, arguments["shape"])
        grids.append(last)
    return grids


def _parts(
    grids: Sequence[Grid], start: Sequence[int], shape: Sequence[int]
) -> list[Grid]:
    """Return of each grid the part that the box depends on."""
    last = np.array(grids[-1].shape) - 1
    low = np.clip(start, 0, last)
    high = np.clip(np.add(start, shape), low + 1, last + 1)
    parts = [grids[-1].part(low, high)]
    for earlier in reversed(grids[:-1]):
        parts.insert(0, earlier.part_for(parts[0]))
    return parts


def _done(
    volume: Prepared, name: str, arguments: Mapping[str, Any], part: Grid
) -> Prepared:
    """Do one of the local steps to a part of a volume."""
    if name == "orient":
        return grid.orient(volume, **arguments)
    if name == "ct_window":
        return intensity.ct_window(volume, **arguments)
    if name == "color":
        return intensity.color(volume)
    return grid.onto(volume, part, arguments.get("antialias", True))


def _after(steps: Sequence[Step], value: float) -> float:
    """Return what the local steps make of one value."""
    voxel = Prepared(np.full((1, 1, 1), value, np.float32), np.eye(4))
    for name, arguments in steps:
        if name == "ct_window":
            voxel = intensity.ct_window(voxel, **arguments)
    return float(voxel.values[0, 0, 0])


def _place(
    where: Grid,
    center: FloatArray,
    shape: Sequence[int | None] | None,
    size_mm: Sequence[float | None] | None,
) -> tuple[list[int], list[int]]:
    """Return first voxel and size of the box around a place, on a grid."""
    if size_mm is not None:
        spacing = spacing_of(where.affine)
        pairs = zip(size_mm, spacing, strict=True)
        shape = [None if s is None else max(1, round(s / mm)) for s, mm in pairs]
    elif shape is None:
        raise PreprocessingError("step 'box' needs either shape or size_mm")
    index = to_index(where.affine, center)
    start, size = [], []
    for at, n, whole in zip(index, shape, where.shape, strict=True):
        wanted = whole if n is None else int(n)
        # The middle of n voxels from 0 on is (n - 1) / 2.
        first = np.floor(at - (wanted - 1) / 2 + 0.5)
        start.append(0 if n is None else int(first))
        size.append(wanted)
    return start, size


def _leaves(where: Grid, start: Sequence[int], size: Sequence[int]) -> bool:
    pairs = zip(start, size, where.shape, strict=True)
    return any(first < 0 or first + n > whole for first, n, whole in pairs)
