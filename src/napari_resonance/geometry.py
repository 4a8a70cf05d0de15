"""Affines, grids and resampling: the one place that knows world axes and interpolates.

World is RAS+ millimetres everywhere in this package; a matrix maps the voxel index
``(i, j, k)`` of a voxel's *centre* to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_resonance.errors import GeometryError
from napari_resonance.interpolation import by_axis

if TYPE_CHECKING:
    from napari_resonance.scan import Scan

FloatArray = NDArray[np.float64]

# DICOM's patient axes point left and posterior (PS3.3 C.7.6.2.1.1), NIfTI's right and
# anterior; both point superior. The matrix is its own inverse.
LPS_TO_RAS: FloatArray = np.diag([-1.0, -1.0, 1.0, 1.0])

_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
# A direction is named by every body axis within 75° of it, as DICOM viewers do.
_NAMED_COSINE = 0.26
_AXIS_OF_LETTER = {c: axis for axis, pair in enumerate(_LETTERS) for c in pair}


def checked_affine(affine: ArrayLike) -> FloatArray:
    """Return a float64 copy of a valid affine.

    Raises
    ------
    GeometryError
        If it is not 4×4, finite, invertible, with last row ``0 0 0 1``.

    """
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise GeometryError(f"an affine must be 4×4, this one is {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise GeometryError("the affine holds NaN or infinite numbers")
    if np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-8:
        raise GeometryError(f"an affine's last row must be 0 0 0 1, not {matrix[3]}")
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not lengths.all() or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-6:
        raise GeometryError(
            "the affine is singular: an axis has no length or direction"
        )
    return matrix


def spacing_of(affine: ArrayLike) -> tuple[float, float, float]:
    """Return the lengths in mm of the three voxel axes."""
    x, y, z = np.linalg.norm(np.asarray(affine, np.float64)[:3, :3], axis=0)
    return float(x), float(y), float(z)


def orientation_of(affine: ArrayLike) -> str:
    """Return the letters towards which the voxel axes grow, nibabel's convention."""
    order, signs = _closest_axes(affine)
    return "".join(
        _LETTERS[axis][int(s > 0)] for axis, s in zip(order, signs, strict=True)
    )


def letters_towards(direction: ArrayLike) -> str:
    """Name a RAS+ direction by its body axes, the closest first ("L", "PS", ...).

    Axes that it hardly leans towards are left out, as DICOM viewers do.
    """
    vector = np.asarray(direction, np.float64)
    order = np.argsort(-np.abs(vector))
    named = [n for n in order if abs(vector[n]) > _NAMED_COSINE]
    return "".join(_LETTERS[n][int(vector[n] > 0)] for n in named)


def _closest_axes(affine: ArrayLike) -> tuple[list[int], list[int]]:
    """Give each voxel axis the world axis it is closest to, each world axis once."""
    matrix = np.asarray(affine, np.float64)[:3, :3]
    cosines = matrix / np.linalg.norm(matrix, axis=0)
    # The rotation nearest to the axes (polar decomposition) decides between two voxel
    # axes that claim the same world axis, as nibabel.orientations.io_orientation does.
    u, _, vt = np.linalg.svd(cosines)
    nearest = u @ vt
    order, signs = [0, 0, 0], [1, 1, 1]
    left = np.abs(nearest)
    for _ in range(3):
        world, voxel = (int(n) for n in np.unravel_index(left.argmax(), (3, 3)))
        order[voxel], signs[voxel] = world, 1 if nearest[world, voxel] > 0 else -1
        left[world, :] = left[:, voxel] = -1
    return order, signs


def to_world(affine: ArrayLike, index: ArrayLike) -> FloatArray:
    """Map voxel indices ``(..., 3)`` to RAS+ mm ``(..., 3)``."""
    matrix = np.asarray(affine, np.float64)
    return np.asarray(index, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def to_index(affine: ArrayLike, world: ArrayLike) -> FloatArray:
    """Map RAS+ mm ``(..., 3)`` to (fractional) voxel indices ``(..., 3)``."""
    return to_world(np.linalg.inv(np.asarray(affine, np.float64)), world)


def is_sheared(affine: ArrayLike, tolerance: float = 1e-3) -> bool:
    """Tell whether the voxel axes are not at right angles (cosine over `tolerance`)."""
    matrix = np.asarray(affine, np.float64)[:3, :3]
    unit = matrix / np.linalg.norm(matrix, axis=0)
    return bool(np.abs(unit.T @ unit - np.eye(3)).max() > tolerance)


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of an array lie: its shape and its affine to RAS+ mm."""

    shape: tuple[int, int, int]
    affine: FloatArray

    def __post_init__(self) -> None:
        """Validate the affine once."""
        object.__setattr__(self, "affine", checked_affine(self.affine))

    @property
    def center_mm(self) -> FloatArray:
        """RAS+ mm of the middle of the grid."""
        return to_world(self.affine, (np.array(self.shape) - 1) / 2)

    def holds(self, point_mm: ArrayLike) -> bool:
        """Tell whether a point in RAS+ mm lies in one of the voxels."""
        index = to_index(self.affine, point_mm)
        # A hair more than half a voxel: points on the very edge are inside.
        inside = (index > -0.5 - 1e-6) & (index < np.array(self.shape) - 0.5 + 1e-6)
        return bool(inside.all())

    def part(self, low: ArrayLike, high: ArrayLike) -> Grid:
        """Return the voxels from index `low` on, up to and without `high`."""
        first, end = np.asarray(low, int), np.asarray(high, int)
        affine = self.affine.copy()
        affine[:3, 3] = to_world(affine, first)
        x, y, z = (int(n) for n in end - first)
        return Grid((x, y, z), affine)

    def part_for(self, target: Grid) -> Grid:
        """Return the part that a resampling onto `target` looks at."""
        matrix = np.linalg.inv(self.affine) @ target.affine
        low, high = _looked_at(self.shape, matrix, target.shape)
        return self.part(low, high)

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Tell whether two grids have the same voxels at the same place."""
        close = np.allclose(self.affine, other.affine, rtol=0, atol=tolerance_mm)
        return self.shape == other.shape and bool(close)


def reorient(
    array: NDArray[Any], affine: ArrayLike, code: str
) -> tuple[NDArray[Any], FloatArray]:
    """Flip and permute the first three axes until they grow towards `code`.

    Never rotates: an oblique scan stays oblique. Returns a view and its affine.

    Raises
    ------
    GeometryError
        If `code` does not name each of the three body axes once.

    """
    wanted = [_AXIS_OF_LETTER.get(c) for c in code.upper()]
    if sorted(w for w in wanted if w is not None) != [0, 1, 2] or len(code) != 3:
        raise GeometryError(
            f"{code!r} is no orientation: use three letters as in 'RAS'"
        )
    matrix = checked_affine(affine)
    order, signs = _closest_axes(matrix)
    source = [order.index(w) for w in wanted if w is not None]
    change = np.zeros((4, 4))
    change[3, 3] = 1
    flips: list[slice] = []
    for new, old in enumerate(source):
        towards = 1 if code.upper()[new] in "RAS" else -1
        keep = towards == signs[old]
        change[old, new] = 1 if keep else -1
        change[old, 3] = 0 if keep else array.shape[old] - 1
        flips.append(slice(None) if keep else slice(None, None, -1))
    rest = list(range(3, array.ndim))
    return array.transpose(source + rest)[tuple(flips)], matrix @ change


def resample(
    array: NDArray[Any],
    affine: ArrayLike,
    target: Grid,
    *,
    order: int = 1,
    antialias: bool = True,
    outside: float | None = None,
) -> NDArray[np.float32]:
    """Bring a volume onto another grid through both affines, with one interpolation.

    Parameters
    ----------
    array
        Volume ``(i, j, k)``, or ``(i, j, k, c)`` of several channels.
    affine
        Its affine to RAS+ mm.
    target
        The grid wanted; it may be rotated, flipped or sheared against the source.
    order
        Spline order: 0 nearest, 1 linear, 3 cubic.
    antialias
        Blur first along each source axis that is coarsened, with a Gaussian of sigma
        ``max(0, (s_out / s_in - 1) / 2.355)`` voxels, so that detail finer than the
        target voxel is averaged and not sampled.
    outside
        Value outside the source; None repeats the source's edge.

    Returns
    -------
    ndarray
        float32 of ``target.shape``, with the channels of the volume last.

    """
    from scipy import ndimage

    if array.ndim == 4:
        parts = (array[..., c] for c in range(array.shape[3]))
        how: dict[str, Any] = {"order": order, "antialias": antialias}
        how["outside"] = outside
        return np.stack([resample(p, affine, target, **how) for p in parts], axis=-1)
    matrix = np.linalg.inv(checked_affine(affine)) @ target.affine
    if order < 2:  # the filter before higher orders looks at the whole array
        shape = array.shape[0], array.shape[1], array.shape[2]
        low, high = _looked_at(shape, matrix, target.shape)
        array = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        matrix[:3, 3] -= low
    sigma = _antialias_sigma(matrix) if antialias else np.zeros(3)
    if order == 1 and outside is None and _is_diagonal(matrix):
        return by_axis(np.asarray(array), matrix, target.shape, sigma)
    values = _blurred(np.asarray(array, np.float32), sigma)
    # "constant" would also call a border voxel outside that rounding puts 1e-15 beyond
    # the edge; "grid-constant" fades to the outside value over one voxel instead.
    mode = "nearest" if outside is None else "grid-constant"
    result: NDArray[np.float32] = ndimage.affine_transform(
        values,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=target.shape,
        output=np.float32,
        order=order,
        mode=mode,
        cval=0.0 if outside is None else outside,
    )
    return result


def _looked_at(
    shape: tuple[int, int, int],
    target_to_source: FloatArray,
    target_shape: tuple[int, int, int],
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return the source voxels that linear interpolation after a blur depends on."""
    corners = to_world(target_to_source, _corners(target_shape))
    # The blur ends at 4 sigma, as SciPy's does; interpolation takes a neighbour more.
    reach = 4 * _antialias_sigma(target_to_source) + 2
    last = np.array(shape) - 1
    low = np.clip(np.floor(corners.min(axis=0) - reach), 0, last).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + reach), low, last).astype(int)
    return low, high + 1


def _corners(shape: tuple[int, int, int]) -> FloatArray:
    """Return the indices of the eight corner voxels."""
    ends = np.meshgrid(*[(0, n - 1) for n in shape])
    return np.array(ends, np.float64).reshape(3, -1).T


def _antialias_sigma(target_to_source: FloatArray) -> FloatArray:
    """Gaussian sigma in source voxels, for each source axis."""
    # A step of one target voxel along its axis crosses this many source voxels; the
    # widest of the three steps decides how much detail a source axis loses.
    steps = np.abs(target_to_source[:3, :3]).max(axis=1)
    sigma: FloatArray = np.maximum(0.0, (steps - 1) / 2.355)
    return sigma


def _is_diagonal(matrix: FloatArray) -> bool:
    """Tell whether axes only become longer or shorter; what rounding leaves is none."""
    axes = matrix[:3, :3]
    apart = np.abs(axes - np.diag(np.diag(axes))).max()
    return bool(apart < 1e-9 * np.abs(axes).max())


def _blurred(values: NDArray[np.float32], sigma: FloatArray) -> NDArray[np.float32]:
    from scipy import ndimage

    for axis, s in enumerate(sigma):
        if s > 1e-6:
            values = ndimage.gaussian_filter1d(values, float(s), axis, mode="nearest")
    return values


def orthogonal_grid(scan: Scan) -> Grid:
    """Return the scan's own grid, or, if that is sheared, the one of `unshear`."""
    if not is_sheared(scan.affine):
        return Grid(scan.grid_shape, scan.affine)
    return _orthogonal_cover(scan.grid_shape, scan.affine)


def unshear(scan: Scan, part: Grid | None = None) -> Scan:
    """Return the scan on an orthogonal grid that covers all of it.

    The in-plane axes i and j stay; k becomes their normal, so that a CT taken with a
    tilted gantry can be shown and prepared. Scans without shear come back unchanged.
    Values become float32 physical values; outside the scan is its lowest value. With
    `part`, a part of `orthogonal_grid`, only that is interpolated, or cut out.
    """
    from dataclasses import replace

    if not is_sheared(scan.affine):
        return scan if part is None else _cut_out(scan, part)
    target = orthogonal_grid(scan) if part is None else part
    volumes = [
        resample(values, scan.affine, target, outside=float(values.min()))
        for values in _grey_volumes(scan)
    ]
    note = "resampled onto an orthogonal grid because its axes were sheared"
    return replace(
        scan,
        voxels=_stacked(volumes, scan),
        affine=target.affine,
        slope=1.0,
        intercept=0.0,
        warnings=(*scan.warnings, note),
    )


def _cut_out(scan: Scan, part: Grid) -> Scan:
    """Return the voxels of a scan that lie on a part of its own grid."""
    from dataclasses import replace

    first = to_index(scan.affine, part.affine[:3, 3])
    low = [int(n) for n in np.rint(first)]
    i, j, k = (slice(a, a + n) for a, n in zip(low, part.shape, strict=True))
    return replace(scan, voxels=scan.voxels[i, j, k], affine=part.affine)


def _grey_volumes(scan: Scan) -> Iterator[NDArray[np.float32]]:
    if scan.color:
        yield from np.moveaxis(scan.values(), -1, 0)
    else:
        yield from (scan.values(t) for t in range(scan.n_times))


def _stacked(volumes: list[NDArray[np.float32]], scan: Scan) -> NDArray[np.float32]:
    """Give volumes the axes of the scan they come from, its slices planes in memory."""
    if len(scan.shape) == 3:
        return np.asfortranarray(volumes[0])
    planes = np.stack([volume.T for volume in volumes], axis=-1 if scan.color else 0)
    planes = np.ascontiguousarray(planes)
    return planes.transpose(2, 1, 0, 3) if scan.color else planes.T


def _orthogonal_cover(shape: tuple[int, int, int], affine: FloatArray) -> Grid:
    """Grid with orthogonal axes near `affine`'s that holds all of its voxels."""
    spacing = np.array(spacing_of(affine))
    i, j, k = (affine[:3, n] / spacing[n] for n in range(3))
    j = j - i * (i @ j)
    j /= np.linalg.norm(j)
    normal = np.cross(i, j)
    normal *= np.sign(normal @ k)
    spacing[2] *= float(normal @ k)
    cover = np.eye(4)
    cover[:3, :3] = np.column_stack([i, j, normal]) * spacing
    cover[:3, 3] = affine[:3, 3]
    inside = to_index(cover, to_world(affine, _corners(shape)))
    low = np.floor(inside.min(axis=0) + 1e-6)
    high = np.ceil(inside.max(axis=0) - 1e-6)
    cover[:3, 3] = to_world(cover, low)
    x, y, z = (int(n) for n in high - low + 1)
    return Grid((x, y, z), cover)
