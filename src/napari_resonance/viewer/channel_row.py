"""Which scans are the further input channels of a model that takes several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtWidgets import QComboBox, QWidget

from napari_resonance.viewer.connecting import connect_while_alive
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.forms import add_field, narrow_box, new_form
from napari_resonance.viewer.records import is_scan

_SAME = "Choose a different scan for each channel."


class ChannelRow(QWidget):
    """A list of scans for each channel after the first; none for most models."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._names: tuple[str, ...] = ()
        self._layers: list[Any] = []
        self.boxes: list[QComboBox] = []
        self.first = plain_label()
        self.first.setWordWrap(True)
        self._form = new_form(self)
        self._form.addRow(self.first)
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.renamed):
            connect_while_alive(self, event, self._on_layers)
        self.follow_model(())

    def follow_model(self, names: Sequence[str]) -> None:
        """Ask for these channels; the first is the scan that is picked itself."""
        self._names = tuple(names)
        while self.boxes:
            self._form.removeRow(self.boxes.pop())
        for name in self._names[1:]:
            box = narrow_box()
            box.setToolTip(f"The scan that this model takes as its channel {name}")
            add_field(self._form, name, box)
            self.boxes.append(box)
        self.setVisible(len(self._names) > 1)
        if self._names:
            self.first.setText(f"The scan chosen above is the channel {self._names[0]}")
        self._on_layers()

    def layers(self) -> list[Any]:
        """Return the layers that are chosen, in the order of the channels."""
        chosen = (box.currentIndex() for box in self.boxes)
        return [self._layers[n] for n in chosen if 0 <= n < len(self._layers)]

    def missing(self, first: Any) -> str:
        """Return what the user has still to do; empty if all channels are chosen."""
        chosen = self.layers()
        if len(chosen) < len(self.boxes):
            return f"Open and choose the scans for {' and '.join(self._names[1:])}."
        different = {id(layer) for layer in (first, *chosen)}
        return _SAME if len(different) <= len(self.boxes) else ""

    def _on_layers(self, event: Any = None) -> None:
        kept = self.layers()
        self._layers = [layer for layer in self._viewer.layers if is_scan(layer)]
        for n, box in enumerate(self.boxes):
            box.clear()
            box.addItems([layer.name for layer in self._layers])
            before = kept[n] if n < len(kept) else None
            at = self._layers.index(before) if before in self._layers else n + 1
            box.setCurrentIndex(min(at, len(self._layers) - 1))
