"""A cross-hair through the place where the slices of a viewer cross."""

from __future__ import annotations

from typing import Any
from weakref import ref

import numpy as np

NAME = "Cross-hair"

# Around the place itself the lines leave this many mm free.
_GAP_MM = 5.0
_WIDTH_PIXELS = 2.0
_STILL_PIXELS = 3


class CrossHair:
    """A layer of six lines that follows a viewer's sliders, and clicks that move them.

    A click without a drag goes to the place that was clicked, unless a tool of the
    selected layer (adding points, painting) takes clicks.

    Parameters
    ----------
    viewer
        napari's viewer, or a model of one.
    extent
        2×3, the lowest and highest mm of the scan along z, y and x.

    """

    def __init__(self, viewer: Any, extent: Any) -> None:
        from napari.layers import Vectors

        self._viewer = ref(viewer)
        self._extent = np.asarray(extent, np.float64)
        ndim = max(3, int(viewer.dims.ndim))
        selected = viewer.layers.selection.active
        self.layer = Vectors(
            self._lines(viewer.dims.point, ndim),
            ndim=ndim,
            name=NAME,
            edge_color="#59d8e6",
            edge_width=self._width(viewer),
            vector_style="line",
            opacity=0.9,
            # A canvas that is moved into a dock loses how depths are compared.
            blending="translucent_no_depth",
            units=("s",) * (ndim - 3) + ("mm",) * 3,
        )
        point = tuple(viewer.dims.point)
        viewer.add_layer(self.layer)
        viewer.layers.selection.active = selected
        viewer.dims.point = point
        viewer.dims.events.point.connect(self._follow)
        viewer.scene.camera.events.zoom.connect(self._follow_zoom)
        viewer.mouse_drag_callbacks.append(self._on_click)

    def remove(self) -> None:
        """Take lines and clicks out of the viewer."""
        viewer = self._viewer()
        if viewer is None:
            return
        viewer.dims.events.point.disconnect(self._follow)
        viewer.scene.camera.events.zoom.disconnect(self._follow_zoom)
        if self._on_click in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._on_click)
        # napari goes to the middle of what is left.
        point = tuple(viewer.dims.point)
        if self.layer in viewer.layers:
            viewer.layers.remove(self.layer)
        if len(point) == viewer.dims.ndim and viewer.layers:
            viewer.dims.point = point

    def fits(self, viewer: Any) -> bool:
        """Tell whether the lines are shown, and have the viewer's axes."""
        axes = max(3, int(viewer.dims.ndim))
        return self.layer in viewer.layers and self.layer.ndim == axes

    def set_extent(self, extent: Any) -> None:
        """Let the lines end at the edges of another scan."""
        self._extent = np.asarray(extent, np.float64)
        self._follow()

    def _follow(self, event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is not None and viewer.dims.ndim == self.layer.ndim:
            self.layer.data = self._lines(viewer.dims.point, self.layer.ndim)

    def _follow_zoom(self, event: Any = None) -> None:
        """Keep the lines as wide on the canvas: wider ones would cover the scan."""
        viewer = self._viewer()
        if viewer is not None:
            self.layer.edge_width = self._width(viewer)

    @staticmethod
    def _width(viewer: Any) -> float:
        """Return the width of the lines in mm."""
        return _WIDTH_PIXELS / max(float(viewer.scene.camera.zoom), 1e-9)

    def _lines(self, point: Any, ndim: int) -> Any:
        """Return ``(6, 2, ndim)``: starts and directions, two lines an axis."""
        place = np.zeros(ndim)
        place[-len(point) :] = point[-ndim:]
        lines = []
        for axis in range(3):
            for end in self._extent[:, axis]:
                at = ndim - 3 + axis
                start = place.copy()
                start[at] += np.sign(end - place[at]) * _GAP_MM
                step = np.zeros(ndim)
                step[at] = end - start[at]
                # Near the edge there is no room for the gap.
                if (end - place[at]) * step[at] <= 0:
                    step[at] = 0.0
                lines.append((start, step))
        return np.array(lines)

    def _on_click(self, viewer: Any, event: Any) -> Any:
        if event.button != 1 or event.modifiers or viewer.dims.ndisplay != 2:
            return
        active = viewer.layers.selection.active
        if (
            active is not None
            and str(getattr(active, "mode", "pan_zoom")) != "pan_zoom"
        ):
            return
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos) - start).max() <= _STILL_PIXELS:
            viewer.dims.point = tuple(float(p) for p in event.position)
