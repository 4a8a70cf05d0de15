"""Where the cells of a feature map and the voxels of the network's input lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_resonance.geometry import FloatArray, Grid


def as_volume(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return maps ``(N, *cells)`` with their axes as in the network's grid.

    Of a 3D network the one volume; of a 2D one ``(row, column, slice)``.
    """
    volume = maps[0] if maps.ndim == 4 else np.moveaxis(maps, 0, -1)
    return np.ascontiguousarray(volume, np.float32)


def cell_affine(
    grid: Grid,
    stride: Sequence[float],
    cells: Sequence[int],
    mirror_axes: Sequence[int] = (),
) -> FloatArray:
    """Return the affine from the index of a feature cell to RAS+ mm.

    Each convolution and pooling pads by half its kernel, so cell ``j`` is centred at
    voxel ``stride * j``: no offset, although a cell is ``stride`` voxels wide.

    Parameters
    ----------
    grid
        Where the network input lies: axes ``(x, y, z)`` or ``(row, column, slice)``.
    stride
        Input voxels between neighbouring cells, for each axis of the network.
    cells
        Shape of the map, axes as in `grid`.
    mirror_axes
        Axes along which the map is the mean of the image's and its mirror image's.

    """
    scale = [*map(float, stride), 1.0, 1.0][:3] if len(stride) < 3 else list(stride)
    matrix: FloatArray = np.diag([*map(float, scale), 1.0])
    for axis in mirror_axes:
        # Cell j of the mirror image is centred at voxel (size - 1) - stride * j, and
        # the mean of both lies halfway; 0 where size - 1 is a multiple of stride.
        covered = scale[axis] * (cells[axis] - 1)
        matrix[axis, 3] = (grid.shape[axis] - 1 - covered) / 2
    placed: FloatArray = grid.affine @ matrix
    return placed
