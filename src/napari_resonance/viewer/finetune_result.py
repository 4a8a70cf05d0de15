"""What a training led to: how good the model is, its report, and its use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_resonance.viewer.fold import plain_label

if TYPE_CHECKING:
    from napari_resonance.training.finetune import FinetuneResult

_NAMES = {
    "auroc": "AUROC",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}


class FinetuneResultView(QWidget):
    """Shows the figures of a model that was trained, or nothing."""

    use_wanted = Signal()
    """The model shall be chosen in the Classify panel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._result: FinetuneResult | None = None
        self.figures = plain_label()
        self.notes = plain_label()
        self.notes.setWordWrap(True)
        self.figures.setWordWrap(True)
        self.report_button = QPushButton("Open the report")
        self.report_button.setToolTip("Figures, curves and decisions, in the browser")
        self.report_button.clicked.connect(self._open_report)
        self.use_button = QPushButton("Use this model")
        self.use_button.setToolTip("Choose it in the Classify panel")
        self.use_button.clicked.connect(self.use_wanted)
        buttons = QHBoxLayout()
        buttons.addWidget(self.report_button)
        buttons.addWidget(self.use_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.figures)
        layout.addWidget(self.notes)
        layout.addLayout(buttons)
        self.show_result(None)

    @property
    def result(self) -> FinetuneResult | None:
        """What is shown."""
        return self._result

    def show_result(self, result: FinetuneResult | None) -> None:
        """Show a model and its figures; None clears."""
        self._result = result
        self.setVisible(result is not None)
        if result is None:
            return
        lines = [f"{result.bundle.card.name} is trained."]
        lines += figure_lines(result.metrics, result.bundle.card.labels)
        self.figures.setText("\n".join(lines))
        self.notes.setText("\n".join(f"Note: {note}." for note in result.notes))
        self.notes.setVisible(bool(result.notes))
        self.report_button.setEnabled(result.report is not None)

    def _open_report(self) -> None:
        if self._result is not None and self._result.report is not None:
            url = QUrl.fromLocalFile(str(self._result.report))
            QDesktopServices.openUrl(url)


def figure_lines(metrics: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    """Return the main figures with their intervals, a line each.

    Of two labels, sensitivity and specificity are about the second, which is named.
    """
    lines = []
    about = f" for {labels[1]}" if len(labels) == 2 else ""
    for key, name in _NAMES.items():
        entry = metrics.get(key)
        if not isinstance(entry, Mapping) or entry.get("value") is None:
            continue
        low, high = entry.get("low"), entry.get("high")
        # Of perfect figures often only one end, or none, is known.
        known = low is not None and high is not None
        interval = f" (95 % interval {low:.2f} to {high:.2f})" if known else ""
        whose = about if key in ("sensitivity", "specificity") else ""
        lines.append(f"{name}{whose} {entry['value']:.2f}{interval}")
    return lines
