"""Run, Cancel, and how far the work is."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)


class RunRow(QWidget):
    """Two buttons, and a bar that is there while work goes on."""

    run_clicked = Signal()
    several_clicked = Signal()
    cancel_clicked = Signal()

    def __init__(
        self, text: str, tip: str, parent: QWidget | None = None, *, several: str = ""
    ) -> None:
        super().__init__(parent)
        self._several = several
        self._possible, self._busy = True, False
        self.run_button = QPushButton(text)
        self.run_button.setToolTip(tip)
        self.run_button.clicked.connect(self.run_clicked)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop and drop the result")
        self.cancel_button.clicked.connect(self.cancel_clicked)
        self.several_button = QPushButton(several)
        self.several_button.setVisible(False)
        self.several_button.clicked.connect(self.several_clicked)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.text = QLabel()
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.several_button, 1)
        buttons.addWidget(self.cancel_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.text)
        # Its lines stay together where the panel has room to spare.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.set_busy(False)

    def set_busy(self, busy: bool) -> None:
        """Offer what can be done now: run, or cancel."""
        self._busy = busy
        self.run_button.setEnabled(self._possible and not busy)
        self.several_button.setEnabled(not busy)
        self.cancel_button.setEnabled(busy)
        self.bar.setVisible(busy)
        self.text.setVisible(busy)
        self.show_progress(0, 0, "Working" if busy else "")

    def offer(self, text: str, tip: str, *, possible: bool) -> None:
        """Write anew what the button does, and whether that can be done."""
        self._possible = possible
        self.run_button.setText(text)
        self.run_button.setToolTip(tip)
        self.run_button.setEnabled(possible and not self._busy)

    def offer_several(self, n: int) -> None:
        """Offer to do it for so many at once; not for fewer than two."""
        self.several_button.setText(f"{self._several} ({n})")
        self.several_button.setToolTip(
            f"For all {n} open scans that fit, one after another"
        )
        self.several_button.setVisible(bool(self._several) and n > 1)

    def show_progress(self, done: int, total: int, text: str) -> None:
        """Show steps done of steps in all; 0 in all means that nobody knows."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.text.setText(f"{text[:1].upper()}{text[1:]}…" if text else "")
