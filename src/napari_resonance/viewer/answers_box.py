"""What can be done with answers: see them again, write them to files, copy them."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_resonance.export.answer_text import answer_text
from napari_resonance.viewer.classification import classified
from napari_resonance.viewer.export_row import ExportRow
from napari_resonance.viewer.exporter import Exporter
from napari_resonance.viewer.exports import Answered, ExportKind
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.records import Run, record_of
from napari_resonance.viewer.run_list import RunList


class AnswersBox(QWidget):
    """The answers of the session, with the buttons for the one that is shown."""

    shown_again = Signal(object, object)
    """A layer, and the `Classified` that is to be shown for it again."""

    said = Signal(str)
    """What was done, as a sentence."""

    def __init__(
        self, viewer: Any, runner: JobRunner, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._runner = runner
        self._layer: Any = None
        self._body_part = ""
        self.exporter = Exporter(runner, self)
        self.export_row = ExportRow()
        self.list = RunList(viewer)
        self.heading = plain_label("Answers so far (a click shows one again)")
        self.heading.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.export_row, self.heading, self.list):
            layout.addWidget(part)
        self.list.filled.connect(self.heading.setVisible)
        self.list.wanted.connect(self._show_again)
        self.export_row.export_wanted.connect(self._export)
        self.export_row.copy_wanted.connect(self._copy)
        self.exporter.written.connect(self.said)
        self.follow(None)

    def follow(self, layer: Any) -> None:
        """Take the answer of this layer for the one that is shown."""
        self._layer = layer
        record = record_of(layer)
        has_answer = record is not None and record.prediction is not None
        self.export_row.setVisible(has_answer)
        self.list.refresh()

    def follow_model(self, body_part: str) -> None:
        """Take this for what the scans show where their files do not say."""
        self._body_part = body_part

    def answers(self) -> list[Answered]:
        """Return scans with their answers, the one that is shown first."""
        record = record_of(self._layer)
        shown = None if record is None else record.prediction
        runs = sorted(self.list.runs(), key=lambda r: r[1].prediction is not shown)
        records = ((record_of(layer), run) for layer, run in runs)
        return [(record.scan, run) for record, run in records if record is not None]

    def _show_again(self, layer: Any, run: Run) -> None:
        record = record_of(layer)
        if record is not None:
            work = partial(classified, record.scan, run.prediction, place=run.place)
            self._runner.run(lambda *_: work(), partial(self.shown_again.emit, layer))

    def _export(self, kind: ExportKind) -> None:
        self.exporter.export(kind, self.answers(), self._body_part)

    def _copy(self) -> None:
        record, clipboard = record_of(self._layer), QGuiApplication.clipboard()
        if record is not None and record.prediction is not None and clipboard:
            clipboard.setText(answer_text(record.prediction, record.place))
            self.said.emit("The answer was copied.")
