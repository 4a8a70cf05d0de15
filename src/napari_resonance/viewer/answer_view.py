"""The answer for the scan that is chosen, with all that changes or judges its map."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.explain_row import ExplainRow
from napari_resonance.viewer.records import LayerRecord, record_of
from napari_resonance.viewer.result_view import ResultView
from napari_resonance.viewer.saliency_controls import SaliencyControls
from napari_resonance.viewer.trust_box import TrustBox
from napari_resonance.viewer.viewer_actions import (
    go_to_peak,
    go_to_slice,
    saliency_of,
)


class AnswerView(QWidget):
    """Follows one layer; what moves the sliders is done here."""

    map_wanted = Signal()
    """The user wants another map of the answer."""

    measure_wanted = Signal()
    """The user wants the map to be measured."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._keeper = viewer, attach(viewer)
        self._layer: Any = None
        self.result = ResultView()
        self.explain_row = ExplainRow()
        self.saliency_controls = SaliencyControls()
        self.trust = TrustBox()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        parts = (self.result, self.explain_row, self.saliency_controls, self.trust)
        for part in parts:
            layout.addWidget(part)
        self.result.peak_wanted.connect(self._go_to_peak)
        self.result.slice_wanted.connect(self._go_to_slice)
        self.explain_row.changed.connect(self.map_wanted)
        self.trust.measure_wanted.connect(self.measure_wanted)

    @property
    def record(self) -> LayerRecord | None:
        """What the layer carries."""
        return record_of(self._layer)

    def follow(self, layer: Any) -> None:
        """Show the answer of this layer."""
        self._layer = layer
        # Without a scan there is nothing that could be explained.
        self.explain_row.setVisible(layer is not None)
        record = self.record
        answer = None if record is None else record.prediction
        run = None if record is None else record.shown_run
        self.result.show_prediction(answer, "" if record is None else record.place)
        self.saliency_controls.follow(saliency_of(self._viewer, layer))
        self.trust.show_measured(answer, () if run is None else run.residual)

    def _go_to_peak(self) -> None:
        if self.record is not None:
            go_to_peak(self._keeper, self.record.prediction)

    def _go_to_slice(self, number: int) -> None:
        if self.record is not None:
            go_to_slice(self._keeper, self.record.prediction, number)
