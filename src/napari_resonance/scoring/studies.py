"""From the answers to the scans of a study to one answer to the study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from napari_resonance.classifier.prediction import called_at
from napari_resonance.errors import ScoringError

Row = Mapping[str, Any]

STUDIES = "studies.csv"
_LABEL = "p_"


def _first(values: Sequence[float]) -> float:
    return values[0]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


WAYS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "first": _first,
    "mean": _mean,
    "max": max,
}
"""How the probabilities of a label in several scans become one, by name."""


def study_of(row: Row) -> str:
    """Return what a scan's study is known by: its identifier, or else its folder."""
    return row["study"] or str(PurePosixPath(row["source"]).parent)


def columns_of(columns: Iterable[str]) -> list[str]:
    """Return the columns of the table of studies, of those of the table of scores."""
    labels = [name for name in columns if name.startswith(_LABEL)]
    return [
        *("study", "model", "label", "probability", *labels),
        *("called", "sure", "scans", "left"),
    ]


def studies(rows: Iterable[Row], way: str) -> Iterator[dict[str, Any]]:
    """Yield one row a study and model, in the order of their rows.

    With "max", the probability of a label is the largest that any scan of the study
    gave it, so those of all labels may add up to more than 1: it suits findings that
    one scan of several shows.

    Parameters
    ----------
    rows
        Those of the table of scores, as values by column; those of a study next to
        each other.
    way
        "max", "mean" or "first" (in reading order).

    Yields
    ------
    dict
        ``study, model, label, probability, p_<label>…``; ``called``, the label at the
        model's operating point, None without one: the second of two labels where its
        joined probability reaches the point; ``sure`` where all scans that count are
        and agree; ``scans``, how many count; ``left``, how many scans of the study
        have no answer.

    Raises
    ------
    ScoringError
        If there is no such way.

    """
    if way not in WAYS:
        raise ScoringError(
            f"there is no way {way!r} to join the answers to a study",
            remedy=f"Use {', '.join(WAYS)}",
        )
    for study, rows_of_study in groupby(rows, study_of):
        models: dict[str, list[Row]] = {}
        for row in rows_of_study:
            models.setdefault(row["model"], []).append(row)
        for model, group in models.items():
            yield _study(study, model, group, way)


def _study(study: str, model: str, group: Sequence[Row], way: str) -> dict[str, Any]:
    answered = [row for row in group if row["status"] == "scored"]
    counted = answered[:1] if way == "first" else answered
    return {
        "study": study,
        "model": model,
        **_joined(counted, WAYS[way]),
        "scans": len(counted),
        "left": len(group) - len(answered),
    }


def _joined(
    rows: Sequence[Row], way: Callable[[Sequence[float]], float]
) -> dict[str, Any]:
    if not rows:
        return {"label": None, "probability": None, "called": None, "sure": None}
    joined = {
        name.removeprefix(_LABEL): way([row[name] for row in rows])
        for name, value in rows[0].items()
        if name.startswith(_LABEL) and value is not None
    }
    label = max(joined, key=joined.__getitem__)
    return {
        "label": label,
        "probability": joined[label],
        **{f"{_LABEL}{name}": value for name, value in joined.items()},
        # With "max" the second label is called where any scan is called so.
        "called": called_at(joined, rows[0].get("threshold")),
        "sure": all(row["sure"] and row["label"] == label for row in rows),
    }
