"""The Score panel: a folder of studies in, a table of answers to look through out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_resonance.export.wording import RESEARCH_USE
from napari_resonance.viewer import scored
from napari_resonance.viewer.attach import attach, real_viewer
from napari_resonance.viewer.classification import Classified
from napari_resonance.viewer.dock_end import DockEnd
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.folder_line import FolderLine
from napari_resonance.viewer.forms import add_field, new_form
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.message import Message
from napari_resonance.viewer.model_list import ModelList
from napari_resonance.viewer.pace import Pace, duration
from napari_resonance.viewer.remedies import RETRY
from napari_resonance.viewer.run_row import RunRow
from napari_resonance.viewer.score_review import ScoreReview
from napari_resonance.viewer.score_rows import ScoreRow
from napari_resonance.viewer.scored import ScoreOrder, Scores
from napari_resonance.viewer.scroll_column import ScrollColumn
from napari_resonance.viewer.turns import Turns
from napari_resonance.viewer.viewer_actions import add_scans, show_result

if TYPE_CHECKING:
    import napari

SCORE = "Score all scans; what was scored before is not scored again"
GO_ON, NEW_ONES = "Go on", "Score new scans"
NO_STUDIES = "Choose a folder of studies."
NO_OUT = "Choose a folder for the results."
NO_MODEL = "Tick a model."
UNKNOWN_MODEL = (
    "List the model that answered (Import…) to see its map; of one that was replaced "
    "since there is none."
)

_WIDTH = 360
_LOOK_MS = 5000


class ScorePanel(QWidget):
    """Reads its widgets, calls one function of the core, shows what comes back."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = real_viewer(viewer)
        attach(self._viewer)
        self.runner, self.opener = JobRunner(self), JobRunner(self)
        self.reader, self.keeper = JobRunner(self), JobRunner(self)
        self._turns, self._pen, self._pace = Turns(), Turns(), Pace()
        self._out: Path | None = None
        self._is_done = False
        self.studies = FolderLine("Studies", "A folder of scans, searched in depth")
        self.out = FolderLine("Results", "Where table and journal go", new=True)
        self.models = ModelList()
        self.search = self.models.search
        self.retry_box = QCheckBox(RETRY)
        self.retry_box.setToolTip("Score once more the scans that failed before")
        self.dry_button = QPushButton("Dry run")
        self.message = Message()
        self.run_row = RunRow("Score", SCORE)
        self.review = ScoreReview()
        self.tabs = QTabWidget()
        # Failures and answers are listed while the scoring goes on.
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._lay_out()
        self._connect()
        self.models.look()
        self._tell()

    def dry_run(self) -> None:
        """Count the scans and measure how long they will take."""
        self.runner.run(partial(scored.foresee, self._order()), self.message.show_note)

    def score(self) -> None:
        """Score in the background, or go on where an earlier run ended."""
        order = self._order()
        self._out, self._pace = order.out, Pace()
        self.runner.run(self._turns.taking(partial(scored.run, order)), self._on_scored)
        self._look.start()

    def show_scores(self, out: Path) -> None:
        """List the results of a folder."""
        if out != self._out:
            self.review.show_rows([], {})
        self._out = out
        self.reader.run(partial(scored.load_scores, out), self._on_scores)

    def _order(self) -> ScoreOrder:
        return ScoreOrder(
            self.studies.path or Path(),
            self.out.path or Path(),
            tuple(str(model.path) for model in self.models.chosen),
            self.retry_box.isChecked(),
        )

    def _lay_out(self) -> None:
        fields = QWidget()
        self._form = form = new_form(fields)
        add_field(form, "Studies", self.studies)
        add_field(form, "Models", self.models)
        add_field(form, "Results", self.out)
        add_field(form, "", self.retry_box)
        self.retry_box.setAccessibleName(self.retry_box.text())
        self.tabs.addTab(ScrollColumn(fields, self.dry_button), "1  Score")
        self.tabs.addTab(self.review, "2  Results")
        notice = plain_label(f"{RESEARCH_USE}.")
        notice.setWordWrap(True)
        outer = QVBoxLayout(self)
        outer.addWidget(self.tabs, 1)
        for below in (self.message, self.run_row, notice):
            outer.addWidget(below)
        self.setMinimumWidth(_WIDTH)

    def _connect(self) -> None:
        for line in (self.studies, self.out, self.models):
            line.changed.connect(self._on_other)
        self.out.changed.connect(self._on_out)
        self.dry_button.clicked.connect(self.dry_run)
        self.run_row.run_clicked.connect(self.score)
        self.run_row.cancel_clicked.connect(self.runner.cancel)
        self.runner.busy_changed.connect(self._on_busy)
        self.runner.progressed.connect(self._on_progress)
        self.review.show_wanted.connect(self._show)
        self.review.verdicts_changed.connect(self._keep)
        self.review.save_wanted.connect(self._save)
        self._look.timeout.connect(self._on_look)
        runners = (self.runner, self.opener, self.reader, self.search, self.keeper)
        for runner in runners:
            runner.failed.connect(self.message.show_error)
        DockEnd(self, self._look.stop, *(r.abandon for r in runners))

    def _show(self, row: ScoreRow) -> None:
        model = self.models.answering(row.model, row.model_sha256)
        if model is None:
            self.message.show_error(UNKNOWN_MODEL)
        elif row.problem:
            self.message.show_error(f"{row.problem.rstrip('.')}.")
        else:
            self.message.clear_message()
            self.opener.run(partial(scored.explain, row, model.path), self._on_shown)

    def _on_shown(self, result: Classified) -> None:
        if result.scan_layer is not None:
            (layer,) = add_scans(self._viewer, [result.scan_layer])
            show_result(self._viewer, replace(result, scan_layer=None), layer)

    def _keep(self) -> None:
        if self._out is not None:
            out, verdicts = self._out, dict(self.review.model.verdicts)
            work = partial(scored.keep_verdicts, out, verdicts)
            self.keeper.run(self._pen.taking(work), lambda _: None)

    def _save(self, path: Path) -> None:
        rows, verdicts = self.review.decided_rows(), dict(self.review.model.verdicts)
        work = partial(scored.save_labels, rows, verdicts, path)
        self.keeper.run(self._pen.taking(work), self._on_saved)

    def _on_saved(self, path: Path) -> None:
        self.message.show_note(f"Labels are in {path}.")

    def _on_out(self) -> None:
        """List what an earlier run left in the folder."""
        out = self.out.path
        if out is not None and not self.runner.is_busy and scored.is_begun(out):
            self.show_scores(out)

    def _on_scores(self, found: Scores) -> None:
        if found.out == self._out:
            # What was decided in the meantime counts more than what is on disk.
            verdicts = found.verdicts | self.review.model.verdicts
            self.review.show_rows(found.rows, verdicts)

    def _on_look(self) -> None:
        if not self.reader.is_busy:
            self._look_again()

    def _look_again(self) -> None:
        if self._out is not None and scored.is_begun(self._out):
            self.show_scores(self._out)

    def _on_scored(self, summary: str) -> None:
        self._is_done = True
        self._tell()
        self.message.show_note(summary)
        self.tabs.setCurrentIndex(1)

    def _on_progress(self, done: int, total: int, text: str) -> None:
        left = self._pace.seconds_left(done, total, text)
        more = "" if left is None else f", {duration(left)} left"
        self.run_row.show_progress(done, total, f"{text}{more}")

    def _on_busy(self, busy: bool) -> None:
        self.run_row.set_busy(busy)
        if busy:
            self.message.clear_message()
        else:
            self._look.stop()
            self._look_again()
        self._tell()

    def _on_other(self) -> None:
        self._is_done = False
        self._tell()

    def _tell(self) -> None:
        """Say what can be done now, and why not what cannot."""
        why = "" if self.models.chosen else NO_MODEL
        why = why if self.out.path else NO_OUT
        why = why if self.studies.path else NO_STUDIES
        begun = self.out.path is not None and scored.is_begun(self.out.path)
        text = GO_ON if begun else "Score"
        text = NEW_ONES if begun and self._is_done else text
        self.run_row.offer(text, why or SCORE, possible=not why)
        self.dry_button.setEnabled(not why and not self.runner.is_busy)
        tip = "Count the scans, and measure a few to tell how long all will take"
        self.dry_button.setToolTip(why or tip)
        self._form.setRowVisible(self.retry_box, begun)
