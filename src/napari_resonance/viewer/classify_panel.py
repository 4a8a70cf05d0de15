"""The Classify panel: open scans, classify them, see how sure and where it looked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QPushButton, QWidget

from napari_resonance.viewer.answer_view import AnswerView
from napari_resonance.viewer.answers_box import AnswersBox
from napari_resonance.viewer.attach import attach, real_viewer, window_tool_of
from napari_resonance.viewer.channel_row import ChannelRow
from napari_resonance.viewer.cine_row import CineRow
from napari_resonance.viewer.classification import (
    Choices,
    Classified,
    classify,
    find_choices,
    read_model,
)
from napari_resonance.viewer.classify_all import ClassifyAll
from napari_resonance.viewer.commands import show_planes
from napari_resonance.viewer.dock_end import DockEnd
from napari_resonance.viewer.drop_area import DropArea
from napari_resonance.viewer.fold import Fold, text_label
from napari_resonance.viewer.forms import fill_panel
from napari_resonance.viewer.hidden_row import HiddenRow
from napari_resonance.viewer.imported_models import imported_folders
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.measuring import Measured, measure
from napari_resonance.viewer.message import Message
from napari_resonance.viewer.model_picker import ModelPicker
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.region_row import RegionRow
from napari_resonance.viewer.requests import Asking, cases_of, options_of
from napari_resonance.viewer.run_row import RunRow
from napari_resonance.viewer.scan_opener import ScanOpener
from napari_resonance.viewer.scan_picker import ScanPicker
from napari_resonance.viewer.shortcuts import shortcuts_text
from napari_resonance.viewer.showing import show_only
from napari_resonance.viewer.viewer_actions import (
    keep_measured,
    keep_result,
    show_result,
)
from napari_resonance.viewer.window_row import WindowRow

if TYPE_CHECKING:
    import napari

    from napari_resonance.classifier.bundle import Bundle

NO_SCAN = "Choose a scan first: drop one above, or open a folder."
NO_MODEL = "Choose a model first."
NO_MODEL_YET = "The models are still being looked for. Try again in a moment."
SCAN_CLOSED = "The scan was closed in the meantime; its result was dropped."

_TIP = "Classify the scan and show where the network looked"


class ClassifyPanel(QWidget):
    """Reads its widgets, calls one function of the core, shows what comes back."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer = real_viewer(viewer)
        self.keeper = attach(viewer)
        self.runner = JobRunner(self)
        # Of its own, so that a scan opened meanwhile does not cut the search short.
        self.model_search = JobRunner(self)
        self.opener = ScanOpener(viewer, self.runner, self)
        self.all = ClassifyAll(self.runner, self)
        self.drop_area = DropArea()
        self.scan_picker = ScanPicker(viewer)
        self.window_row = WindowRow(window_tool_of(viewer))
        self.cine_row = CineRow(viewer)
        self.model_picker = ModelPicker()
        self.channel_row = ChannelRow(viewer)
        self.region_row = RegionRow(viewer)
        self.run_row = RunRow("Classify", _TIP, several="All")
        self.message = Message()
        self.hidden_row = HiddenRow(self.keeper)
        self.view = AnswerView(viewer)
        self.explain_row = self.view.explain_row
        self.answers = AnswersBox(viewer, self.runner)
        self.planes_button = QPushButton("Show the other two planes")
        self.planes_button.setToolTip("With a cross-hair that follows clicks (Alt+M)")
        self.keys = Fold("Keys", text_label(shortcuts_text()))
        self.column = fill_panel(self, self._widgets())
        self._connect()
        self._on_model(None)
        search = partial(find_choices, imported=imported_folders())
        self.model_search.run(search, self._on_choices)

    def open_paths(self, paths: Iterable[str | PathLike[str]]) -> None:
        """Show the scan in files and folders, or a list of them to choose from."""
        self.opener.open_paths(paths)

    def run(self) -> None:
        """Classify the chosen scan in the background."""
        layer, asking = self.scan_picker.layer, self._asking()
        missing = NO_SCAN if layer is None else self._missing(layer)
        if missing or asking is None:
            self.message.show_error(missing)
            return
        options = options_of(layer, self.scan_picker.answers(), asking)
        self.runner.run(partial(classify, options), partial(self.show_result, layer))

    def run_all(self) -> None:
        """Classify every open scan that the model was made for."""
        asking, layers = self._asking(), self.scan_picker.suitable()
        if asking is None or not layers:
            self.message.show_error(self._no_model() if asking is None else NO_SCAN)
            return
        self.all.start(cases_of(layers, asking))

    def measure(self) -> None:
        """Measure the map that is shown."""
        layer, asking = self.scan_picker.layer, self._asking()
        record = record_of(layer)
        if record is None or record.prediction is None or asking is None:
            return
        options = options_of(layer, self.scan_picker.answers(), asking)
        work = partial(measure, options, record.prediction)
        self.runner.run(work, partial(self._on_measured, layer))

    def show_result(self, layer: Any, result: Classified) -> None:
        """Show an answer for the scan of a layer."""
        if not show_result(self._viewer, result, layer):
            self.message.show_error(SCAN_CLOSED)
        self._show_answer_of(self.scan_picker.layer)
        self.column.bring(self.view.result)

    def _asking(self) -> Asking | None:
        model, region = self.model_picker.model, self.region_row.region()
        if model is None:
            return None
        explain = self.explain_row.options(
            center_mm=None if region is None else region.center_mm,
            box_mm=None if region is None else region.box_mm,
            force=self.scan_picker.anyway.isChecked(),
        )
        runs = self.model_picker.device_picker
        channels = self.channel_row.layers()
        return Asking(model.path, runs.device, runs.precision, explain, channels)

    def _missing(self, layer: Any) -> str:
        """Return what has to be chosen before the scan can be classified."""
        if self.model_picker.model is None:
            return self._no_model()
        return self.channel_row.missing(layer) or self.region_row.missing()

    def _no_model(self) -> str:
        return NO_MODEL_YET if self.model_search.is_busy else NO_MODEL

    def _widgets(self) -> tuple[QWidget, ...]:
        return (
            self.drop_area,
            self.scan_picker,
            self.window_row,
            self.cine_row,
            self.model_picker,
            self.channel_row,
            self.region_row,
            self.run_row,
            self.message,
            self.hidden_row,
            self.view,
            self.answers,
            self.planes_button,
            self.model_picker.card,
            self.model_picker.device_picker,
            self.keys,
        )

    def _connect(self) -> None:
        self.drop_area.dropped.connect(self.open_paths)
        self.opener.opened.connect(self.message.show_note)
        self.scan_picker.picked.connect(self._show_answer_of)
        self.scan_picker.chosen_here.connect(partial(show_only, self._viewer))
        self.model_picker.folder_chosen.connect(self._open_model)
        self.model_picker.changed.connect(self._on_model)
        self.view.map_wanted.connect(self._on_explain)
        self.view.measure_wanted.connect(self.measure)
        self.run_row.run_clicked.connect(self.run)
        self.run_row.several_clicked.connect(self.run_all)
        self.run_row.cancel_clicked.connect(self.runner.cancel)
        self.runner.busy_changed.connect(self._on_busy)
        self.runner.progressed.connect(self.run_row.show_progress)
        self.runner.failed.connect(self.message.show_error)
        self.model_search.failed.connect(self.message.show_error)
        self.all.answered.connect(self._on_one_of_all)
        self.all.finished.connect(self.message.show_note)
        self.hidden_row.resample_wanted.connect(self.opener.resample)
        self.planes_button.clicked.connect(lambda: show_planes(self._viewer))
        self.answers.shown_again.connect(self.show_result)
        self.answers.said.connect(self.message.show_note)
        DockEnd(self, self.runner.abandon, self.model_search.abandon)

    def _on_busy(self, busy: bool) -> None:
        if busy:
            self.message.clear_message()
        self.run_row.set_busy(busy)

    def _open_model(self, folder: Path) -> None:
        self.runner.run(lambda *_: read_model(folder), self.model_picker.adopt_model)

    def _on_choices(self, choices: Choices) -> None:
        self.model_picker.set_models(choices.models)
        self.model_picker.device_picker.set_devices(choices.devices)

    def _on_model(self, model: Bundle | None) -> None:
        self.scan_picker.follow_model(None if model is None else model.card)
        self.answers.follow_model("" if model is None else model.card.body_part)
        self.channel_row.follow_model(() if model is None else model.recipe.channels)
        self.region_row.follow_model(None if model is None else model.recipe)
        self.explain_row.follow_model(() if model is None else model.card.labels)

    def _on_explain(self) -> None:
        """Make the other map at once where that takes no new forward pass."""
        record = record_of(self.scan_picker.layer)
        if record is not None and record.asked is not None and not self.runner.is_busy:
            self.run()

    def _on_one_of_all(self, layer: Any, result: Classified) -> None:
        if layer is self.scan_picker.layer:
            self.show_result(layer, result)
        elif layer in self._viewer.layers:
            keep_result(self._viewer, result, layer)
            self.answers.follow(self.scan_picker.layer)

    def _on_measured(self, layer: Any, measured: Measured) -> None:
        keep_measured(layer, measured)
        self._show_answer_of(self.scan_picker.layer)
        self.column.bring(self.view.trust)

    def _show_answer_of(self, layer: Any) -> None:
        self.drop_area.set_compact(layer is not None)
        self.planes_button.setVisible(layer is not None)
        self.view.follow(layer)
        self.answers.follow(layer)
        reason = self.scan_picker.reason(layer)
        possible = not reason or self.scan_picker.anyway.isChecked()
        self.run_row.offer("Classify", _TIP if possible else reason, possible=possible)
        self.run_row.offer_several(len(self.scan_picker.suitable()))
