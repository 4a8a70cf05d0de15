"""From the journal of a scoring to what the window shows of it, without Qt."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_resonance.errors import ModelError, ReadError
from napari_resonance.export.wording import counted
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.saliency.question import ExplainOptions
from napari_resonance.viewer.classification import Classified, ClassifyOptions, classify
from napari_resonance.viewer.pace import duration
from napari_resonance.viewer.remedies import in_window
from napari_resonance.viewer.score_rows import (
    Key,
    ScoreRow,
    cases_of,
    read_verdicts,
    told_apart,
    write_verdicts,
)

if TYPE_CHECKING:
    from napari_resonance.scan import Scan
    from napari_resonance.scoring.journal import Journal
    from napari_resonance.scoring.plan import Item

# `scoring.journal.FILE_NAME`, which the window's thread need not import for.
JOURNAL = "journal.sqlite"

Verdicts = Mapping[Key, str]


@dataclass(frozen=True, eq=False)
class Scores:
    """What was scored and what was decided about it.

    Parameters
    ----------
    out
        The folder of the results.
    rows, verdicts
        What the models said, and what was decided, by `ScoreRow.key`.

    """

    out: Path
    rows: list[ScoreRow]
    verdicts: dict[Key, str]


def load_scores(out: Path, progress: Progress, should_stop: ShouldStop) -> Scores:
    """Read the results of a scoring, ended or not.

    Raises
    ------
    ReadError
        If there are none.

    """
    progress(0, 0, "Reading the scores")
    from napari_resonance.scoring.journal import Journal
    from napari_resonance.scoring.options import ScoreOptions

    if not is_begun(out):
        raise ReadError(
            "there are no scores in this folder",
            source=out,
            remedy="Choose the output folder of a scoring",
        )
    journal = Journal(out / JOURNAL)
    try:
        # Those of the last run, whoever began it, with whatever options.
        options = ScoreOptions(**json.loads(journal.fact("options") or "{}"))
        rows = _rows(journal, options.sha256)
    finally:
        journal.close()
    labels = {name for row in rows for name in row.probabilities}
    return Scores(out, rows, read_verdicts(out, labels))


def _rows(journal: Journal, options: str) -> list[ScoreRow]:
    names = {sha: name for sha, (name, _) in journal.models().items()}
    found = [
        _row(item, names.get(model, model), model, answer)
        for item, model, _, answer, _ in journal.rows(options, with_files=True)
    ]
    return told_apart(found)


def _row(item: Item, model: str, sha256: str, answer: Mapping[str, Any]) -> ScoreRow:
    odd = answer.get("out_of_distribution") or {}
    return ScoreRow(
        source=item.source,
        series=item.series,
        model=model,
        label=answer.get("label") or "",
        probabilities=answer.get("probabilities") or {},
        sure=bool(answer.get("sure")),
        odd=bool(odd.get("flag")),
        problem=in_window(answer.get("error") or ""),
        called=answer.get("called") or "",
        model_sha256=sha256,
        files=tuple(map(Path, item.files)),
        number=item.number,
        center_mm=item.center_mm,
    )


def keep_verdicts(
    out: Path, verdicts: Verdicts, progress: Progress, should_stop: ShouldStop
) -> None:
    """Write what was decided beside the scores.

    Raises
    ------
    ExportError
        If it cannot be written.

    """
    write_verdicts(out, verdicts)


def save_labels(
    rows: Sequence[ScoreRow],
    verdicts: Verdicts,
    path: Path,
    progress: Progress,
    should_stop: ShouldStop,
) -> Path:
    """Write verdicts as the table that ``resonance finetune`` takes.

    Raises
    ------
    ResonanceError
        If no scan has a class, or the file cannot be written.

    """
    from napari_resonance.training.label_writer import write_labels

    return write_labels(path, cases_of(rows, verdicts))


def scan_of(row: ScoreRow) -> Scan:
    """Read the scan that a row is about.

    Raises
    ------
    ReadError
        If it is not there any more.

    """
    from napari_resonance.reading import read_scans

    scans = read_scans(row.files)
    if row.number < len(scans):
        return scans[row.number]
    raise ReadError(
        "the scan is not as it was when it was scored",
        source=row.files[0],
        remedy="Score the folder again",
    )


@dataclass(frozen=True)
class ScoreOrder:
    """What to score, with what, and where the results go.

    Parameters
    ----------
    studies, out
        Folder of scans, and of the results.
    models
        Names or folders.
    retry_failed
        Score once more what failed in an earlier run.

    """

    studies: Path
    out: Path
    models: tuple[str, ...]
    retry_failed: bool = False


def foresee(order: ScoreOrder, progress: Progress, should_stop: ShouldStop) -> str:
    """Say what a scoring would do, and how long it would take.

    Raises
    ------
    ResonanceError
        If nothing can be scored.

    """
    progress(0, 0, "Looking for scans, and scoring a few to take the time")
    from napari_resonance.scoring.run import forecast

    found = forecast(order.studies, list(order.models), out=order.out)
    items = found.plan.items
    kinds = Counter(item.modality or "modality not known" for item in items)
    listed = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
    refused = sum(bool(item.refused) for item in items)
    lines = [f"{counted(len(items), 'scan')} ({listed}); {found.pending} to score."]
    if found.there:
        lines.append(f"{found.there} are scored already.")
    if refused:
        lines.append(f"{counted(refused, 'file')} cannot be read.")
    if found.plan.left_out:
        lines.append(f"{counted(len(found.plan.left_out), 'file')} without a scan.")
    if found.seconds is not None:
        lines.append(
            f"It would take {duration(found.seconds)} "
            f"(measured on {counted(found.sampled, 'scan')})."
        )
    return "\n".join(lines)


def run(order: ScoreOrder, progress: Progress, should_stop: ShouldStop) -> str:
    """Score a folder; what an earlier run did is not done again.

    Returns
    -------
    str
        How many were scored, failed and skipped.

    Raises
    ------
    ResonanceError
        If nothing can be scored, or the results cannot be written.

    """
    progress(0, 0, "Loading the models")
    from napari_resonance.scoring.options import ScoreOptions
    from napari_resonance.scoring.run import score

    summary = score(
        order.studies,
        list(order.models),
        out=order.out,
        options=ScoreOptions(retry_failed=order.retry_failed),
        progress=progress,
        should_stop=should_stop,
    )
    return str(summary)


def is_begun(out: Path) -> bool:
    """Tell whether a folder holds the results of a scoring, ended or not."""
    return (out / JOURNAL).is_file()


def explain(
    row: ScoreRow, model: Path, progress: Progress, should_stop: ShouldStop
) -> Classified:
    """Read the scan of a row, and make the map of its answer.

    Raises
    ------
    ResonanceError
        If the scan is not there any more, or fails again, or the model is another one
        than that which answered.

    """
    from napari_resonance.classifier.bundle import load_bundle

    if row.model_sha256 not in ("", load_bundle(model).sha256):
        raise ModelError(
            "the model was replaced since it answered",
            source=model,
            remedy="Score the folder again",
        )
    options = ClassifyOptions(
        scan=lambda: scan_of(row),
        scan_is_new=True,
        model=model,
        # It was scored, so it may be shown, also where its kind had to be forced.
        explain=ExplainOptions(center_mm=row.center_mm, force=True),
    )
    return classify(options, progress, should_stop)
