"""Where files and folders are dropped or chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_resonance.viewer.dialogs import ask_files, ask_folder
from napari_resonance.viewer.fold import plain_label

_STYLE = """
#drop_area { border: 1px dashed rgba(128, 128, 128, 180); border-radius: 6px; }
#drop_area[hot="true"] { border: 2px solid #5aa9e6; }
#drop_area QLabel { border: none; }
"""

_HINT = "Drop a study folder, an archive,\nDICOM or NIfTI files here"


class DropArea(QFrame):
    """Takes files and folders from other programs, or from two buttons."""

    dropped = Signal(list)
    """The paths, as ``list[Path]``."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("drop_area")
        self.setStyleSheet(_STYLE)
        self.setAcceptDrops(True)
        self.setAccessibleName("Drop scans here")
        self.hint = hint = plain_label(_HINT)
        hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        hint.setWordWrap(True)
        self.folder_button = QPushButton("Open folder…")
        self.folder_button.setToolTip("Search a folder and all folders in it for scans")
        self.folder_button.clicked.connect(self.choose_folder)
        self.files_button = QPushButton("Open files…")
        self.files_button.setToolTip("Open chosen DICOM or NIfTI files")
        self.files_button.clicked.connect(self.choose_files)
        buttons = QHBoxLayout()
        buttons.addWidget(self.folder_button)
        buttons.addWidget(self.files_button)
        layout = QVBoxLayout(self)
        layout.addWidget(hint)
        layout.addLayout(buttons)

    def set_compact(self, compact: bool) -> None:
        """Leave the hint out where the room is needed for what was opened."""
        self.hint.setVisible(not compact)
        self.setToolTip(_HINT.replace("\n", " ") if compact else "")

    def choose_folder(self) -> None:
        """Ask for a folder."""
        folder = ask_folder(self, "Open a folder of scans", "scans")
        if folder is not None:
            self.dropped.emit([folder])

    def choose_files(self) -> None:
        """Ask for files."""
        files = ask_files(self, "Open scans", "scans")
        if files:
            self.dropped.emit(files)

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Accept what has a path on this computer."""
        if _local_paths(event):
            self._set_hot(True)
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Look as before."""
        self._set_hot(False)
        event.accept()

    def dropEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Hand on the paths."""
        self._set_hot(False)
        event.acceptProposedAction()
        self.dropped.emit(_local_paths(event))

    def _set_hot(self, hot: bool) -> None:
        self.setProperty("hot", hot)
        style = self.style()
        if style is not None:
            style.unpolish(self)
            style.polish(self)


def _local_paths(event: Any) -> list[Path]:
    urls = event.mimeData().urls()
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
