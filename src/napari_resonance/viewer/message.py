"""One sentence to the user: what went wrong, or what was done."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

_ERROR = "background: #7a2e2e; color: white; border-radius: 4px; padding: 6px;"
_NOTE = "background: rgba(128, 128, 128, 50); border-radius: 4px; padding: 6px;"


class Message(QLabel):
    """A box of text that is there only while it has something to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.clear_message()

    def show_error(self, sentence: str) -> None:
        """Say what went wrong and what to do."""
        self._show(sentence, _ERROR)

    def show_note(self, sentence: str) -> None:
        """Say what was done."""
        self._show(sentence, _NOTE)

    def clear_message(self) -> None:
        """Say nothing."""
        self.setText("")
        self.setVisible(False)

    def sentence(self) -> str:
        """Return what is said, as it was given."""
        return self.text().replace("\u200b", "")

    def _show(self, sentence: str, style: str) -> None:
        self.setStyleSheet(style)
        # Lets a long path break, where it would widen the dock.
        for mark in "/\\_":
            sentence = sentence.replace(mark, f"{mark}\u200b")
        self.setText(sentence)
        self.setVisible(True)
