"""The results of a scoring: look at them, decide about them, keep what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_resonance.export.wording import counted
from napari_resonance.viewer.class_names import classes_by_key
from napari_resonance.viewer.dialogs import ask_target
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.score_model import ScoreModel
from napari_resonance.viewer.score_rows import REJECTED, Key, ScoreRow
from napari_resonance.viewer.score_table import ScoreTable
from napari_resonance.viewer.verdict_row import VerdictRow


class ScoreReview(QWidget):
    """Table, verdicts, and a line that says how far one is."""

    show_wanted = Signal(object)
    """The scan of a `ScoreRow` shall be shown with its map."""

    verdicts_changed = Signal()
    """Something else is decided, which shall be kept."""

    save_wanted = Signal(object)
    """The verdicts shall be written as labels to this table (`Path`)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ScoreModel(self)
        self.table = ScoreTable(self.model)
        self.verdicts = VerdictRow()
        self.summary = plain_label()
        self.summary.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.summary)
        layout.addWidget(self.verdicts)
        self.table.row_clicked.connect(self.show_wanted)
        self.table.key_pressed.connect(self._on_key)
        self.verdicts.decided.connect(self._decide)
        self.verdicts.save_wanted.connect(self._choose_target)
        self.model.modelReset.connect(self._tell)
        self.model.verdicts_changed.connect(self._tell)
        selection = self.table.view.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(self._tell)
        self._tell()

    def show_rows(self, rows: Sequence[ScoreRow], verdicts: Mapping[Key, str]) -> None:
        """Show a score table and what was decided about it; what is chosen stays so."""
        chosen = self.table.chosen()
        self.model.show_rows(rows, verdicts)
        self.table.choose({row.key for row in chosen})
        labels = dict.fromkeys(name for row in rows for name in row.probabilities)
        self.verdicts.set_labels(list(labels))

    def decided_rows(self) -> list[ScoreRow]:
        """Return the rows that have a verdict, the most doubtful first."""
        rows = [row for row in self.model.rows if row.key in self.model.verdicts]
        return sorted(rows, key=lambda row: -row.doubt)

    def _decide(self, verdict: str | None) -> None:
        chosen = self.table.chosen()
        self.model.decide(chosen, verdict)
        self.verdicts_changed.emit()
        if len(chosen) == 1:
            self.table.choose_next()

    def _on_key(self, number: int) -> None:
        keys = {0: REJECTED, **classes_by_key(self.verdicts.labels, least=1)}
        if number in keys:
            self._decide(keys[number])

    def _choose_target(self) -> None:
        title = "Save the verdicts as labels"
        path = ask_target(self, title, "labels", ".csv", "labels.csv")
        if path is not None:
            self.save_wanted.emit(path)

    def _tell(self) -> None:
        rows, verdicts = self.model.rows, self.model.verdicts
        failed = sum(not row.label for row in rows)
        unsure = sum(bool(row.label) and not row.sure for row in rows)
        parts = [counted(len(rows), "score"), f"{unsure} not sure", f"{failed} failed"]
        parts.append(f"{len(verdicts)} decided")
        self.summary.setText(", ".join(parts) + ".")
        self.verdicts.offer(chosen=bool(self.table.chosen()), decided=bool(verdicts))
