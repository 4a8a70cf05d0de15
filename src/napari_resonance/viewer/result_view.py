"""The answer for one scan: class, how sure, why not, and where the network looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from napari_resonance.export.wording import certainty, percent, why_unsure
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.probability_bars import ProbabilityBars
from napari_resonance.viewer.slice_curve import SliceCurve

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction

# Dark letters on a light badge: readable on napari's dark and light theme alike, and
# the words say what the colour says.
_BADGE = "background: {color}; color: #15181c; border-radius: 4px; padding: 2px 8px;"
_BADGES = {
    "sure": ("#7bd88f", "Sure"),
    "unsure": ("#f2c14e", "Unsure"),
    "unlike its training data": ("#f28b82", "Unlike its training data"),
}
_MAX_NOTES = 3


class ResultView(QWidget):
    """Shows a prediction, or nothing."""

    peak_wanted = Signal()
    """The user wants to see where the map is highest."""

    slice_wanted = Signal(int)
    """The user wants to see this slice of the network's input."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = plain_label()
        self.label.setStyleSheet("font-size: 20px; font-weight: bold;")
        self.badge = plain_label()
        self.reason = plain_label()
        self.bars = ProbabilityBars()
        self.set = plain_label()
        self.set.setToolTip(
            "Holds the right label as often as the model's card promises"
        )
        self.curve = SliceCurve()
        self.curve.slice_wanted.connect(self.slice_wanted)
        self.place = plain_label()
        self.peak_button = QPushButton("Go to the peak")
        self.peak_button.setToolTip("Move the slices to where the map is highest")
        self.peak_button.clicked.connect(self.peak_wanted)
        self.notes = plain_label()
        self.origin = plain_label()
        for text in (self.reason, self.set, self.place, self.notes, self.origin):
            text.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        # Side by side where the dock is wide enough for both.
        head = QFlowLayout()
        head.addWidget(self.label)
        head.addWidget(self.badge)
        layout.addLayout(head)
        for widget in (
            self.reason,
            self.bars,
            self.set,
            self.curve,
            self.place,
            self.peak_button,
        ):
            layout.addWidget(widget)
        layout.addWidget(self.notes)
        layout.addWidget(self.origin)
        self.show_prediction(None)

    def show_prediction(self, prediction: Prediction | None, place: str = "") -> None:
        """Show an answer, and in words where the map is highest; None clears."""
        self.setVisible(prediction is not None)
        if prediction is None:
            return
        color, words = _BADGES[certainty(prediction)]
        self.label.setText(f"{prediction.label}  {percent(prediction.probability)}")
        self.badge.setText(words)
        self.badge.setStyleSheet(_BADGE.format(color=color))
        _say(self.reason, _sentence(why_unsure(prediction)))
        self.bars.show_probabilities(prediction.probabilities)
        _say(self.set, _set(prediction.prediction_set))
        self.curve.show_prediction(prediction)
        _say(self.place, _place(prediction, place))
        self.peak_button.setVisible(_has_peak(prediction))
        _say(self.notes, _notes(prediction.warnings))
        seconds = f"{prediction.seconds:.1f} s"
        self.origin.setText(
            f"{prediction.model}, weights {prediction.model_sha256[:8]}, {seconds}"
        )


def _say(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


def _has_peak(prediction: Prediction) -> bool:
    saliency = prediction.saliency
    return saliency is not None and not saliency.is_empty


def _set(labels: tuple[str, ...] | None) -> str:
    return "" if labels is None else f"Prediction set: {', '.join(labels) or 'empty'}."


def _place(prediction: Prediction, place: str) -> str:
    if prediction.saliency is not None and not _has_peak(prediction):
        return f"Nothing in the scan speaks {prediction.saliency.claim}."
    return f"Peak of the map: {place}." if place else ""


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}." if clause else ""


def _notes(warnings: tuple[str, ...]) -> str:
    lines = [f"Note: {_sentence(text)}" for text in warnings[:_MAX_NOTES]]
    if len(warnings) > _MAX_NOTES:
        lines.append(f"and {len(warnings) - _MAX_NOTES} more notes")
    return "\n".join(lines)
