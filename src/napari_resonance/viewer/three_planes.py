"""Two more planes beside the canvas, linked to it by a cross-hair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QMainWindow, QWidget

from napari_resonance.viewer.attach import attach, real_viewer
from napari_resonance.viewer.cross_hair import CrossHair
from napari_resonance.viewer.dock_end import DockEnd
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.linked_zoom import LinkedZoom
from napari_resonance.viewer.records import is_scan
from napari_resonance.viewer.side_view import REST_MS, SideView

if TYPE_CHECKING:
    import napari

_EMPTY = "Open a scan first: then its other two planes are shown here."

# Of the window's height, at most: the canvas above is the one that is worked on.
_SHARE = 0.4


class ThreePlanes(QWidget):
    """The two planes that the canvas does not show; a click in one moves the others."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = real_viewer(viewer)
        self._keeper = attach(self._viewer)
        self._cross_hair: CrossHair | None = None
        self._zoom: LinkedZoom | None = None
        self._is_updating = self._is_over = False
        self.views: list[SideView] = []
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.empty = plain_label(_EMPTY)
        self.empty.setWordWrap(True)
        self._layout.addWidget(self.empty)
        # Ends with this widget; fits the picture once the canvas has its new size.
        self._fit = QTimer(self)
        self._fit.setSingleShot(True)
        self._fit.timeout.connect(self._viewer.fit_to_view)
        self._keeper.changed.connect(self._update)
        DockEnd(self, self.end)
        self._update()

    def leave_sides(self) -> None:
        """Lie below the canvas alone: lists and panels beside it keep their height."""
        window, corner, area = self.window(), Qt.Corner, Qt.DockWidgetArea
        if isinstance(window, QMainWindow):
            window.setCorner(corner.BottomLeftCorner, area.LeftDockWidgetArea)
            window.setCorner(corner.BottomRightCorner, area.RightDockWidgetArea)
            window.installEventFilter(self)
            self._leave_height(window)
        self._fit.start(REST_MS)

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802  (Qt's name)
        """Leave the canvas its part of the window, and end with the window."""
        if event.type() == QEvent.Type.Resize:
            self._leave_height(watched)
        # When a user closes the window, napari may ask and leave it open.
        closed = event.type() == QEvent.Type.Close and not event.spontaneous()
        if closed or event.type() == QEvent.Type.DeferredDelete:
            self.end()
        return False

    def _leave_height(self, window: QWidget) -> None:
        self.setMaximumHeight(round(_SHARE * window.height()))

    def end(self) -> None:
        """Take the cross-hair out of the viewer, and close both planes."""
        if self._is_over:
            return
        self._is_over = True
        self._fit.stop()
        self._keeper.changed.disconnect(self._update)
        if self._cross_hair is not None:
            self._cross_hair.remove()
        if self._zoom is not None:
            self._zoom.end()
        for view in self.views:
            view.end()
        self.views = []

    def _update(self) -> None:
        """Show the planes once there is a scan, and let the lines fit it."""
        scans = [layer for layer in self._viewer.layers if is_scan(layer)]
        self.empty.setVisible(not scans)
        if not scans and self._cross_hair is not None:
            self._cross_hair.remove()
            self._cross_hair = None
        # Layers that are added here tell of it here again.
        if not scans or self._is_updating:
            return
        self._is_updating = True
        try:
            if not self.views:
                self.views = [SideView(self._viewer, self._keeper, n) for n in (0, 1)]
                models = [view.model for view in self.views]
                self._zoom = LinkedZoom(self._viewer, models)
                for view in self.views:
                    view.zoom = self._zoom
                    self._layout.addWidget(view)
            self._draw_lines(scans[-1].extent.world[:, -3:])
        finally:
            self._is_updating = False

    def _draw_lines(self, extent: Any) -> None:
        lines = self._cross_hair
        if lines is not None and lines.layer not in self._viewer.layers:
            return  # removed by hand, or with all layers
        if lines is not None and lines.fits(self._viewer):
            lines.set_extent(extent)
            return
        if lines is not None:
            lines.remove()
        self._cross_hair = CrossHair(self._viewer, extent)
