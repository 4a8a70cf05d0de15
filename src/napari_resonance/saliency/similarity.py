"""How alike two saliency maps are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.errors import SaliencyError
from napari_resonance.geometry import Grid, resample

Array = NDArray[np.float32]

_WINDOW = 7


def check_uneven(saliency: Saliency) -> None:
    """Refuse to measure a map that is the same everywhere.

    Raises
    ------
    SaliencyError
        If it is.

    """
    if np.ptp(saliency.values) == 0:
        raise SaliencyError(
            "the map is the same everywhere: it says of no voxel that it matters more, "
            "and cannot be measured",
            remedy="Choose another method or label",
        )


def spearman(first: Array, second: Array) -> float:
    """Return the rank correlation of two arrays of one shape, -1 to 1.

    0 where one of them is the same everywhere.
    """
    from scipy import stats

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(stats.spearmanr(first.ravel(), second.ravel()).statistic)


def ssim(first: Array, second: Array) -> float:
    """Return the structural similarity (Wang et al. 2004) of two volumes, -1 to 1.

    Each is first divided by its largest magnitude, as it would be drawn. The window has
    7 voxels a side, fewer where the volume is smaller. By ``monai.metrics.SSIMMetric``.
    """
    import torch
    from monai.metrics.regression import SSIMMetric

    pair = [_drawn(values).squeeze() for values in (first, second)]
    dimensions = pair[0].ndim
    smallest = min(pair[0].shape, default=1)
    window = min(_WINDOW, smallest - (smallest + 1) % 2)
    if dimensions not in (2, 3) or window < 3:
        return float(np.allclose(pair[0], pair[1]))
    metric = SSIMMetric(dimensions, data_range=2.0, win_size=window)
    tensors = [torch.from_numpy(values)[None, None] for values in pair]
    return float(np.mean(np.asarray(metric(*tensors))))


def on_grid(saliency: Saliency, grid: Grid) -> Array:
    """Return the values of a map on the voxels of a grid, linear between its cells."""
    return resample(saliency.values, saliency.affine, grid, antialias=False)


def _drawn(values: Array) -> Array:
    most = float(np.abs(values).max())
    scaled: Array = values / np.float32(most) if most > 0 else values
    return scaled
