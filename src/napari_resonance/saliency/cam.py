"""Grad-CAM of a network that ends in average pooling and one linear layer.

There the gradient of a logit with respect to a cell of the last feature map is the
linear layer's weight divided by the number of cells, so that Grad-CAM (Selvaraju et
al., ICCV 2017) is a weighted sum of the features that the prediction computed anyway:
no backward pass, no second forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.geometry import FloatArray, Grid


def gradcam(
    features: NDArray[np.float32],
    weights: NDArray[np.float32],
    grid: Grid,
    stride: Sequence[int],
    *,
    target: str,
    mirror_axis: int | None = None,
) -> Saliency:
    """Return where the network found evidence for one label.

    Parameters
    ----------
    features
        Last feature map: ``(1, F, x, y, z)`` of a 3D network, ``(slices, F, rows,
        columns)`` of a 2D one.
    weights
        ``(F,)``: the linear layer's row for `target`.
    grid
        Where the network input lies: axes ``(x, y, z)`` or ``(row, column, slice)``.
    stride
        Input voxels between neighbouring feature cells, for each axis of the network.
    target
        The label that is explained.
    mirror_axis
        Axis along which the features are the mean of the image's and its mirror
        image's, if any.

    Returns
    -------
    Saliency
        Before negative values are set to 0, all values and the layer's bias add up to
        the logit (the mean logit of the slices, in 2D). Not rescaled: high means *for*
        the label.

    """
    weighted = np.einsum("f,nf...->n...", weights, features, dtype=np.float32)
    # 3D: the one volume. 2D: slices become the third axis, as in the grid.
    cells = weighted[0] if weighted.ndim == 4 else np.moveaxis(weighted, 0, -1)
    values = np.maximum(cells / np.float32(cells.size), 0, dtype=np.float32)
    affine = grid.affine @ _cell_to_voxel(grid, stride, values.shape, mirror_axis)
    return Saliency(
        values=np.ascontiguousarray(values),
        affine=affine,
        method="gradcam",
        target=target,
        extent=(grid.shape, grid.affine),
    )


def _cell_to_voxel(
    grid: Grid,
    stride: Sequence[int],
    cells: tuple[int, ...],
    mirror_axis: int | None,
) -> FloatArray:
    """Affine from feature cell to voxel of the network input.

    Each convolution and pooling pads by half its kernel, so cell ``j`` is centred at
    voxel ``stride * j``: no offset, although a cell is ``stride`` voxels wide.
    """
    scale = [*stride, 1, 1][:3] if len(stride) < 3 else list(stride)
    matrix: FloatArray = np.diag([*map(float, scale), 1.0])
    if mirror_axis is not None:
        # Cell j of the mirror image is centred at voxel (size - 1) - stride * j, and
        # the mean of both lies halfway; 0 where size - 1 is a multiple of stride.
        covered = scale[mirror_axis] * (cells[mirror_axis] - 1)
        matrix[mirror_axis, 3] = (grid.shape[mirror_axis] - 1 - covered) / 2
    return matrix
