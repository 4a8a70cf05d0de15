"""A bright voxel and the peak of its map are drawn at the same place of the canvas."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from support.answers import map_with_peak_at, prediction
from support.phantoms import NAMES, phantom

from napari_resonance.geometry import spacing_of, to_world
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.layers import saliency_layer, scan_layer
from napari_resonance.viewer.viewer_actions import add_layer, add_scans

ZOOM = 12.0

AXIAL_CORONAL_SAGITTAL = [(0, 1, 2), (1, 0, 2), (2, 0, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_bright_voxel_and_peak_meet_on_the_canvas(make_viewer: Any, name: str) -> None:
    viewer = make_viewer(show=True)
    scan, mm = phantom(name)
    (image,) = add_scans(viewer, [scan_layer(scan)])
    answer = prediction(map_with_peak_at(scan, mm))
    overlay = add_layer(viewer, saliency_layer(scan, answer))
    viewer.layers.selection.active = image
    # Of the scan only the bright voxel is drawn.
    top = float(image.data.max())
    image.contrast_limits = (0.3 * top, top)
    # A sheared scan is resampled for display, so its brightest voxel may be half a
    # voxel off; all the others are drawn as they are.
    off = 0.5 * np.array(spacing_of(scan.affine)).max() if name == "sheared" else 0.0
    orders = permutations(range(3)) if name == "sheared" else AXIAL_CORONAL_SAGITTAL
    for order in orders:
        spots = [_spot(viewer, shown, order, mm) for shown in (image, overlay)]
        assert np.abs(spots[1]).max() < 1.5, (order, spots)
        assert np.abs(spots[0]).max() < 1.5 + ZOOM * off, (order, spots)


def _spot(viewer: Any, shown: Any, order: tuple[int, ...], mm: Any) -> Any:
    """Return the centroid of what a layer draws, in pixels from the canvas's middle.

    The camera looks at where `mm` has to be.
    """
    keeper = attach(viewer)
    viewer.dims.order = order
    keeper.go_to(mm)
    point = to_world(keeper.frame.from_ras, mm)
    viewer.scene.camera.center = tuple(float(point[d]) for d in order[1:])
    viewer.scene.camera.zoom = ZOOM
    for overlay in viewer.canvas.overlays.values():
        overlay.visible = False
    for layer in viewer.layers:
        layer.visible = layer is shown
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(float)
    light = picture.sum(axis=-1)
    assert light.max() > 100, f"nothing is drawn of {shown.name} in {order}"
    weights = np.where(light > light.max() / 2, 1.0, 0.0)
    rows, columns = np.indices(weights.shape)
    center = [(rows * weights).sum(), (columns * weights).sum()] / weights.sum()
    return center - (np.array(weights.shape) - 1) / 2
