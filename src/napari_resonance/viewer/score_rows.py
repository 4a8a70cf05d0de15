"""Rows of a score table, and what was decided about them; without Qt."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_resonance.errors import TrainingError
from napari_resonance.export.atomic import replacing
from napari_resonance.training.cases import Case

VERDICTS = "verdicts.csv"
"""File of a folder of scores."""

REJECTED = "(rejected)"
"""The verdict that a scan is left out, which no class is called."""
_ONCE = "rejected"  # so earlier versions called it, and so a class may be called
_KEY = ("source", "series", "model", "region", "part")

Key = tuple[str, str, str, str, str]
"""Source, series, model, region and part of a row; no two rows have the same."""


@dataclass(frozen=True, eq=False)
class ScoreRow:
    """What a model said of one scan.

    Parameters
    ----------
    source
        Of the scan, relative to the folder that was scored.
    series
        Its identifier; empty where it has none.
    model
        Which one.
    label, probabilities
        What it answered; empty where it failed.
    sure, odd
        Whether it was sure, and whether the scan is unlike its training data.
    problem
        Why there is no answer; empty where there is one.
    part
        What tells it from the other scans of its series, such as another echo; empty
        where there are none.
    model_sha256
        Hash of the model as it was when it answered; empty where that is not known.
    called
        The label at the model's operating point; empty where it has none.
    files, number
        Where it is read from, and which of the scans in these files it is.
    center_mm
        Middle of the region that was scored, RAS+ mm; None for the whole scan.

    """

    source: str
    series: str
    model: str
    label: str
    probabilities: Mapping[str, float]
    sure: bool
    odd: bool
    problem: str
    called: str = ""
    model_sha256: str = ""
    part: str = ""
    files: tuple[Path, ...] = ()
    number: int = 0
    center_mm: tuple[float, float, float] | None = None

    @property
    def region(self) -> str:
        """The middle of its region: ``"-12, 4.5, 30"``; empty for the whole scan."""
        return ", ".join(f"{n:g}" for n in self.center_mm or ())

    @property
    def key(self) -> Key:
        """What tells it from other rows."""
        return (self.source, self.series, self.model, self.region, self.part)

    @property
    def verdict(self) -> str:
        """What it is where the model is right: the called label, else the likeliest."""
        return self.called or self.label

    @property
    def probability(self) -> float:
        """Of the label; 0 without an answer."""
        return self.probabilities.get(self.label, 0.0)

    @property
    def doubt(self) -> float:
        """Entropy of the probabilities, from 0 to 1; -1 without an answer."""
        values = [p for p in self.probabilities.values() if p > 0]
        if not self.label:
            return -1.0
        if len(self.probabilities) < 2:
            return 0.0
        entropy = -sum(p * math.log(p) for p in values)
        return entropy / math.log(len(self.probabilities))


def read_verdicts(folder: Path, labels: Iterable[str] = ()) -> dict[Key, str]:
    """Return what was decided before: a label, or `REJECTED`, by `ScoreRow.key`.

    Parameters
    ----------
    folder
        Of the scores.
    labels
        The classes that scans can have.

    """
    try:
        with (folder / VERDICTS).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        return {}
    was = REJECTED if _ONCE not in labels else _ONCE
    # Tables of earlier versions have no columns for region and part.
    return {
        (
            r["source"],
            r["series"],
            r["model"],
            r.get("region") or "",
            r.get("part") or "",
        ): (was if r["verdict"] == _ONCE else r["verdict"])
        for r in rows
    }


def told_apart(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """Return rows of which no two have one key, by the names of their files."""
    times = Counter(row.key for row in rows)
    return [replace(r, part=_part(r)) if times[r.key] > 1 else r for r in rows]


def _part(row: ScoreRow) -> str:
    names = [row.files[0].name] if row.files else []
    return " ".join([*names, *([str(row.number)] if row.number else [])])


def write_verdicts(folder: Path, verdicts: Mapping[Key, str]) -> None:
    """Keep what was decided beside the scores, whole or not at all.

    Raises
    ------
    ExportError
        If it cannot be written.

    """
    with (
        replacing(folder / VERDICTS) as draft,
        draft.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow((*_KEY, "verdict"))
        writer.writerows((*key, verdict) for key, verdict in verdicts.items())


def cases_of(rows: Iterable[ScoreRow], verdicts: Mapping[Key, str]) -> list[Case]:
    """Return the scans and regions that were decided about as cases, each once.

    Those that were rejected are left out.

    Parameters
    ----------
    rows
        Of the score table, in the order in which the cases shall be.
    verdicts
        By `ScoreRow.key`.

    Raises
    ------
    TrainingError
        If one of them was given two classes, where several models answered, or is one
        of several scans of a series.

    """
    cases: dict[tuple[str, str, str], Case] = {}
    for row in rows:
        label = verdicts.get(row.key, REJECTED)
        if label != REJECTED:
            if row.part:
                raise TrainingError(
                    f"{row.source} ({row.part}) is one of several scans of its series, "
                    "which a table of labels does not tell apart",
                    remedy="Reject it, or put its files into a folder of their own",
                )
            several = len(row.files) > 1
            place = row.files[0].parent if several else row.files[0]
            series = row.series if several else ""
            case = Case(
                (place,),
                label,
                "",
                center_mm=row.center_mm,
                source=f"{row.source} {row.region}".rstrip(),
                series=series,
            )
            same = cases.setdefault((row.source, row.series, row.region), case)
            if same.label != label:
                raise TrainingError(
                    f"{case.source} has two verdicts: {same.label!r} and {label!r}",
                    remedy="Decide on one in the rows of all models",
                )
    return list(cases.values())
