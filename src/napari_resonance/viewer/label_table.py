"""The table of labelled scans, with pictures; digits label what is chosen."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QModelIndex, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_resonance.viewer.class_names import MOST_KEYS
from napari_resonance.viewer.label_model import (
    LABEL,
    PATIENT,
    SCAN,
    SIDE,
    LabelModel,
)
from napari_resonance.viewer.label_rows import LabelRow

_PICTURE = 40
_WIDTHS = {LABEL: 56, PATIENT: 64, SIDE: 66}
_LEAST_HEIGHT = 220


class LabelTable(QTableView):
    """Shows a `LabelModel`."""

    key_pressed = Signal(int)
    """A digit, meant for the rows that are chosen."""

    show_wanted = Signal(object)
    """The user double-clicked a `LabelRow`, or pressed Enter on it."""

    def __init__(self, model: LabelModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = model
        self.setModel(model)
        self.setAccessibleName("Labelled scans")
        self.setToolTip("Digits label the chosen rows; Enter shows the scan")
        self.setIconSize(QSize(_PICTURE, _PICTURE))
        self.setMinimumHeight(_LEAST_HEIGHT)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.EditKeyPressed
            | QAbstractItemView.EditTrigger.SelectedClicked
        )
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setWordWrap(False)
        self._size_columns()
        self.doubleClicked.connect(self._on_activated)
        model.changed.connect(self._show_sides)
        self._show_sides()

    def _size_columns(self) -> None:
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is None or columns is None:
            return
        rows.hide()
        rows.setDefaultSectionSize(_PICTURE + 4)
        columns.setSectionResizeMode(SCAN, QHeaderView.ResizeMode.Stretch)
        for column, width in _WIDTHS.items():
            self.setColumnWidth(column, width)

    def _show_sides(self) -> None:
        """Leave their room to the names of the scans until there are sides."""
        self.setColumnHidden(SIDE, not any(row.side for row in self._rows.rows))

    def chosen(self) -> list[LabelRow]:
        """Return the rows that are chosen, from top to bottom."""
        selection = self.selectionModel()
        places = [] if selection is None else selection.selectedRows()
        return [self._rows.rows[n] for n in sorted(index.row() for index in places)]

    def choose(self, row: LabelRow) -> None:
        """Choose one row and scroll to it."""
        if row in self._rows.rows:
            self.setCurrentIndex(self._rows.index(self._rows.rows.index(row), SCAN))

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Take digits for labels; Enter shows the scan."""
        text = event.text()
        if text.isdecimal() and int(text) <= MOST_KEYS and not event.modifiers():
            self.key_pressed.emit(int(text))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._on_activated(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def _on_activated(self, index: QModelIndex) -> None:
        if index.isValid() and index.column() == SCAN:
            self.show_wanted.emit(self._rows.rows[index.row()])
