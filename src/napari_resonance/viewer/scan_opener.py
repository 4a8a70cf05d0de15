"""Opens what a panel is given: files, folders, and copies resampled to the view."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.commands import series_panel_of
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.layers import LayerData, resampled_layer
from napari_resonance.viewer.opening import Opened
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.survey import Survey, look_through
from napari_resonance.viewer.viewer_actions import add_layer, add_scans


class ScanOpener(QObject):
    """Reads in the background of a panel and adds the layers."""

    opened = Signal(str)
    """What was opened and left out, as a sentence; empty for one scan."""

    def __init__(self, viewer: Any, runner: JobRunner, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._runner = runner

    def open_paths(self, paths: Iterable[str | PathLike[str]]) -> None:
        """Show the scan in files and folders, or a list of them to choose from."""
        sources = [Path(p) for p in paths]
        self._runner.run(partial(look_through, sources), self._on_looked_through)

    def resample(self, layer: Any) -> None:
        """Add a copy of a layer on the grid of the scan that is viewed."""
        record, current = record_of(layer), attach(self._viewer).current
        if record is not None and current is not None:
            view = current.scan
            self._runner.run(
                lambda *_: resampled_layer(record, view), self._on_resampled
            )

    def _on_looked_through(self, found: Opened | Survey) -> None:
        if isinstance(found, Survey):
            series_panel_of(self._viewer).show_survey(found)
            return
        add_scans(self._viewer, found.layers)
        says_more = len(found.layers) > 1 or found.skipped
        self.opened.emit(found.summary if says_more else "")

    def _on_resampled(self, layer: LayerData) -> None:
        add_layer(self._viewer, layer)
