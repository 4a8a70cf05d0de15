"""From a score table to what the window shows of it, without Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_resonance.errors import ReadError
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.viewer.score_rows import (
    ScoreRow,
    cases_of,
    read_scores,
    read_verdicts,
    write_verdicts,
)

if TYPE_CHECKING:
    from napari_resonance.scan import Scan

Verdicts = Mapping[tuple[str, str, str], str]


@dataclass(frozen=True, eq=False)
class Scores:
    """A score table and what was decided about it.

    Parameters
    ----------
    out
        Its folder.
    rows, verdicts
        What it says, and what was decided, by `ScoreRow.key`.

    """

    out: Path
    rows: list[ScoreRow]
    verdicts: dict[tuple[str, str, str], str]


def load_scores(out: Path, progress: Progress, should_stop: ShouldStop) -> Scores:
    """Read a folder of scores.

    Raises
    ------
    ReadError
        If there are none.

    """
    progress(0, 0, "Reading the scores")
    return Scores(out, read_scores(out), read_verdicts(out))


def keep_verdicts(out: Path, verdicts: Verdicts) -> None:
    """Write what was decided beside the scores."""
    write_verdicts(out, verdicts)


def save_labels(
    rows: Sequence[ScoreRow], verdicts: Verdicts, studies: Path, path: Path
) -> Path:
    """Write verdicts as the table that ``resonance finetune`` takes.

    Raises
    ------
    ResonanceError
        If no scan has a class, or the file cannot be written.

    """
    from napari_resonance.training.label_writer import write_labels

    return write_labels(path, cases_of(rows, verdicts, studies))


def scan_of(row: ScoreRow, studies: Path) -> Scan:
    """Read the scan that a row is about.

    Raises
    ------
    ReadError
        If it is not there any more, or the row names several.

    """
    from napari_resonance.reading import outline_scans, read_scans

    path = studies / row.source
    if not path.exists():
        raise ReadError(
            "the scan is not where it was scored",
            source=path,
            remedy="Choose the folder of studies anew",
        )
    outlines = outline_scans(path)
    found = [o for o in outlines if not row.series or o.series == row.series]
    if len(found) != 1:
        raise ReadError(f"{len(found)} scans are here, not one", source=path)
    (scan,) = read_scans(found[0].sources)
    return scan
