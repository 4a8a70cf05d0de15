"""The list of labelled scans behind the table that shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QModelIndex, QObject, Qt, Signal

from napari_resonance.viewer.column_model import ColumnModel
from napari_resonance.viewer.label_rows import LabelRow
from napari_resonance.viewer.pictures import blank_icon, icon_of
from napari_resonance.viewer.thumbnails import Thumbnail

COLUMNS = ("Scan", "Label", "Patient", "Side")
SCAN, LABEL, PATIENT, SIDE = range(4)
_TIPS = (
    "Double click shows the scan",
    "Type it, or press the key of a class here or over the scan",
    "Empty: told by the files or folders. Scans of one patient stay on one side",
    "What the scan is for: learning, choosing, or judging. Known after the check",
)
_ROOT = QModelIndex()


class LabelModel(ColumnModel):
    """Rows of scans; label and patient can be edited."""

    changed = Signal()
    """There are other rows, or labels."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, _TIPS, parent)
        self.rows: list[LabelRow] = []
        self._blank = blank_icon()
        self._icons: dict[LabelRow, Any] = {}
        self._notes: dict[LabelRow, str] = {}

    def add(self, rows: Iterable[LabelRow]) -> list[LabelRow]:
        """Append scans that are not listed yet; what is known of the others is kept.

        Returns the rows that are new.
        """
        places: dict[Path, list[LabelRow]] = defaultdict(list)
        for row in self.rows:
            places[row.place].append(row)
        new: list[LabelRow] = []
        for row in rows:
            old = next((r for r in places[row.place] if r.is_same(row)), None)
            if old is None:
                places[row.place].append(row)
                new.append(row)
                continue
            old.layer = row.layer or old.layer
            if row.case.label:
                old.case, old.side = row.case, row.side
        first = len(self.rows)
        if new:
            self.beginInsertRows(_ROOT, first, first + len(new) - 1)
            self.rows += new
            self.endInsertRows()
        self._tell(range(first))
        return new

    def remove(self, rows: Iterable[LabelRow]) -> None:
        """Take scans off the list."""
        for row in rows:
            at = self.rows.index(row)
            self.beginRemoveRows(_ROOT, at, at)
            del self.rows[at]
            self.endRemoveRows()
        self.changed.emit()

    def set_label(self, rows: Iterable[LabelRow], label: str) -> None:
        """Give scans a label."""
        rows = list(rows)
        for row in rows:
            row.name(label)
            row.side = ""
        self._tell(self.rows.index(row) for row in rows)

    def show_sides(self, sides: Mapping[LabelRow, str]) -> None:
        """Write on which side of the split each scan is."""
        for row in self.rows:
            row.side = sides.get(row, "")
        self._tell(range(len(self.rows)))

    def show_picture(self, row: LabelRow, thumbnail: Thumbnail) -> None:
        """Put the picture of a scan beside it."""
        if row not in self.rows:
            return
        if thumbnail.pixels is not None:
            self._icons[row] = icon_of(thumbnail.pixels)
        self._notes[row] = thumbnail.problem
        index = self.index(self.rows.index(row), SCAN)
        self.dataChanged.emit(index, index)

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell shows."""
        row = self.rows[index.row()]
        column = index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            texts = (row.title, row.case.label, row.case.patient, row.side)
            return texts[column]
        if role == Qt.ItemDataRole.DecorationRole and column == SCAN:
            return self._icons.get(row, self._blank)
        if role == Qt.ItemDataRole.ToolTipRole:
            lines = (row.title, row.problem, self._notes.get(row, ""))
            return "\n".join(filter(None, lines)) if column == SCAN else _TIPS[column]
        return None

    def setData(  # noqa: N802
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Take what the user typed."""
        row, text = self.rows[index.row()], str(value).strip()
        if role != Qt.ItemDataRole.EditRole or index.column() not in (LABEL, PATIENT):
            return False
        if index.column() == LABEL:
            self.set_label([row], text)
        else:
            row.case = replace(row.case, patient=text)
            self._tell([index.row()])
        return True

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return what can be done with a cell."""
        found = Qt.ItemFlag.ItemIsSelectable
        if not self.rows[index.row()].problem:
            found |= Qt.ItemFlag.ItemIsEnabled
        if index.column() in (LABEL, PATIENT):
            found |= Qt.ItemFlag.ItemIsEditable
        return found

    def _tell(self, places: Iterable[int]) -> None:
        at = list(places)
        if at:
            first, last = self.index(min(at), 0), self.index(max(at), SIDE)
            self.dataChanged.emit(first, last)
        self.changed.emit()
