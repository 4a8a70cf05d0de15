"""Asks where to write answers, warns of what pictures give away, and writes them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_resonance.export.privacy import picture_risks
from napari_resonance.viewer.dialogs import ask_target
from napari_resonance.viewer.exports import Answered, ExportKind, write_export
from napari_resonance.viewer.job_runner import JobRunner


class Exporter(QObject):
    """Writes files in the background of a panel."""

    written = Signal(str)
    """What was written, as a sentence."""

    def __init__(self, runner: JobRunner, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        self._runner = runner

    def export(self, kind: ExportKind, answers: Sequence[Answered], body: str) -> None:
        """Ask for a file and write it.

        Parameters
        ----------
        kind
            Which file.
        answers
            What it shall hold, the answer that is shown first.
        body
            What the model was made for, for the warning.

        """
        shown = list(answers) if kind.is_of_all else list(answers[:1])
        if kind.has_picture and not self._is_agreed(shown, body):
            return
        title = kind.text.rstrip("…")
        path = ask_target(self._panel, title, "exports", kind.ending)
        if path is not None:
            work = partial(write_export, kind, shown, path)
            self._runner.run(work, self._on_written)

    def _is_agreed(self, answers: Sequence[Answered], body: str) -> bool:
        """Show what the pictures may give away; False if the user thinks better."""
        risks = dict.fromkeys(r for s, _ in answers for r in picture_risks(s, body))
        if not risks:
            return True
        button = QMessageBox.StandardButton
        answer = QMessageBox.warning(
            self._panel,
            "Before this leaves the house",
            "\n\n".join(risks),
            button.Ok | button.Cancel,
            button.Cancel,
        )
        return bool(answer == button.Ok)

    def _on_written(self, path: Path) -> None:
        self.written.emit(f"Written: {path}.")
