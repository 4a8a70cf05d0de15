"""The grid on which a saliency map is drawn: its own cells, divided."""

from __future__ import annotations

import numpy as np

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.geometry import FloatArray, Grid, spacing_of, to_index, to_world


def drawing_grid(saliency: Saliency, scan_affine: FloatArray) -> Grid:
    """Return a grid that divides the map's cells and covers what the network saw.

    Each cell's centre is a point of it, so that the map's own values stay as and where
    they are. Its steps are never finer than those of the network's input, which would
    pretend to more detail, nor than the scan's, which would add stops between slices.

    Parameters
    ----------
    saliency
        The map.
    scan_affine
        4×4, index of the scan to RAS+ mm; parallel to the map.

    """
    cells = np.array(spacing_of(saliency.affine))
    shape, affine = saliency.extent
    finest = np.maximum(
        _steps_along(saliency.affine, affine),
        _steps_along(saliency.affine, scan_affine),
    )
    parts = np.maximum(1, np.floor(cells / finest + 1e-6))
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in shape])).reshape(3, -1).T
    seen = to_index(saliency.affine, to_world(affine, corners)) * parts
    first = np.rint(seen.min(axis=0) + 0.5)
    last = np.maximum(first, np.rint(seen.max(axis=0) - 0.5))
    to_cell = np.diag([*(1 / parts), 1.0])
    to_cell[:3, 3] = first / parts
    x, y, z = (int(n) for n in last - first + 1)
    return Grid((x, y, z), saliency.affine @ to_cell)


def _steps_along(affine: FloatArray, other: FloatArray) -> FloatArray:
    """Return the spacings of `other` along the axes of `affine` that are nearest."""
    directions = affine[:3, :3] / spacing_of(affine)
    spacing = np.array(spacing_of(other))
    nearest = np.abs(directions.T @ (other[:3, :3] / spacing)).argmax(axis=1)
    steps: FloatArray = spacing[nearest]
    return steps
