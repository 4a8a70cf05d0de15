"""How far a map can be trusted: a gauge, and a look into the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_resonance.viewer.fold import Fold, text_label
from napari_resonance.viewer.measuring import Rows, faithful_bars, residual_bars
from napari_resonance.viewer.signed_bars import SignedBars

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction

MEASURE = (
    "Take away what the map marks, and put it back alone: the answer should change "
    "more than for places drawn at random. Runs the network about 30 times"
)
_GAUGE = (
    "How much sooner the probability falls when what the map marks is taken away, and "
    "rises when it is put back, than for random places. Left of the line: worse than "
    "chance."
)
_LENS = "What each part of the network added to the score of the class (its logit):"


class TrustBox(QWidget):
    """There while a map is shown."""

    measure_wanted = Signal()
    """The user wants the map to be measured."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QPushButton("Measure the map")
        self.button.setToolTip(MEASURE)
        self.button.clicked.connect(self.measure_wanted)
        self.gauge = SignedBars("Faithfulness of the map against chance", 1.0)
        self.verdict, self.lens = text_label(), SignedBars("Residual lens")
        self.about = Fold("What do these bars say?", text_label(_GAUGE))
        self.lens_title = text_label(_LENS)
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (
            self.button,
            self.gauge,
            self.verdict,
            self.about,
            self.lens_title,
            self.lens,
        ):
            layout.addWidget(widget)
        self.fold = Fold("Can the map be trusted?", inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.fold)
        self.show_measured(None, ())

    def show_measured(self, prediction: Prediction | None, residual: Rows) -> None:
        """Show what was measured of an answer's map; None for no answer."""
        saliency = None if prediction is None else prediction.saliency
        self.setVisible(saliency is not None and not saliency.is_empty)
        figures: Mapping[str, Any] = (saliency and saliency.faithfulness) or {}
        self.gauge.show_bars(faithful_bars(figures) if figures else ())
        words = str(figures.get("sentence", ""))
        self.verdict.setText(f"{words[:1].upper()}{words[1:]}." if words else "")
        for widget in (self.verdict, self.about):
            widget.setVisible(bool(figures))
        self.lens.show_bars(residual_bars(residual))
        self.lens_title.setVisible(bool(residual))
        self.button.setText("Measure the map again" if figures else "Measure the map")
