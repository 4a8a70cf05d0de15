"""Run, Cancel, and how far the work is."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_resonance.viewer.fold import plain_label

CANCEL = "Stop and drop the result"
BUSY = "Something is running: wait, or cancel it"
IDLE = "Nothing is running"


class RunRow(QWidget):
    """Two buttons, and a bar that is there while work goes on."""

    run_clicked = Signal()
    several_clicked = Signal()
    cancel_clicked = Signal()

    def __init__(
        self, text: str, tip: str, parent: QWidget | None = None, *, several: str = ""
    ) -> None:
        super().__init__(parent)
        self._several, self._several_tip = several, ""
        self._possible, self._busy = True, False
        self._tip, self._cancel_tip = tip, CANCEL
        self.run_button = QPushButton(text)
        self.run_button.clicked.connect(self.run_clicked)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.clicked.connect(self.cancel_clicked)
        self.several_button = QPushButton(several)
        self.several_button.setAccessibleName(f"{text}: {several or 'several'}")
        self.several_button.setVisible(False)
        self.several_button.clicked.connect(self.several_clicked)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.text = plain_label()
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

    def explain_cancel(self, tip: str) -> None:
        """Say what becomes of the work that is cancelled."""
        self._cancel_tip = tip
        self._tell()

    def set_busy(self, busy: bool) -> None:
        """Offer what can be done now: run, or cancel."""
        self._busy = busy
        self._tell()
        self.bar.setVisible(busy)
        self.text.setVisible(busy)
        self.show_progress(0, 0, "Working" if busy else "")

    def offer(self, text: str, tip: str, *, possible: bool) -> None:
        """Write anew what the button does, and whether that can be done."""
        self._possible, self._tip = possible, tip
        self.run_button.setText(text)
        self._tell()

    def offer_several(self, n: int) -> None:
        """Offer to do it for so many at once; not for fewer than two."""
        self.several_button.setText(f"{self._several} ({n})")
        self._several_tip = f"For all {n} open scans that fit, one after another"
        self.several_button.setVisible(bool(self._several) and n > 1)
        self._tell()

    def _tell(self) -> None:
        """Say what each button does, or why it cannot now."""
        busy = self._busy
        self.run_button.setEnabled(self._possible and not busy)
        self.run_button.setToolTip(BUSY if busy and self._possible else self._tip)
        self.several_button.setEnabled(not busy)
        self.several_button.setToolTip(BUSY if busy else self._several_tip)
        self.cancel_button.setEnabled(busy)
        self.cancel_button.setToolTip(self._cancel_tip if busy else IDLE)

    def show_progress(self, done: int, total: int, text: str) -> None:
        """Show steps done of steps in all; 0 in all means that nobody knows."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.text.setText(f"{text[:1].upper()}{text[1:]}…" if text else "")
