"""Train, Cancel, go on with what was stopped, or finish with the best so far."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QPushButton, QVBoxLayout, QWidget

from napari_resonance.viewer.pace import Pace, duration
from napari_resonance.viewer.remedies import GO_ON
from napari_resonance.viewer.run_row import RunRow

TRAIN = "Train on the labelled scans, and judge the model by patients it has not seen"
FINISH = "End here: judge and keep the model with the best weights so far"
FINISHING = "The epoch that runs is the last one"
NOTHING_YET = "There is something to keep once an epoch has ended"
FOLDS_END = "With folds, each network needs its own time"


class TrainRow(QWidget):
    """The buttons of a training, and how long it will take."""

    train_clicked = Signal()
    cancel_clicked = Signal()
    finish_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pace = Pace()
        self.resume_box = QCheckBox(GO_ON)
        self.resume_box.setToolTip("From its last whole epoch; else it begins anew")
        self.resume_box.setChecked(True)
        self.run_row = RunRow("Train", TRAIN)
        # With folds and members, one line has no room for the time that is left.
        self.run_row.text.setWordWrap(True)
        self.run_row.explain_cancel("Stop; whole epochs are kept")
        self.finish_button = QPushButton("Finish with the best so far")
        self.run_row.run_clicked.connect(self.train_clicked)
        self.run_row.cancel_clicked.connect(self.cancel_clicked)
        self.finish_button.clicked.connect(self.finish_clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.resume_box, self.run_row, self.finish_button):
            layout.addWidget(widget)

    @property
    def wants_resume(self) -> bool:
        """Whether an interrupted training shall go on."""
        return self.resume_box.isVisibleTo(self) and self.resume_box.isChecked()

    def set_busy(self, busy: bool) -> None:
        """Offer what can be done now: train, or cancel."""
        self._pace = Pace()
        self.run_row.set_busy(busy)

    def show_progress(self, done: int, total: int, text: str) -> None:
        """Show how far the work is, and how long it will take at most."""
        left = self._pace.seconds_left(done, total, text)
        # The figures are drawn as curves; the line has no room for them.
        words = text.split(", loss", maxsplit=1)[0]
        more = "" if left is None else f", {duration(left)} left at most"
        self.run_row.show_progress(done, total, f"{words}{more}")

    def offer(self, why_not: str, *, interrupted: bool) -> None:
        """Say whether a training can begin, and if one was interrupted here."""
        self.run_row.offer("Train", why_not or TRAIN, possible=not why_not)
        self.resume_box.setVisible(interrupted)

    def offer_finish(self, shown: bool, why_not: str) -> None:
        """Say whether what there is can be kept, and why not."""
        self.finish_button.setVisible(shown)
        self.finish_button.setEnabled(not why_not)
        self.finish_button.setToolTip(why_not or FINISH)
