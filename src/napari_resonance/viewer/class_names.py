"""The classes that scans are labelled with, and the keys that do it."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_resonance.viewer.fold import plain_label

MOST_KEYS = 9
NO_CLASSES = "Type the names of at least two classes."


def classes_by_key(names: Sequence[str], least: int = 0) -> dict[int, str]:
    """Return the class of each key, in the order of the keys.

    The classes have the keys from 1 on in their order. But one whose name is a digit
    has the key of that digit: of the classes 0 and 1, the key 1 must not give 0.

    Parameters
    ----------
    names
        The classes, each once.
    least
        The first key that may stand for a class.

    """
    digits = {str(n): n for n in range(least, MOST_KEYS + 1)}
    own = {digits[name]: name for name in names if name in digits}
    free = (n for n in range(1, MOST_KEYS + 1) if n not in own)
    others = (name for name in names if name not in digits)
    return dict(sorted({**own, **dict(zip(free, others, strict=False))}.items()))


def keys_in_words(names: Sequence[str], least: int = 0) -> str:
    """Return which key stands for which class: ``"Keys: 1 benign · 2 malignant"``."""
    keys = classes_by_key(names, least).items()
    told = [
        name if name == str(number) else f"{number} {name}" for number, name in keys
    ]
    return f"Keys: {' · '.join(told)}"


def _quoted(name: str) -> str:
    """Return a name as it is typed: in quotes, where a comma is part of it."""
    if "," not in name and not name.startswith('"'):
        return name
    return '"' + name.replace('"', '""') + '"'


class ClassNames(QWidget):
    """A line of names, parted by commas."""

    changed = Signal()
    """There are other classes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLineEdit()
        self.line.setPlaceholderText("for example: benign, malignant")
        self.line.setAccessibleName("Classes")
        self.line.setToolTip(
            'Names of the classes, parted by commas; "in quotes, if it has one"'
        )
        self.line.textChanged.connect(self._tell)
        self.keys = plain_label()
        self.keys.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addWidget(self.keys)
        self._tell()

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in their order, each once."""
        rows = csv.reader([self.line.text()], skipinitialspace=True)
        parts = (part.strip() for row in rows for part in row)
        return tuple(dict.fromkeys(part for part in parts if part))

    def name_of_key(self, number: int) -> str:
        """Return the class of a key, 0 to 9; empty where there is none."""
        return classes_by_key(self.names).get(number, "")

    def add(self, names: Sequence[str]) -> None:
        """Add classes that are not there yet."""
        wanted = dict.fromkeys([*self.names, *names])
        if tuple(wanted) != self.names:
            self.line.setText(", ".join(map(_quoted, wanted)))

    def _tell(self) -> None:
        self.keys.setText(keys_in_words(self.names) if self.names else NO_CLASSES)
        self.changed.emit()
