"""The Series panel: what a folder, a DICOMDIR or an archive holds, and what to open."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_resonance.viewer.attach import attach, real_viewer
from napari_resonance.viewer.commands import return_to_panel
from napari_resonance.viewer.dock_end import DockEnd
from napari_resonance.viewer.drop_area import DropArea
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.message import Message
from napari_resonance.viewer.opening import Opened
from napari_resonance.viewer.run_row import RunRow
from napari_resonance.viewer.series_tree import SeriesTree
from napari_resonance.viewer.survey import Study, Survey, load_series, look_through
from napari_resonance.viewer.thumbnail_loader import ThumbnailLoader
from napari_resonance.viewer.thumbnails import patient_of
from napari_resonance.viewer.viewer_actions import add_scans

if TYPE_CHECKING:
    import napari

NOTHING_CHOSEN = "Choose one or several scans in the list."

_WIDTH = 330


class SeriesPanel(QWidget):
    """Lists scans without reading their voxels, and opens those that are chosen."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = real_viewer(viewer)
        self._survey: Survey | None = None
        attach(self._viewer)
        self.runner = JobRunner(self)
        # Of their own, so that opening a scan does not wait for them.
        self.thumbnails = ThumbnailLoader(self)
        self.name_search = JobRunner(self)
        self.drop_area = DropArea()
        self.summary = plain_label()
        self.summary.setWordWrap(True)
        self.names_box = QCheckBox("Show patient names")
        self.names_box.setToolTip("Names are read from the files and written nowhere")
        self.tree = SeriesTree()
        self.run_row = RunRow("Open", "Open the scans that are chosen")
        self.message = Message()
        self._lay_out()
        self._connect()
        self._tell()

    def open_paths(self, paths: Iterable[str | PathLike[str]]) -> None:
        """Look through files and folders; a single scan is opened at once."""
        sources = [Path(p) for p in paths]
        self._run(partial(look_through, sources), self._on_looked_through)

    def show_survey(self, survey: Survey) -> None:
        """List the scans that were found."""
        self.message.clear_message()
        self._survey = survey
        self.names_box.setChecked(False)
        self.tree.show_survey(survey)
        self.tree.choose(survey.series[0])
        self.thumbnails.load(survey.series)
        self._tell()

    def open_chosen(self) -> None:
        """Read the scans that are chosen and show them."""
        chosen = self.tree.chosen()
        if not chosen:
            self.message.show_error(NOTHING_CHOSEN)
            return
        self._run(partial(load_series, chosen), self._on_opened)

    def _run(self, work: Any, done: Any) -> None:
        self.message.clear_message()
        self.runner.run(work, done)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.addWidget(self.drop_area)
        layout.addWidget(self.summary)
        layout.addWidget(self.names_box)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.run_row)
        layout.addWidget(self.message)
        self.setMinimumWidth(_WIDTH)

    def _connect(self) -> None:
        self.drop_area.dropped.connect(self.open_paths)
        self.thumbnails.ready.connect(self.tree.show_picture)
        self.names_box.toggled.connect(self._on_names_box)
        self.tree.chosen_changed.connect(self._tell)
        self.tree.open_wanted.connect(self.open_chosen)
        self.run_row.run_clicked.connect(self.open_chosen)
        self.run_row.cancel_clicked.connect(self.runner.cancel)
        self.runner.busy_changed.connect(self._on_busy)
        self.runner.progressed.connect(self.run_row.show_progress)
        self.runner.failed.connect(self.message.show_error)
        runners = (self.runner, self.name_search)
        DockEnd(self, *(r.abandon for r in runners), self.thumbnails.stop)

    def _on_busy(self, busy: bool) -> None:
        self.run_row.set_busy(busy)
        self._tell()

    def _on_looked_through(self, found: Opened | Survey) -> None:
        if isinstance(found, Survey):
            self.show_survey(found)
        else:
            self._on_opened(found)

    def _on_opened(self, opened: Opened) -> None:
        add_scans(self._viewer, opened.layers)
        self.message.show_note(opened.summary)
        return_to_panel(self._viewer)

    def _on_names_box(self, wanted: bool) -> None:
        self.name_search.abandon()
        if wanted and self._survey is not None:
            studies = self._survey.studies
            self.name_search.run(
                lambda *_: {study: patient_of(study) for study in studies},
                self._show_names,
            )
        else:
            self.tree.show_names({})

    def _show_names(self, names: dict[Study, str]) -> None:
        if self.names_box.isChecked():
            self.tree.show_names(names)

    def _tell(self) -> None:
        """Say what is there, and what can be done with it."""
        survey, n = self._survey, len(self.tree.chosen())
        for widget in (self.summary, self.names_box, self.tree):
            widget.setVisible(survey is not None)
        self.run_row.setVisible(survey is not None or self.runner.is_busy)
        if survey is not None:
            found = len(survey.series)
            self.summary.setText(f"{found} scans found. Choose what to open.")
        text = "Open" if n < 2 else f"Open {n} scans"
        tip = "Open the scans that are chosen" if n else NOTHING_CHOSEN
        self.run_row.offer(text, tip, possible=bool(n))
