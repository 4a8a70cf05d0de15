"""Which layer to classify; follows the selection in napari's layer list."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.scan_checks import unsuitable
from napari_resonance.viewer.connecting import connect_while_alive
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.forms import add_field, narrow_box, new_form
from napari_resonance.viewer.naming import facts_line
from napari_resonance.viewer.plain import MODALITIES, ORIENTATIONS, PlainAnswers
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.remedies import ANYWAY

_UNKNOWN = "Not known"
_CHOOSE = "The scan to classify; choosing one shows it"
_NONE = "Open a scan first: drop one above"


class ScanPicker(QWidget):
    """A list of the image layers; asks what a plain image is."""

    picked = Signal(object)
    """Another layer is chosen, or None; emitted for the user's choice and napari's."""

    chosen_here = Signal(object)
    """The user chose a layer in this list."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Any] = []
        self._card: ModelCard | None = None
        self.box = narrow_box()
        self.box.activated.connect(self._on_activated)
        self.modality = narrow_box()
        for code in MODALITIES:
            self.modality.addItem(code or _UNKNOWN, code)
        self.modality.setToolTip("This image does not say how it was made")
        self.orientation = narrow_box()
        for text, letters in ORIENTATIONS.items():
            self.orientation.addItem(text, letters)
        self.orientation.setCurrentIndex(self.orientation.findData(""))
        self.orientation.setToolTip(
            "This image does not say how it lies in the patient"
        )
        self.facts = plain_label()
        self.facts.setWordWrap(True)
        self.why_not = plain_label()
        self.why_not.setWordWrap(True)
        self.anyway = QCheckBox(ANYWAY)
        self.anyway.setToolTip("The answer carries a warning")
        self.anyway.toggled.connect(lambda: self.picked.emit(self.layer))
        choice, self._plain = new_form(), QWidget()
        add_field(choice, "Scan", self.box)
        plain = new_form(self._plain)
        add_field(plain, "Modality", self.modality)
        add_field(plain, "Orientation", self.orientation)
        # Not in the form: one shares its height out badly among texts that wrap.
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(choice)
        for widget in (self.facts, self.why_not, self.anyway, self._plain):
            layout.addWidget(widget)
        layers = viewer.layers
        events = layers.events
        for event in (events.inserted, events.removed, events.renamed):
            connect_while_alive(self, event, self._on_layers)
        connect_while_alive(self, layers.selection.events.active, self._on_active)
        self._on_layers()
        self._on_active()

    @property
    def layer(self) -> Any | None:
        """The layer that is chosen."""
        index = self.box.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def follow_model(self, card: ModelCard | None) -> None:
        """Grey out what a model was not made for, and say why."""
        self._card = card
        self.anyway.setChecked(False)
        self._judge()
        self._tell()

    def reason(self, layer: Any) -> str:
        """Say why the model was not made for a layer; empty if it may be classified."""
        record = record_of(layer)
        if record is None or self._card is None:
            return ""
        odd = unsuitable(record.scan, self._card)
        return f"{odd[0][:1].upper()}{odd[0][1:]}." if odd else ""

    def suitable(self) -> list[Any]:
        """Return all layers of scans that the model was made for."""
        scans = (layer for layer in self._layers if record_of(layer) is not None)
        return [layer for layer in scans if not self.reason(layer)]

    def answers(self) -> PlainAnswers:
        """Return what the user says of a plain image."""
        return PlainAnswers(self.modality.currentData(), self.orientation.currentData())

    def _on_layers(self, event: Any = None) -> None:
        before = self.layer
        self._layers = [layer for layer in self._viewer.layers if _can_be_scan(layer)]
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([layer.name for layer in self._layers])
        self.box.blockSignals(False)
        self._judge()
        self.box.setEnabled(bool(self._layers))
        self.box.setToolTip(_CHOOSE if self._layers else _NONE)
        self.box.setPlaceholderText("no scan is open")
        if self._layers:
            kept = before if before in self._layers else self._layers[0]
            self.box.setCurrentIndex(self._layers.index(kept))
        self._tell()

    def _on_active(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        record = record_of(active)
        if record is not None and record.role == "saliency":
            scans = (x for x in self._layers if _shows(x, record.scan))
            active = next(scans, None)
        if active in self._layers and active is not self.layer:
            self.box.setCurrentIndex(self._layers.index(active))
            self._tell()

    def _on_activated(self, index: int) -> None:
        self._tell()
        self.chosen_here.emit(self.layer)

    def _judge(self) -> None:
        model = self.box.model()
        for n, layer in enumerate(self._layers):
            reason = self.reason(layer)
            self.box.setItemData(n, reason or None, Qt.ItemDataRole.ToolTipRole)
            item = model.item(n) if isinstance(model, QStandardItemModel) else None
            if item is not None:
                item.setEnabled(not reason)

    def _tell(self) -> None:
        record = record_of(self.layer)
        self.facts.setText("" if record is None else facts_line(record.scan))
        self.facts.setToolTip(self.facts.text())
        self.facts.setVisible(record is not None)
        reason = self.reason(self.layer)
        self.why_not.setText(reason)
        for widget in (self.why_not, self.anyway):
            widget.setVisible(bool(reason))
        self._plain.setVisible(self.layer is not None and record is None)
        self.picked.emit(self.layer)


def _can_be_scan(layer: Any) -> bool:
    from napari.layers import Image

    record = record_of(layer)
    return isinstance(layer, Image) and (record is None or record.role == "scan")


def _shows(layer: Any, scan: Any) -> bool:
    record = record_of(layer)
    return record is not None and record.scan is scan
