"""Makes a layer fill the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import napari

_MARGIN = 0.05


def fit_to_view(viewer: napari.viewer.Viewer, layer: Any) -> None:
    """Zoom and move the view so that one layer is in it from edge to edge."""
    if layer.ndim == viewer.dims.ndim:
        viewer.fit_to_view(layers=[layer], margin=_MARGIN)
        return
    # napari cannot fit a layer without the time axis that another one has.
    shown = np.array(viewer.dims.displayed) - (viewer.dims.ndim - layer.ndim)
    low, high = np.asarray(layer.extent.world)[:, shown]
    camera = viewer.scene.camera
    camera.center = tuple(float(c) for c in (low + high) / 2)
    room = np.array(viewer.canvas.size, np.float64)
    if viewer.dims.ndisplay == 2:
        parts = room / np.maximum(high - low, 1e-6)
        camera.zoom = (1 - _MARGIN) * float(parts.min())
    else:
        # Turned any way, its diagonal has to fit.
        camera.zoom = float(room.min() / np.linalg.norm(high - low))
