"""A second canvas on the layers of a viewer, in another plane."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_resonance.viewer.canvas_text import CanvasText
from napari_resonance.viewer.cross_hair import CrossHair
from napari_resonance.viewer.frame_keeper import FrameKeeper
from napari_resonance.viewer.linked_zoom import LinkedZoom
from napari_resonance.viewer.records import record_of

# After a change of size the canvas is drawn first.
REST_MS = 50

_BARS_MM = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)

# What a copy of a layer takes over whenever it changes.
_FOLLOWED = (
    "visible",
    "opacity",
    "contrast_limits",
    "colormap",
    "gamma",
    "blending",
    "affine",
    "interpolation2d",
)


class SideView(QWidget):
    """Shows copies of a viewer's scans and maps; the sliders of both move together.

    The copies share their voxels with the originals.

    Parameters
    ----------
    viewer
        The viewer whose layers are shown.
    keeper
        Of its frame.
    which
        0 or 1: the first or second of the planes that the viewer itself does not show.

    """

    def __init__(self, viewer: Any, keeper: FrameKeeper, which: int) -> None:
        from napari.components import ViewerModel
        from napari.qt import QtViewer

        super().__init__()
        self._viewer, self._which = viewer, which
        self._is_moving = False
        self._shown: list[Any] = []
        self._followed: list[tuple[Any, Any]] = []
        self.model = ViewerModel()
        self.canvas = QtViewer(self.model)
        self.canvas.setAcceptDrops(False)
        self.canvas.dims.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.canvas)
        self.setMinimumSize(160, 160)
        # Ends with this widget; fits the picture once the canvas has its size.
        self._fit = QTimer(self)
        self._fit.setSingleShot(True)
        self._fit.timeout.connect(self._fit_all)
        self.zoom: LinkedZoom | None = None
        self.cross_hair: CrossHair | None = None
        self.text = CanvasText(self.model, keeper, says_answer=False)
        # napari's own length would cover the letter of an edge.
        self._follow_signal(self.model.scene.camera.events.zoom, self._size_bar)
        layers, dims = viewer.layers.events, viewer.dims.events
        for signal in (layers.inserted, layers.removed, layers.reordered):
            self._follow_signal(signal, self.copy_layers)
        self._follow_signal(dims.order, self._turn)
        self._follow_signal(dims.point, partial(self._move, viewer, self.model))
        self.model.dims.events.point.connect(partial(self._move, self.model, viewer))
        self.copy_layers()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Show the whole scan again."""
        super().resizeEvent(event)
        self._fit.start(REST_MS)

    def end(self) -> None:
        """Let go of the viewer and close the canvas."""
        for signal, slot in self._followed:
            signal.disconnect(slot)
        self._followed.clear()
        self._fit.stop()
        self.text.end()
        self.canvas.close()

    def copy_layers(self, event: Any = None) -> None:
        """Show copies of all scans and maps that the viewer holds."""
        from napari.layers import Layer

        wanted = [layer for layer in self._viewer.layers if _is_drawn(layer)]
        if wanted == self._shown:
            return
        # A first layer puts sliders into its middle; those of the viewer stay put.
        self._is_moving = True
        try:
            self._forget_layers()
            self._shown = wanted
            for layer in wanted:
                copy = self.model.add_layer(Layer.create(*layer.as_layer_data_tuple()))
                for name in _FOLLOWED:
                    signal = getattr(layer.events, name)
                    self._follow_signal(signal, partial(_copy_value, layer, copy, name))
            self._turn()
            self._draw_cross_hair()
            self._fit_all()
        finally:
            self._is_moving = False
        self._move(self._viewer, self.model)

    def _fit_all(self) -> None:
        """Show the whole scan, or as much of it as the other canvases do."""
        if self.zoom is None:
            self.model.fit_to_view()
        else:
            self.zoom.fit(self.model)

    def _size_bar(self, event: Any = None) -> None:
        """Make the scale bar a round number of mm, a quarter of the canvas at most."""
        most = self.canvas.width() / 4 / max(self.model.scene.camera.zoom, 1e-9)
        fitting = [length for length in _BARS_MM if length <= most]
        bar = self.model.canvas.overlays.scale_bar
        bar.length = max(fitting, default=_BARS_MM[0])
        # napari 0.9 draws another length only once the zoom changes, and may have
        # drawn this zoom already; for the size of the font it draws anew.
        bar.events.font_size.emit(bar.font_size)

    def _forget_layers(self) -> None:
        kept = []
        for signal, slot in self._followed:
            if isinstance(slot, partial) and slot.func is _copy_value:
                signal.disconnect(slot)
            else:
                kept.append((signal, slot))
        self._followed = kept
        if self.cross_hair is not None:
            self.cross_hair.remove()
            self.cross_hair = None
        self.model.layers.clear()

    def _draw_cross_hair(self) -> None:
        if len(self.model.layers):
            extent = self.model.layers.extent.world[:, -3:]
            self.cross_hair = CrossHair(self.model, extent)

    def _follow_signal(self, signal: Any, slot: Any) -> None:
        signal.connect(slot)
        self._followed.append((signal, slot))

    def _turn(self, event: Any = None) -> None:
        """Show the plane that is this view's, whichever the viewer shows."""
        order, ndim = self._viewer.dims.order, self._viewer.dims.ndim
        if ndim < 3 or self.model.dims.ndim != ndim:
            return
        space = range(ndim - 3, ndim)
        sliced = [axis for axis in space if axis != order[-3]][self._which]
        rest = (axis for axis in space if axis != sliced)
        # napari fits a scan whose axes are turned into its canvas.
        with nullcontext() if self.zoom is None else self.zoom.paused():
            self.model.dims.order = (*range(ndim - 3), sliced, *rest)
        self._fit_all()

    def _move(self, source: Any, target: Any, event: Any = None) -> None:
        """Let the sliders of one follow the other's."""
        # They snap to slices, so that the answer may differ from the question.
        if self._is_moving or source.dims.ndim != target.dims.ndim:
            return
        self._is_moving = True
        try:
            target.dims.point = tuple(source.dims.point)
        finally:
            self._is_moving = False


def _is_drawn(layer: Any) -> bool:
    record = record_of(layer)
    return record is not None and record.role != "mark"


def _copy_value(source: Any, target: Any, name: str, event: Any = None) -> None:
    setattr(target, name, getattr(source, name))
