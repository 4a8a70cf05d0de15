"""The table of scores: sorted, filtered, searched; what is decided about each scan."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_resonance.viewer.class_names import MOST_KEYS
from napari_resonance.viewer.probability_delegate import ProbabilityDelegate
from napari_resonance.viewer.score_model import (
    CALLED,
    DOUBT,
    FILTERS,
    LABEL,
    MODEL,
    PROBABILITY,
    SCAN,
    VERDICT,
    ScoreFilter,
    ScoreModel,
)
from napari_resonance.viewer.score_rows import Key, ScoreRow

_WIDTHS = {MODEL: 60, LABEL: 60, PROBABILITY: 66, CALLED: 60, DOUBT: 48, VERDICT: 60}
_LEAST = 72  # of the names of scans, which get what the others leave


class ScoreTable(QWidget):
    """A `ScoreModel` with a line to search in and a list of filters."""

    row_clicked = Signal(object)
    """The scan of this `ScoreRow` shall be shown."""

    key_pressed = Signal(int)
    """A digit: 1 to 9 for a class, 0 to reject, for the rows that are chosen."""

    def __init__(self, model: ScoreModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.filter = ScoreFilter(model, self)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setAccessibleName("Search the scores")
        self.search.setToolTip("Words in names, classes, verdicts and errors")
        self.search.setClearButtonEnabled(True)
        self.kinds = QComboBox()
        self.kinds.setAccessibleName("Which scores to show")
        self.kinds.setToolTip("Which scans to show")
        for kind, text in FILTERS.items():
            self.kinds.addItem(text, kind)
        self.view = _View(self)
        self.view.setModel(self.filter)
        self.view.setItemDelegateForColumn(PROBABILITY, ProbabilityDelegate(self.view))
        self._size_columns()
        # Those that a model would learn the most from.
        self.view.sortByColumn(DOUBT, Qt.SortOrder.DescendingOrder)
        row = QHBoxLayout()
        row.addWidget(self.search, 1)
        row.addWidget(self.kinds)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.view, 1)
        model.modelReset.connect(self._on_rows)
        self.search.textChanged.connect(self._filter)
        self.kinds.currentIndexChanged.connect(self._filter)
        self.view.clicked.connect(self._on_clicked)

    def chosen(self) -> list[ScoreRow]:
        """Return the rows that are chosen, in the order in which they stand."""
        selection = self.view.selectionModel()
        places = [] if selection is None else selection.selectedRows()
        ordered = sorted(places, key=QModelIndex.row)
        return [self.filter.row_at(index) for index in ordered]

    def shown(self) -> list[ScoreRow]:
        """Return the rows that are shown, in their order."""
        places = (self.filter.index(n, SCAN) for n in range(self.filter.rowCount()))
        return [self.filter.row_at(index) for index in places]

    def choose(self, keys: set[Key]) -> None:
        """Choose the rows of these keys, as far as they are shown."""
        selection = self.view.selectionModel()
        flags = QItemSelectionModel.SelectionFlag
        for n, row in enumerate(self.shown() if keys else ()):
            if selection is not None and row.key in keys:
                index = self.filter.index(n, SCAN)
                selection.select(index, flags.Select | flags.Rows)

    def choose_next(self) -> None:
        """Choose the row below the one that is chosen, and show its scan."""
        at = self.view.currentIndex().row() + 1
        if at < self.filter.rowCount():
            self.view.selectRow(at)
            self._on_clicked(self.filter.index(at, SCAN))

    def _on_clicked(self, index: QModelIndex) -> None:
        self.row_clicked.emit(self.filter.row_at(index))

    def _on_rows(self) -> None:
        """Leave out columns that would say nothing more in any row."""
        models = {row.model for row in self.filter.rows}
        self.view.setColumnHidden(MODEL, len(models) < 2)
        called = any(row.called for row in self.filter.rows)
        self.view.setColumnHidden(CALLED, not called)
        # Of two labels, the doubt is the probability once more.
        told = called and all(len(row.probabilities) < 3 for row in self.filter.rows)
        self.view.setColumnHidden(DOUBT, told)
        self.view.fit_names()

    def _filter(self) -> None:
        self.filter.show_only(self.kinds.currentData(), self.search.text())

    def _size_columns(self) -> None:
        rows, columns = self.view.verticalHeader(), self.view.horizontalHeader()
        if rows is None or columns is None:
            return
        rows.hide()
        columns.setHighlightSections(False)
        columns.setSectionResizeMode(SCAN, QHeaderView.ResizeMode.Fixed)
        for column, width in _WIDTHS.items():
            self.view.setColumnWidth(column, width)
        columns.sectionResized.connect(lambda *_: self.view.fit_names())


class _View(QTableView):
    def __init__(self, table: ScoreTable) -> None:
        super().__init__(table)
        self._table = table
        self.setAccessibleName("Scores")
        self.setToolTip("A click shows the scan; 1 to 9 relabel it, 0 rejects it")
        self.setSortingEnabled(True)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)

    def fit_names(self) -> None:
        """Give the names of the scans what the other columns leave, and a little."""
        viewport = self.viewport()
        others = sum(map(self.columnWidth, range(SCAN + 1, VERDICT + 1)))
        if viewport is not None:
            self.setColumnWidth(SCAN, max(_LEAST, viewport.width() - others))

    def resizeEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Keep the columns as wide as the table."""
        super().resizeEvent(event)
        self.fit_names()

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Take digits for verdicts; Enter shows the scan."""
        text = event.text()
        if text.isdecimal() and int(text) <= MOST_KEYS and not event.modifiers():
            self._table.key_pressed.emit(int(text))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self.currentIndex().isValid():
                self.clicked.emit(self.currentIndex())
        else:
            super().keyPressEvent(event)
