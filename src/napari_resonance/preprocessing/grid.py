"""Steps that move voxels: orient, resample, crop. Each keeps the affine true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import PreprocessingError
from napari_resonance.geometry import (
    FloatArray,
    Grid,
    reorient,
    resample,
    spacing_of,
    to_world,
)

# Far above any network's input (a whole body at 1 mm has 0.3 thousand million), and low
# enough to be refused before memory runs out.
_MOST_VOXELS = 10**9


@dataclass(frozen=True, eq=False)
class Prepared:
    """A volume on its way to the network: values ``(x, y, z[, channel])``, affine.

    `center_mm` is the RAS+ mm around which a region is wanted, if one is.
    """

    values: NDArray[np.float32]
    affine: FloatArray
    oriented: bool = True
    warnings: tuple[str, ...] = ()
    center_mm: FloatArray | None = None

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        x, y, z = self.values.shape[:3]
        return Grid((x, y, z), self.affine)

    def moved(self, values: NDArray[np.float32], affine: FloatArray) -> Prepared:
        """Return these values at this place, with the same warnings."""
        return replace(self, values=values, affine=affine)

    def with_values(self, values: NDArray[np.float32], *notes: str) -> Prepared:
        """Return other values at the same place, and what was odd about them."""
        return replace(self, values=values, warnings=(*self.warnings, *notes))


def orient(volume: Prepared, code: str) -> Prepared:
    """Flip and permute towards `code`; never rotates. MONAI: ``Orientation``."""
    if not volume.oriented:
        return volume
    return volume.moved(*reorient(volume.values, volume.affine, code))


def resample_spacing(
    volume: Prepared, spacing: Sequence[float | None], antialias: bool = True
) -> Prepared:
    """Resample to `spacing` mm (None keeps an axis), the first voxel's centre kept.

    MONAI: ``Spacing(mode="bilinear", padding_mode="border")`` where `antialias` is off.
    """
    return onto(volume, spaced_grid(volume.grid, spacing), antialias)


def resample_shape(
    volume: Prepared, shape: Sequence[int | None], antialias: bool = True
) -> Prepared:
    """Resample to a number of voxels (None keeps an axis), the field of view kept."""
    return onto(volume, shaped_grid(volume.grid, shape), antialias)


def spaced_grid(grid: Grid, spacing: Sequence[float | None]) -> Grid:
    """Return the grid that `resample_spacing` brings a volume onto."""
    old = np.array(spacing_of(grid.affine))
    new = np.array([o if s is None else s for o, s in zip(old, spacing, strict=True)])
    scale = new / old
    shape = np.rint((np.array(grid.shape) - 1) / scale).astype(int) + 1
    return _scaled(grid, shape, scale, np.zeros(3))


def shaped_grid(grid: Grid, shape: Sequence[int | None]) -> Grid:
    """Return the grid that `resample_shape` brings a volume onto."""
    old = np.array(grid.shape)
    new = np.array([o if s is None else s for o, s in zip(old, shape, strict=True)])
    scale = old / new
    return _scaled(grid, new, scale, (scale - 1) / 2)


def _scaled(
    grid: Grid, shape: NDArray[np.int_], scale: FloatArray, first: FloatArray
) -> Grid:
    change = np.diag([*scale, 1.0])
    change[:3, 3] = first
    x, y, z = (int(n) for n in shape)
    if min(x, y, z) < 1 or x * y * z > _MOST_VOXELS:
        size = " × ".join(f"{s:.3g}" for s in spacing_of(grid.affine))
        raise PreprocessingError(
            f"resampling would make {x} × {y} × {z} voxels of it",
            remedy=f"Check the voxel size in its header: {size} mm",
        )
    return Grid((x, y, z), grid.affine @ change)


def onto(volume: Prepared, target: Grid, antialias: bool = True) -> Prepared:
    """Interpolate onto a grid; beyond its edge a volume goes on as its edge is."""
    values = resample(volume.values, volume.affine, target, antialias=antialias)
    return volume.moved(values, target.affine)


def crop_or_pad(
    volume: Prepared, shape: Sequence[int | None], value: float = 0.0
) -> Prepared:
    """Crop or pad around the centre. MONAI: ``ResizeWithPadOrCrop``."""
    old = volume.values.shape[:3]
    new = [o if s is None else s for o, s in zip(old, shape, strict=True)]
    start = [
        o // 2 - n // 2 if n < o else -((n - o) // 2)
        for o, n in zip(old, new, strict=True)
    ]
    return box(volume, start, new, value)


def box(
    volume: Prepared, start: Sequence[int], shape: Sequence[int], value: float = 0.0
) -> Prepared:
    """Cut a box of `shape` from voxel `start` on; `value` fills what lies outside.

    Raises
    ------
    PreprocessingError
        If it would be larger than any network's input.

    """
    if math.prod(shape) > _MOST_VOXELS:
        x, y, z = shape
        raise PreprocessingError(
            f"a box of {x} × {y} × {z} voxels was asked for", remedy="Make it smaller"
        )
    result = np.full((*shape, *volume.values.shape[3:]), value, np.float32)
    source, target = [], []
    for first, size, available in zip(start, shape, volume.values.shape, strict=False):
        low, high = max(first, 0), min(first + size, available)
        high = max(high, low)
        source.append(slice(low, high))
        target.append(slice(low - first, high - first))
    result[tuple(target)] = volume.values[tuple(source)]
    affine = volume.affine.copy()
    affine[:3, 3] = to_world(volume.affine, start)
    return volume.moved(result, affine)


def head_mask(values: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Return the largest connected part above `threshold` × the 99th percentile."""
    from scipy import ndimage

    bright = float(np.percentile(values, 99))
    above = values > threshold * bright
    if bright <= 0 or not above.any():
        return np.zeros(values.shape, bool)
    labels, count = ndimage.label(above)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    mask: NDArray[np.bool_] = labels == sizes.argmax()
    return mask


def head_crop(
    volume: Prepared,
    shape: Sequence[int],
    height_mm: float = 100.0,
    threshold: float = 0.08,
    margin: int = 0,
) -> Prepared:
    """Cut a box around the upper part of a head whose axes grow towards R, A and S.

    Parameters
    ----------
    volume
        Oriented "RAS".
    shape
        Size of the box in voxels; its upper face lies at the top of the head.
    height_mm
        The box is centred, left to right and front to back, on the part of the head
        that lies within this height below its top.
    threshold
        The head is the largest part brighter than this share of the 99th percentile.
    margin
        Voxels added on each side, for augmentation.

    Raises
    ------
    PreprocessingError
        If there is no head: nothing above the threshold, or only specks.

    """
    grey = volume.values if volume.values.ndim == 3 else volume.values.mean(axis=3)
    mask = head_mask(grey, threshold)
    spacing = spacing_of(volume.affine)
    area_mm2 = mask.sum(axis=(0, 1)) * spacing[0] * spacing[1]
    # Ten square centimetres: a fiducial marker or a ghost above the head is smaller.
    high = np.flatnonzero(area_mm2 >= 1000.0)
    if not len(high):
        raise PreprocessingError(
            "no head was found: the scan is blank, noise or of something small",
            remedy="Check that this is a scan of a whole head",
        )
    top = int(high[-1])
    bottom = max(0, top + 1 - round(height_mm / spacing[2]))
    x, y, _ = np.nonzero(mask[:, :, bottom : top + 1])
    center = round(float(x.mean())), round(float(y.mean()))
    start = [
        center[0] - shape[0] // 2 - margin,
        center[1] - shape[1] // 2 - margin,
        top + 1 - shape[2] - margin,
    ]
    return box(volume, start, [n + 2 * margin for n in shape])
