"""The menu of files that answers can be written to, and a button that copies one."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QWidget

from napari_resonance.viewer.exports import KINDS


class ExportRow(QWidget):
    """Says which file is wanted."""

    export_wanted = Signal(object)
    """The user wants a file of this `ExportKind`."""

    copy_wanted = Signal()
    """The user wants the answer as text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        for kind in KINDS:
            action = QAction(kind.text, self.menu)
            action.setToolTip(kind.tip)
            action.triggered.connect(partial(self._want, kind))
            self.menu.addAction(action)
        self.button = QPushButton("Export")
        self.button.setToolTip("Write this answer, or all of them, to a file")
        self.button.setMenu(self.menu)
        self.copy_button = QPushButton("Copy text")
        self.copy_button.setToolTip("Copy the answer in words; names no file or person")
        self.copy_button.clicked.connect(self.copy_wanted)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        layout.addWidget(self.copy_button)

    def _want(self, kind: object, checked: bool = False) -> None:
        self.export_wanted.emit(kind)
