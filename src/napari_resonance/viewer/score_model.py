"""The score table behind its view, and the filter over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from qtpy.QtCore import (
    QModelIndex,
    QObject,
    QSortFilterProxyModel,
    Qt,
    Signal,
)

from napari_resonance.viewer.column_model import ColumnModel
from napari_resonance.viewer.score_rows import Key, ScoreRow

COLUMNS = ("Scan", "Model", "Label", "Probability", "Called", "Doubt", "Verdict")
SCAN, MODEL, LABEL, PROBABILITY, CALLED, DOUBT, VERDICT = range(7)
FILTERS = {
    "all": "All scans",
    "unsure": "Not sure",
    "odd": "Unlike the training data",
    "otherwise": "Called otherwise",
    "failed": "Failed",
    "open": "Without a verdict",
}
_TIPS = (
    "A click shows the scan and where the network looked",
    "Which model answered",
    "The most probable class",
    "Calibrated probability of the label",
    "The class at the operating point that the model's sensitivity and specificity are "
    "of, which need not be the likelier one",
    "From 0, sure, to 1, all classes alike: the doubtful teach a model the most",
    "What you decided: a class, or rejected",
)

Verdicts = dict[Key, str]


class ScoreModel(ColumnModel):
    """Rows of a score table with verdicts."""

    verdicts_changed = Signal()
    """Something else is decided."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, _TIPS, parent)
        self.rows: list[ScoreRow] = []
        self.verdicts: Verdicts = {}

    def show_rows(self, rows: Sequence[ScoreRow], verdicts: Mapping[Key, str]) -> None:
        """Show a table and what was decided about it."""
        self.beginResetModel()
        self.rows, self.verdicts = list(rows), dict(verdicts)
        self.endResetModel()

    def decide(self, rows: Sequence[ScoreRow], verdict: str | None) -> None:
        """Decide about scans: a class, `REJECTED`, or None for what the model says.

        Rows without an answer cannot be accepted as they are.
        """
        for row in rows:
            decided = row.verdict if verdict is None else verdict
            if decided:
                self.verdicts[row.key] = decided
        if self.rows:
            last = self.index(len(self.rows) - 1, VERDICT)
            self.dataChanged.emit(self.index(0, VERDICT), last)
        self.verdicts_changed.emit()

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell shows, or sorts by (the edit role)."""
        row, column = self.rows[index.row()], index.column()
        if role == Qt.ItemDataRole.EditRole:
            numbers = {PROBABILITY: row.probability, DOUBT: row.doubt}
            return numbers.get(column, self._text(row, column).casefold())
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            called = f"called {row.called}" if row.called else ""
            # Columns are often too narrow for the names of classes.
            answer = ", ".join(filter(None, (row.label, called)))
            told = (row.source, answer, row.problem, _state(row))
            return "\n".join(filter(None, told))
        return None

    def _text(self, row: ScoreRow, column: int) -> str:
        if column == LABEL:
            return row.label or "failed"
        if column == PROBABILITY:
            return f"{row.probability:.3f}" if row.label else ""
        if column == DOUBT:
            return f"{row.doubt:.2f}" if row.label else ""
        if column == CALLED:
            return row.called
        if column == VERDICT:
            return self.verdicts.get(row.key, "")
        # Folders often have the name of a patient: the last part has to do.
        name = " ".join(PurePosixPath(row.source).name.split())
        more = ", ".join(filter(None, (row.region, row.part)))
        shown = f"{name} ({more})" if more else name
        return row.model if column == MODEL else shown


def _state(row: ScoreRow) -> str:
    if row.odd:
        return "Unlike the training data"
    return "" if row.sure or row.problem else "Not sure"


class ScoreFilter(QSortFilterProxyModel):
    """Keeps the rows that are looked for, in the order that is asked for."""

    def __init__(self, model: ScoreModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model, self._kind, self._text = model, "all", ""
        self.setSourceModel(model)
        self.setSortRole(Qt.ItemDataRole.EditRole)

    @property
    def rows(self) -> list[ScoreRow]:
        """All rows of the table, shown or not."""
        return self._model.rows

    def show_only(self, kind: str, text: str = "") -> None:
        """Keep rows of a kind (see `FILTERS`) that hold all words of a text."""
        self._kind, self._text = kind, text
        self.invalidateFilter()

    def row_at(self, index: QModelIndex) -> ScoreRow:
        """Return the row that stands at a place of the view."""
        return self._model.rows[self.mapToSource(index).row()]

    def filterAcceptsRow(self, at: int, parent: QModelIndex) -> bool:  # noqa: N802
        """Tell whether a row of the table is shown."""
        row = self._model.rows[at]
        verdict = self._model.verdicts.get(row.key, "")
        kept = {
            "unsure": bool(row.label) and not row.sure,
            "odd": row.odd,
            "otherwise": row.called not in ("", row.label),
            "failed": bool(row.problem) or not row.label,
            "open": not verdict,
        }
        told = (row.source, row.model, row.label, row.called, verdict, row.problem)
        hay = " ".join(told)
        words = self._text.casefold().split()
        found = all(word in hay.casefold() for word in words)
        return kept.get(self._kind, True) and found
