"""Where a model that looks at regions shall look: a click, a box, or the cross-hair."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_resonance.preprocessing import Recipe
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.connecting import connect_while_alive
from napari_resonance.viewer.cursor_text import place_text
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.regions import (
    BOX,
    PLACES,
    Region,
    mark_layer,
    region_in,
)

_NOWHERE = "This model looks at a region: click a place or draw a box on the scan."
_DEFAULT = "This model looks at the middle of the scan unless you mark a place."


class RegionRow(QWidget):
    """There while the model looks at regions; marks are layers of the viewer."""

    changed = Signal()
    """Another region is marked."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._keeper = attach(viewer)
        self._recipe: Recipe | None = None
        self._marks: Any = None
        self.text = plain_label()
        self.text.setWordWrap(True)
        self.click_button = QPushButton("Click a place")
        self.click_button.setToolTip("Then click on the scan: the model looks there")
        self.click_button.clicked.connect(lambda: self._mark("points"))
        self.box_button = QPushButton("Draw a box")
        self.box_button.setToolTip("Then drag on the scan: the model looks inside")
        self.box_button.clicked.connect(lambda: self._mark("shapes"))
        self.here_button = QPushButton("Here")
        self.here_button.setToolTip("Look where the sliders and the cross-hair stand")
        self.here_button.clicked.connect(self._mark_here)
        buttons = QHBoxLayout()
        for button in (self.click_button, self.box_button, self.here_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.text)
        connect_while_alive(self, viewer.layers.events.removed, self._tell)
        connect_while_alive(self, self._keeper.changed, self._tell)
        self.follow_model(None)

    def follow_model(self, recipe: Recipe | None) -> None:
        """Ask for a region where this recipe looks at one."""
        self._recipe = recipe
        self.setVisible(recipe is not None and recipe.box is not None)
        self._tell()

    def region(self) -> Region | None:
        """Return the region that is marked on the scan that is shown."""
        record, current = record_of(self._marks), self._keeper.current
        if self._recipe is None or self._recipe.box is None or record is None:
            return None
        if self._marks not in self._viewer.layers or current is None:
            return None
        if record.scan is not current.scan:
            return None
        return region_in(self._marks, self._recipe)

    def missing(self) -> str:
        """Return what the user has still to do; empty if the model can look."""
        needed = self._recipe is not None and self._recipe.needs_center
        return _NOWHERE if needed and self.region() is None else ""

    def _mark(self, kind: str) -> Any | None:
        """Let the user mark the scan that is shown; returns the layer for it."""
        record, frame = self._keeper.current, self._keeper.frame
        if record is None or frame is None:
            return None
        name = PLACES if kind == "points" else BOX
        old = [x for x in self._viewer.layers if x.name == name]
        for layer in (x for x in old if record_of(x) is not None):
            self._viewer.layers.remove(layer)
        from napari.layers import Layer

        layer = Layer.create(*mark_layer(record.scan, frame, self._dims, kind))
        self._marks = self._viewer.add_layer(layer)
        self._marks.events.data.connect(self._on_marked)
        self._viewer.layers.selection.active = self._marks
        self._marks.mode = "add" if kind == "points" else "add_rectangle"
        self._tell()
        return self._marks

    @property
    def _dims(self) -> int:
        return max(3, int(self._viewer.dims.ndim))

    def _mark_here(self) -> None:
        layer = self._mark("points")
        if layer is not None:
            layer.add([self._viewer.dims.point])
            layer.mode = "pan_zoom"

    def _on_marked(self, event: Any = None) -> None:
        self._tell()
        self.changed.emit()

    def _tell(self, event: Any = None) -> None:
        region = self.region()
        if region is None:
            needed = self._recipe is not None and self._recipe.needs_center
            self.text.setText(_NOWHERE if needed else _DEFAULT)
            return
        import numpy as np

        text = f"Around {place_text(np.array(region.center_mm))}"
        if region.box_mm is not None:
            text += ", " + " × ".join(f"{n:.0f}" for n in region.box_mm) + " mm"
        self.text.setText(text)
