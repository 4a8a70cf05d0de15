"""One sentence to the user: what went wrong, or what was done."""

from __future__ import annotations

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_resonance.viewer.fold import Fold, text_label

_ERROR = "background: #7a2e2e; color: white; border-radius: 4px; padding: 6px;"
_NOTE = "background: rgba(128, 128, 128, 50); border-radius: 4px; padding: 6px;"


class Message(QWidget):
    """A box of text that is there only while it has something to say.

    Where a fault of the program is meant, its details can be unfolded and copied.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = text_label()
        self.details = text_label()
        self.fold = Fold("Details", self.details)
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Copy the sentence and its details for a report")
        self.copy_button.clicked.connect(self._copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.label, self.fold, self.copy_button):
            layout.addWidget(widget)
        self.clear_message()

    def show_error(self, sentence: str, details: str = "") -> None:
        """Say what went wrong and what to do."""
        self._show(sentence, _ERROR, details)

    def show_note(self, sentence: str) -> None:
        """Say what was done; nothing for no sentence."""
        if sentence:
            self._show(sentence, _NOTE)

    def clear_message(self) -> None:
        """Say nothing."""
        self.label.setText("")
        self.setVisible(False)

    def sentence(self) -> str:
        """Return what is said, as it was given."""
        return self.label.text().replace("\u200b", "")

    def _show(self, sentence: str, style: str, details: str = "") -> None:
        self.label.setStyleSheet(style)
        self.label.setText(_breakable(sentence))
        self.details.setText(_breakable(details))
        self.fold.collapse(animate=False)
        for widget in (self.fold, self.copy_button):
            widget.setVisible(bool(details))
        self.setVisible(True)

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            text = f"{self.label.text()}\n\n{self.details.text()}"
            clipboard.setText(text.replace("\u200b", ""))


def _breakable(text: str) -> str:
    """Let long paths, and the underlines of a traceback, break: they widen the dock."""
    for mark in "/\\_^~":
        text = text.replace(mark, f"{mark}\u200b")
    return text
