"""A line with the path of a folder: typed, chosen, or dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_resonance.viewer.dialogs import ask_folder, ask_new_folder


class FolderLine(QWidget):
    """Reads the path of a folder, or of one that shall be made."""

    changed = Signal()
    """It is another folder."""

    def __init__(
        self, name: str, tip: str, *, new: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._name, self._new = name, new
        self.line = _Line()
        self.line.setAccessibleName(name)
        self.line.setToolTip(tip)
        self.line.setPlaceholderText(tip)
        self.line.textChanged.connect(self.changed)
        self.browse = QPushButton("…")
        self.browse.setAccessibleName(f"Choose: {name}")
        self.browse.setToolTip(tip)
        self.browse.clicked.connect(self._choose)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.browse)

    @property
    def path(self) -> Path | None:
        """The folder; None where none is given."""
        text = self.line.text().strip()
        return Path(text).expanduser() if text else None

    def set_path(self, path: Path) -> None:
        """Write a path into the line."""
        self.line.setText(str(path))

    def _choose(self) -> None:
        ask = ask_new_folder if self._new else ask_folder
        path = ask(self, self._name, self._name.lower())
        if path is not None:
            self.set_path(path)


class _Line(QLineEdit):
    """Takes a folder that is dropped on it as a path, not as an address."""

    def dropEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        urls = event.mimeData().urls()
        if urls and urls[0].isLocalFile():
            self.setText(urls[0].toLocalFile())
            event.acceptProposedAction()
        else:
            super().dropEvent(event)
