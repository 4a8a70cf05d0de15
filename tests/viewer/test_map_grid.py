"""The grid a map is drawn on: nothing moves, nothing is added."""

from __future__ import annotations

import numpy as np
import pytest
from support.phantoms import phantom, rotation

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.geometry import Grid, resample, spacing_of, to_index, to_world
from napari_resonance.viewer.map_grid import drawing_grid


def coarse_map(steps: tuple[float, float, float], stride: int = 16) -> Saliency:
    """Return a map whose input grid is turned, with cells of `stride` voxels."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(10, 20, -30) * steps
    affine[:3, 3] = (5, -7, 11)
    rng = np.random.default_rng(1)
    values = rng.random((4, 4, 3)).astype(np.float32)
    cells = affine @ np.diag([stride, stride, stride, 1.0])
    return Saliency(values, cells, "gradcam", "a", ((49, 57, 34), affine))


@pytest.mark.parametrize("scan_steps", [(0.9, 0.9, 5.0), (3, 3, 3), (1, 30, 70)])
def test_the_cells_keep_their_values_and_places(scan_steps: tuple[float, ...]) -> None:
    saliency = coarse_map((3, 3, 3))
    scan = np.array(saliency.extent[1])
    scan[:3, :3] = scan[:3, [2, 0, 1]] / 3 * (-scan_steps[2], *scan_steps[:2])
    grid = drawing_grid(saliency, scan)
    drawn = resample(saliency.values, saliency.affine, grid, antialias=False)
    centers = to_world(saliency.affine, np.argwhere(saliency.values >= 0))
    index = to_index(grid.affine, centers)
    assert np.allclose(index, np.rint(index))
    there = drawn[tuple(np.rint(index).astype(int).T)]
    assert np.allclose(there, saliency.values.ravel(), atol=1e-6)
    steps = np.array(spacing_of(grid.affine))
    assert (steps >= np.maximum(3, scan_steps) - 1e-9).all() or (steps == 48).any()


def test_it_covers_what_the_network_saw() -> None:
    saliency = coarse_map((3, 3, 3))
    shape, affine = saliency.extent
    grid = drawing_grid(saliency, affine)
    # As fine as the network's input, and the same voxels.
    assert grid.same_as(Grid(shape, affine))


def test_a_2d_network_keeps_its_slices() -> None:
    scan, _ = phantom("oblique")
    rows = np.array(scan.affine)[:, [1, 0, 2, 3]]
    cells = rows @ np.diag([8.0, 8.0, 1.0, 1.0])
    values = np.ones((4, 3, 17), np.float32)
    saliency = Saliency(values, cells, "gradcam", "a", ((31, 23, 17), rows))
    grid = drawing_grid(saliency, scan.affine)
    assert grid.same_as(Grid((31, 23, 17), rows))
