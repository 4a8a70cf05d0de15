"""What can be written of the answers in a window, and how, without Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_resonance.errors import ExportError
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.viewer.naming import scan_name

if TYPE_CHECKING:
    from napari_resonance.scan import Scan
    from napari_resonance.viewer.records import Run


@dataclass(frozen=True)
class ExportKind:
    """A file that can be written.

    Parameters
    ----------
    name
        "picture", "map", "table" or "report".
    text, tip
        What the menu says.
    ending
        Of the file's name.
    has_picture
        Whether the scan itself can be seen in it.
    is_of_all
        Whether it holds all answers of the session, not only the one that is shown.

    """

    name: str
    text: str
    tip: str
    ending: str
    has_picture: bool = False
    is_of_all: bool = False


KINDS = (
    ExportKind("picture", "Picture (PNG)…", "Planes through the peak, answer, model "
               "and hashes in one picture", ".png", has_picture=True),
    ExportKind("map", "Map (NIfTI)…", "The map's own values on its own grid, at its "
               "true place", ".nii.gz"),
    ExportKind("table", "All answers (CSV)…", "One row for each answer in the list; "
               "names the files of the scans", ".csv", is_of_all=True),
    ExportKind("report", "Report of all answers (HTML)…", "One file with pictures, "
               "probabilities and what made them", ".html", has_picture=True,
               is_of_all=True),
)  # fmt: skip

Answered = tuple["Scan", "Run"]


def write_export(
    kind: ExportKind,
    answers: Sequence[Answered],
    path: Path,
    progress: Progress,
    should_stop: ShouldStop,
) -> Path:
    """Write answers to a file and return it.

    Parameters
    ----------
    kind
        Which file.
    answers
        Scans with their answers; those kinds that hold one take the first.
    path
        The file; an existing one is replaced.
    progress, should_stop
        As for all work in a thread.

    Raises
    ------
    ExportError
        If there is nothing to write, or the file cannot be written.

    """
    from napari_resonance.export.html import ReportedAnswer, write_answers
    from napari_resonance.export.nifti import write_saliency
    from napari_resonance.export.picture import write_picture
    from napari_resonance.export.table import write_predictions

    if not answers:
        raise ExportError("there is no answer to write", remedy="Classify a scan first")
    progress(0, 0, "Writing the file")
    scan, run = answers[0]
    if kind.name == "picture":
        write_picture(scan, run.prediction, path)
    elif kind.name == "map":
        if run.prediction.saliency is None:
            raise ExportError("this answer has no map")
        write_saliency(run.prediction.saliency, path)
    elif kind.name == "table":
        write_predictions([r.prediction for _, r in answers], path)
    else:
        named = [
            ReportedAnswer(scan_name(s), s, r.prediction, r.place, r.ended)
            for s, r in answers
        ]
        write_answers(named, path, progress=progress)
    return path
