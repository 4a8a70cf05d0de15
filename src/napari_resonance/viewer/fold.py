"""A heading that folds away what not everybody wants to read."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget
from superqt import QCollapsible

# Qt's own limit, which it does not name in Python.
_UNLIMITED = (1 << 24) - 1


class Fold(QCollapsible):
    """A heading, and below it a widget that is shown on a click."""

    def __init__(
        self, title: str, content: QWidget, parent: QWidget | None = None
    ) -> None:
        super().__init__(title, parent, expandedIcon="▾", collapsedIcon="▸")
        # Nothing moves while somebody waits to read.
        self.setDuration(0)
        for frame in (self, self.content()):
            layout = frame.layout()
            if layout is not None:
                layout.setContentsMargins(0, 0, 0, 0)
                layout.setSpacing(2)
        self.toggleButton().setAccessibleName(title)
        self.setContent(content)
        self.toggled.connect(self._on_toggled)
        self.collapse(animate=False)

    def _on_toggled(self, expanded: bool) -> None:
        """Let what is unfolded grow: its height now would cut what it says later."""
        if expanded:
            self.content().setMaximumHeight(_UNLIMITED)


def plain_label(text: str = "") -> QLabel:
    """Return a label that shows what it is given, ``<40 %`` and ``<b>`` too.

    Names of classes, model cards and headers come from files: never rich text.
    """
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def text_label(text: str = "") -> QLabel:
    """Return a label of plain text that wraps, and that mouse and keys can copy."""
    label = plain_label(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse
        | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    return label
