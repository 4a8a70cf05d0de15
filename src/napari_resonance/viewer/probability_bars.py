"""One bar for each class."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtWidgets import QGridLayout, QProgressBar, QWidget

from napari_resonance.export.wording import percent
from napari_resonance.viewer.fold import plain_label

_STEPS = 1000
_BAR = """
QProgressBar {{
    background: rgba(128, 128, 128, 60); border: none; border-radius: 3px;
}}
QProgressBar::chunk {{ background: {color}; border-radius: 3px; }}
"""
BEST, _OTHER = "#5aa9e6", "#8a929c"


class ProbabilityBars(QWidget):
    """Calibrated probabilities, in the classifier's order of classes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QGridLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setColumnStretch(1, 1)

    def show_probabilities(self, probabilities: Mapping[str, float]) -> None:
        """Draw one row for each label."""
        self._clear()
        best = max(probabilities.values(), default=0.0)
        for row, (label, probability) in enumerate(probabilities.items()):
            bar = QProgressBar()
            bar.setRange(0, _STEPS)
            bar.setValue(round(probability * _STEPS))
            bar.setTextVisible(False)
            bar.setFixedHeight(10)
            color = BEST if probability == best else _OTHER
            bar.setStyleSheet(_BAR.format(color=color))
            bar.setAccessibleName(f"{label} {percent(probability)}")
            parts = (plain_label(label), bar, plain_label(percent(probability)))
            for column, part in enumerate(parts):
                self._layout.addWidget(part, row, column)
                # Qt would show it a moment later, and has no height for it till then.
                part.show()
        # What lies around may be laid out before it hears of the new rows, and would
        # squeeze them to what the old ones took.
        self.setMinimumHeight(self._layout.sizeHint().height())

    def _clear(self) -> None:
        while item := self._layout.takeAt(0):
            widget = item.widget()
            if widget is not None:
                # Without a parent it would be a window of its own until it is deleted.
                widget.hide()
                widget.deleteLater()
