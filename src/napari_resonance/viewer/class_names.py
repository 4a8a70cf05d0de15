"""The classes that scans are labelled with, and the keys that do it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QLineEdit, QVBoxLayout, QWidget

MOST_KEYS = 9
NO_CLASSES = "Type the names of at least two classes."


class ClassNames(QWidget):
    """A line of names, parted by commas."""

    changed = Signal()
    """There are other classes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLineEdit()
        self.line.setPlaceholderText("for example: benign, malignant")
        self.line.setAccessibleName("Classes")
        self.line.setToolTip("Names of the classes, parted by commas")
        self.line.textChanged.connect(self._tell)
        self.keys = QLabel()
        self.keys.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addWidget(self.keys)
        self._tell()

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in their order, each once."""
        parts = (part.strip() for part in self.line.text().split(","))
        return tuple(dict.fromkeys(part for part in parts if part))

    def name_of_key(self, number: int) -> str:
        """Return the class of a key, 1 to 9; empty where there is none."""
        names = self.names
        return names[number - 1] if number <= len(names) else ""

    def add(self, names: Sequence[str]) -> None:
        """Add classes that are not there yet."""
        wanted = dict.fromkeys([*self.names, *names])
        if tuple(wanted) != self.names:
            self.line.setText(", ".join(wanted))

    def _tell(self) -> None:
        names = self.names
        keyed = [f"{n} {name}" for n, name in enumerate(names[:MOST_KEYS], start=1)]
        self.keys.setText(f"Keys: {' · '.join(keyed)}" if names else NO_CLASSES)
        self.changed.emit()
