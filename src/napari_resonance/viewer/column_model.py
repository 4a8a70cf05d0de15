"""A table whose rows are a list and whose columns have titles and tips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

_ROOT = QModelIndex()


class ColumnModel(QAbstractTableModel):
    """What the tables of scans have in common; says nothing of their cells.

    Parameters
    ----------
    columns, tips
        What stands above each column, and the help shown there.

    """

    def __init__(
        self, columns: Sequence[str], tips: Sequence[str], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._columns, self._tips = columns, tips
        self.rows: list[Any] = []

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:  # noqa: N802  (Qt's name)
        """Return the number of rows."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = 0
    ) -> Any:
        """Return what stands above a column."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return self._columns[section]
            if role == Qt.ItemDataRole.ToolTipRole:
                return self._tips[section]
        return None
