"""The Classify panel: open scans, classify one, see how sure and where it looked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_resonance.export.wording import RESEARCH_USE
from napari_resonance.viewer.attach import attach, real_viewer, window_tool_of
from napari_resonance.viewer.classification import (
    Choices,
    Classified,
    ClassifyOptions,
    classify,
    find_choices,
    read_model,
)
from napari_resonance.viewer.commands import series_panel_of
from napari_resonance.viewer.drop_area import DropArea
from napari_resonance.viewer.hidden_row import HiddenRow
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.layers import LayerData, resampled_layer
from napari_resonance.viewer.message import Message
from napari_resonance.viewer.model_picker import ModelPicker
from napari_resonance.viewer.opening import Opened
from napari_resonance.viewer.plain import scan_from_layer
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.result_view import ResultView
from napari_resonance.viewer.run_row import RunRow
from napari_resonance.viewer.saliency_controls import SaliencyControls
from napari_resonance.viewer.scan_picker import ScanPicker
from napari_resonance.viewer.survey import Survey, look_through
from napari_resonance.viewer.viewer_actions import (
    add_layer,
    add_scans,
    go_to_peak,
    saliency_of,
    show_only,
    show_result,
)
from napari_resonance.viewer.window_row import WindowRow

if TYPE_CHECKING:
    import napari

NO_SCAN = "Choose a scan first: drop one above, or open a folder."
NO_MODEL = "Choose a model first."
NO_MODEL_YET = "The models are still being looked for. Try again in a moment."
SCAN_CLOSED = "The scan was closed in the meantime; its result was dropped."

_WIDTH = 330


class ClassifyPanel(QWidget):
    """Reads its widgets, calls one function of the core, shows what comes back."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = real_viewer(viewer)
        self.keeper = attach(self._viewer)
        self.runner = JobRunner(self)
        # Of its own, so that a scan opened meanwhile does not cut the search short.
        self.model_search = JobRunner(self)
        self.drop_area = DropArea()
        self.scan_picker = ScanPicker(self._viewer)
        self.window_row = WindowRow(window_tool_of(self._viewer))
        self.model_picker = ModelPicker()
        self.run_row = RunRow(
            "Classify", "Classify the scan and show where the network looked"
        )
        self.message = Message()
        self.hidden_row = HiddenRow(self.keeper)
        self.result = ResultView()
        self.saliency_controls = SaliencyControls()
        self._lay_out()
        self._connect()
        self.model_search.run(find_choices, self._on_choices)

    def changeEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """End with the dock: napari takes the panel out of it and keeps it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.runner.abandon()
            self.model_search.abandon()
            self.deleteLater()

    def open_paths(self, paths: Iterable[str | PathLike[str]]) -> None:
        """Show the scan in files and folders, or a list of them to choose from."""
        sources = [Path(p) for p in paths]
        self._run(partial(look_through, sources), self._on_looked_through)

    def run(self) -> None:
        """Classify the chosen scan in the background."""
        layer, model = self.scan_picker.layer, self.model_picker.model
        if layer is None or model is None:
            searching = NO_MODEL_YET if self.model_search.is_busy else NO_MODEL
            self.message.show_error(NO_SCAN if layer is None else searching)
            return
        record = record_of(layer)
        answers = self.scan_picker.answers()
        options = ClassifyOptions(
            scan=partial(scan_from_layer, layer, answers)
            if record is None
            else lambda: record.scan,
            scan_is_new=record is None,
            model=model.path,
            device=self.model_picker.device,
            target=self.model_picker.target,
        )
        self._run(partial(classify, options), partial(self.show_result, layer))

    def show_result(self, layer: Any, result: Classified) -> None:
        """Show an answer for the scan of a layer."""
        if not show_result(self._viewer, result, layer):
            self.message.show_error(SCAN_CLOSED)
        self._show_answer_of(self.scan_picker.layer)

    def _run(self, work: Any, done: Any) -> None:
        self.message.clear_message()
        self.runner.run(work, done)

    def _lay_out(self) -> None:
        notice = QLabel(f"{RESEARCH_USE}.")
        notice.setWordWrap(True)
        inner = QWidget()
        layout = QVBoxLayout(inner)
        for widget in (
            self.drop_area,
            self.scan_picker,
            self.window_row,
            self.model_picker,
            self.run_row,
            self.message,
            self.hidden_row,
            self.result,
            self.saliency_controls,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        scroll = QScrollArea()
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidgetResizable(True)
        scroll.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll, 1)
        outer.addWidget(notice)
        self.setMinimumWidth(_WIDTH)

    def _connect(self) -> None:
        self.drop_area.dropped.connect(self.open_paths)
        self.scan_picker.picked.connect(self._show_answer_of)
        self.scan_picker.chosen_here.connect(partial(show_only, self._viewer))
        self.model_picker.folder_chosen.connect(self._open_model)
        self.run_row.run_clicked.connect(self.run)
        self.run_row.cancel_clicked.connect(self.runner.cancel)
        self.runner.busy_changed.connect(self.run_row.set_busy)
        self.runner.progressed.connect(self.run_row.show_progress)
        self.runner.failed.connect(self.message.show_error)
        self.model_search.failed.connect(self.message.show_error)
        self.hidden_row.resample_wanted.connect(self._resample)
        self.result.peak_wanted.connect(self._go_to_peak)

    def _open_model(self, folder: Path) -> None:
        self._run(lambda *_: read_model(folder), self.model_picker.add_model)

    def _resample(self, layer: Any) -> None:
        record, current = record_of(layer), self.keeper.current
        if record is not None and current is not None:
            view = current.scan
            self._run(lambda *_: resampled_layer(record, view), self._on_resampled)

    def _go_to_peak(self) -> None:
        record = record_of(self.scan_picker.layer)
        if record is not None:
            go_to_peak(self.keeper, record.prediction)

    def _on_choices(self, choices: Choices) -> None:
        self.model_picker.set_models(choices.models)
        self.model_picker.set_devices(choices.devices)

    def _on_looked_through(self, found: Opened | Survey) -> None:
        if isinstance(found, Survey):
            series_panel_of(self._viewer).show_survey(found)
        else:
            self._on_opened(found)

    def _on_opened(self, opened: Opened) -> None:
        add_scans(self._viewer, opened.layers)
        if len(opened.layers) > 1 or opened.skipped:
            self.message.show_note(opened.summary)

    def _on_resampled(self, layer: LayerData) -> None:
        add_layer(self._viewer, layer)

    def _show_answer_of(self, layer: Any) -> None:
        record = record_of(layer)
        answer = None if record is None else record.prediction
        self.result.show_prediction(answer, "" if record is None else record.place)
        self.saliency_controls.follow(saliency_of(self._viewer, layer))
