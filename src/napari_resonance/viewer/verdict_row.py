"""Accept, reject or relabel the scans that are chosen, and save the labels."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QPushButton, QWidget

from napari_resonance.viewer.class_names import keys_in_words
from napari_resonance.viewer.score_rows import REJECTED

NOTHING_CHOSEN = "Choose scans in the table first"
ACCEPT = (
    "The model is right: its label, or what the scan is called where it has an "
    "operating point, becomes yours (key 1 to 9: another class)"
)
REJECT = "Leave the scan out of the labels (key 0)"
SAVE = "A table of your verdicts, the doubtful first, for the Fine-tune panel"


class VerdictRow(QWidget):
    """Three verdicts and a button that saves them."""

    decided = Signal(object)
    """A class, `REJECTED`, or None for what the model says."""

    save_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.accept_button = QPushButton("Accept")
        self.reject_button = QPushButton("Reject")
        self.label_box = QComboBox()
        self.label_box.setAccessibleName("Relabel")
        self.save_button = QPushButton("Save as labels…")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.accept_button, 0, 0)
        layout.addWidget(self.reject_button, 0, 1)
        layout.addWidget(self.label_box, 1, 0)
        layout.addWidget(self.save_button, 1, 1)
        self.accept_button.clicked.connect(lambda: self.decided.emit(None))
        self.reject_button.clicked.connect(lambda: self.decided.emit(REJECTED))
        self.label_box.activated.connect(self._on_label)
        self.save_button.clicked.connect(self.save_wanted)
        self.set_labels(())
        self.offer(chosen=False, decided=False)

    @property
    def labels(self) -> list[str]:
        """The classes that can be given."""
        return [self.label_box.itemText(n) for n in range(1, self.label_box.count())]

    def set_labels(self, labels: Sequence[str]) -> None:
        """Offer these classes."""
        self.label_box.clear()
        self.label_box.addItem("Relabel…")
        self.label_box.addItems(list(labels))

    def offer(self, *, chosen: bool, decided: bool) -> None:
        """Say what can be done now."""
        keys = keys_in_words(self.labels, least=1)
        for widget, tip in (
            (self.accept_button, ACCEPT),
            (self.reject_button, REJECT),
            (self.label_box, f"The scan is of this class. {keys}"),
        ):
            widget.setEnabled(chosen)
            widget.setToolTip(tip if chosen else NOTHING_CHOSEN)
        self.save_button.setEnabled(decided)
        self.save_button.setToolTip(SAVE if decided else "There is no verdict yet")

    def _on_label(self, index: int) -> None:
        label = self.label_box.itemText(index)
        self.label_box.setCurrentIndex(0)
        if index > 0:
            self.decided.emit(label)
