"""The Fine-tune panel: label scans, check the labels, train, judge, use the model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_resonance.export.wording import RESEARCH_USE
from napari_resonance.training.epochs import Epoch
from napari_resonance.viewer import finetuning
from napari_resonance.viewer.attach import attach, real_viewer
from napari_resonance.viewer.beginnings import find_beginnings
from napari_resonance.viewer.commands import use_model
from napari_resonance.viewer.curve_view import CurveView
from napari_resonance.viewer.dock_end import DockEnd
from napari_resonance.viewer.finetune_result import FinetuneResultView
from napari_resonance.viewer.finetuning import Checked, FinetuneOrder, Interrupted
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.label_box import LabelBox
from napari_resonance.viewer.label_rows import HOW_TO_LABEL, LabelRow, labelled_cases
from napari_resonance.viewer.message import Message
from napari_resonance.viewer.opening import Opened, open_layers
from napari_resonance.viewer.pretrained_picker import PretrainedPicker
from napari_resonance.viewer.relay import Relay
from napari_resonance.viewer.scroll_column import ScrollColumn
from napari_resonance.viewer.train_row import (
    FINISHING,
    FOLDS_END,
    NOTHING_YET,
    TrainRow,
)
from napari_resonance.viewer.training_form import TrainingForm
from napari_resonance.viewer.turns import Turns
from napari_resonance.viewer.viewer_actions import add_scans

if TYPE_CHECKING:
    import napari

    from napari_resonance.training.finetune import FinetuneResult

ONE_CLASS = "Label scans of at least two classes."
TAKEN_UP = "These labels and choices are those of a training that was interrupted."
NO_PLACE = "Choose where the new model goes (Save as)."

_WIDTH = 330


class FinetunePanel(QWidget):
    """Reads its widgets, calls one function of the core, shows what comes back."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = real_viewer(viewer)
        attach(self._viewer)
        self.runner = JobRunner(self)
        self.opener = JobRunner(self)
        self.search = JobRunner(self)
        self._turns, self._finish = Turns(), Event()
        self._relay: Relay | None = None
        self._is_training = False
        self.labels = LabelBox(self._viewer)
        self.pretrained = PretrainedPicker()
        self.form = TrainingForm()
        self.curves = CurveView()
        self.result = FinetuneResultView()
        self.message = Message()
        self.train_row = TrainRow()
        self.tabs = QTabWidget()
        self._lay_out()
        self._connect()
        self.search.run(find_beginnings, self.pretrained.set_choices)
        self._on_place()

    def check(self) -> None:
        """Look for balance and leaks in the background."""
        work = partial(finetuning.check, self._order())
        self._run(self._turns.taking(work), self._on_checked)

    def train(self) -> None:
        """Train in the background."""
        self._finish.clear()
        self._train(resume=self.train_row.wants_resume)

    def finish(self) -> None:
        """End the training with the best weights so far, now or of a stopped one."""
        self._finish.set()
        if self._is_training:
            self._tell()
        else:
            self._train(resume=True)

    def read_labels(self, source: Path) -> None:
        """List the labelled scans of a table, or of a folder with a folder a class."""
        self._run(partial(finetuning.load, source), self.labels.add_rows)

    def save_labels(self, path: Path) -> None:
        """Write the labels as a table."""
        cases = labelled_cases(self.labels.model.rows)
        self._run(lambda *_: finetuning.save(cases, path), self._on_saved)

    def _train(self, *, resume: bool) -> None:
        # What goes on had leave to replace the model when it was begun.
        if not (resume or self.form.may_replace()):
            return
        self.curves.clear()
        self.result.show_result(None)
        self.tabs.setCurrentIndex(1)
        if self._relay is not None:
            self._relay.close()
        self._relay = Relay(self._on_epoch, self)
        work = partial(
            finetuning.train,
            self._order(resume=resume),
            on_epoch=self._relay.send,
            should_finish=self._finish.is_set,
        )
        self._run(self._turns.taking(work), self._on_trained)
        self._is_training = True
        self._tell()

    def _order(self, *, resume: bool = False) -> FinetuneOrder:
        return FinetuneOrder(
            labelled_cases(self.labels.model.rows),
            self.form.out,
            self.pretrained.name,
            replace(self.form.options(), like=self.pretrained.like),
            resume,
            overwrite=not resume,
        )

    def _run(self, work: Any, done: Any) -> None:
        self.message.clear_message()
        self.runner.run(work, done)

    def _lay_out(self) -> None:
        self.column = ScrollColumn(self.pretrained, self.form, self.curves, self.result)
        self.tabs.addTab(self.labels, "1  Labels")
        self.tabs.addTab(self.column, "2  Training")
        notice = plain_label(f"{RESEARCH_USE}.")
        notice.setWordWrap(True)
        outer = QVBoxLayout(self)
        outer.addWidget(self.tabs, 1)
        for below in (self.message, self.train_row, notice):
            outer.addWidget(below)
        self.setMinimumWidth(_WIDTH)

    def _connect(self) -> None:
        self.labels.model.changed.connect(self._tell)
        self.labels.source_chosen.connect(self.read_labels)
        self.labels.save_wanted.connect(self.save_labels)
        self.labels.check_wanted.connect(self.check)
        self.labels.open_wanted.connect(self._open)
        self.form.place_changed.connect(self._on_place)
        self.form.folds.currentIndexChanged.connect(self._tell)
        self.train_row.train_clicked.connect(self.train)
        self.train_row.cancel_clicked.connect(self.runner.cancel)
        self.train_row.finish_clicked.connect(self.finish)
        self.result.use_wanted.connect(self._use)
        self.runner.busy_changed.connect(self._on_busy)
        self.runner.progressed.connect(self.train_row.show_progress)
        self.runner.cancelled.connect(self._on_cancelled)
        for runner in (self.runner, self.opener, self.search):
            runner.failed.connect(self.message.show_error)
        thumbnails = self.labels.thumbnails
        runners = (self.runner, self.opener, self.search)
        DockEnd(self, *(r.abandon for r in runners), thumbnails.stop)

    def _open(self, row: LabelRow) -> None:
        files = row.case.files or row.case.paths[:1]
        self.opener.run(partial(open_layers, files), self._on_opened)

    def _use(self) -> None:
        if self.result.result is not None:
            use_model(self._viewer, self.result.result.bundle)

    def _on_place(self) -> None:
        """Take up a training that was interrupted here, if nothing is labelled yet."""
        known = labelled_cases(self.labels.model.rows)
        if self._can_resume() and not known and not self.runner.is_busy:
            self._run(partial(finetuning.take_up, self.form.out), self._on_taken_up)
        self._tell()

    def _on_taken_up(self, found: Interrupted) -> None:
        self.labels.add_rows(found.rows)
        self.pretrained.choose(found.pretrained, found.options.like)
        self.form.show_options(found.options)
        self.message.show_note(TAKEN_UP)

    def _on_opened(self, opened: Opened) -> None:
        add_scans(self._viewer, opened.layers)

    def _on_saved(self, path: Path) -> None:
        self.message.show_note(f"Labels are in {path}.")

    def _on_checked(self, checked: Checked) -> None:
        self.labels.model.show_sides(checked.sides)
        text, is_fine = finetuning.findings(checked.found)
        (self.message.show_note if is_fine else self.message.show_error)(text)

    def _on_epoch(self, epoch: Epoch) -> None:
        self.curves.add(epoch)
        self._tell()

    def _on_trained(self, result: FinetuneResult) -> None:
        self.result.show_result(result)
        self._tell()
        self.column.bring(self.result)

    def _on_cancelled(self) -> None:
        if self.curves.epochs and self._can_resume():
            n = self.curves.epochs[-1].number
            self.message.show_note(
                f"Stopped after epoch {n}. The best weights so far are kept: train on, "
                "or finish with them."
            )

    def _on_busy(self, busy: bool) -> None:
        self._is_training = False
        self.train_row.set_busy(busy)
        self.labels.set_idle(not busy)
        self._tell()

    def _can_resume(self) -> bool:
        return finetuning.is_interrupted(self.form.out)

    def _why_not(self) -> str:
        """Return what is missing for a training; empty if nothing is."""
        cases = labelled_cases(self.labels.model.rows).values()
        if not cases:
            return f"{HOW_TO_LABEL}."
        if len({case.label for case in cases}) < 2:
            return ONE_CLASS
        return "" if self.form.place.text().strip() else NO_PLACE

    def _tell(self) -> None:
        """Say what can be done now, and why not what cannot."""
        busy, why, begun = self.runner.is_busy, self._why_not(), self._can_resume()
        self.train_row.offer(why, interrupted=begun and not busy)
        if self._is_training:
            why = FINISHING if self._finish.is_set() else NOTHING_YET
            why = why if self._finish.is_set() or not self.curves.epochs else ""
        if self.form.options().folds:
            why = FOLDS_END
        self.train_row.offer_finish(self._is_training or (begun and not busy), why)
