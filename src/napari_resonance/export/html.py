"""Answers as one HTML file that needs nothing else: facts, provenance, pictures."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from napari_resonance.export.picture import write_picture
from napari_resonance.export.templating import html_template, write_html
from napari_resonance.export.wording import (
    RESEARCH_USE,
    certainty,
    counted,
    percent,
    place_mm,
    title_of,
    why_unsure,
)
from napari_resonance.progress import Progress, no_progress

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.scan import Scan


@dataclass(frozen=True, eq=False)
class ReportedAnswer:
    """One answer of a report.

    Parameters
    ----------
    name
        What the scan is called; names no patient.
    scan
        What was classified.
    prediction
        The answer, with or without a map.
    place
        Where its map is highest, in words.
    ended
        When it was given, as ISO 8601.

    """

    name: str
    scan: Scan
    prediction: Prediction
    place: str = ""
    ended: str = ""


def write_answers(
    answers: Sequence[ReportedAnswer],
    path: str | PathLike[str],
    *,
    title: str = "Answers",
    progress: Progress = no_progress,
) -> None:
    """Write a report: each answer with its probabilities, its model and its picture.

    Every text is escaped; names of files and patients are not written. The pictures
    are those of `write_picture`.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    entries = []
    for n, answer in enumerate(answers):
        progress(n, len(answers), f"Drawing picture {n + 1} of {len(answers)}")
        entries.append(_entry(answer))
    template = html_template("napari_resonance.export", "answers.html", percent=percent)
    text = template.render(
        title=title,
        notice=RESEARCH_USE,
        counted=counted,
        version=version("napari-resonance"),
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        entries=entries,
    )
    write_html(path, text)


def _entry(answer: ReportedAnswer) -> dict[str, object]:
    prediction, saliency = answer.prediction, answer.prediction.saliency
    center = prediction.center_mm
    named = "" if saliency is None else title_of(saliency)
    return {
        "name": answer.name,
        "prediction": prediction,
        "certainty": certainty(prediction),
        "reason": why_unsure(prediction),
        "place": answer.place,
        "map": named,
        "region": "" if center is None else place_mm(center),
        "ended": answer.ended.replace("T", " "),
        "picture": _picture(answer),
    }


def _picture(answer: ReportedAnswer) -> str:
    """Return the picture of an answer as a data URL."""
    with tempfile.TemporaryDirectory(prefix="resonance-") as folder:
        path = Path(folder) / "picture.png"
        write_picture(answer.scan, answer.prediction, path)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:image/png;base64,{data}"
