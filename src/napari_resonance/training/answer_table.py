"""Answers as a table, from which every figure of an evaluation can be computed anew."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_resonance.export.atomic import replacing
from napari_resonance.training.cases import Case


def write_answers(  # noqa: PLR0913
    path: Path,
    labels: Sequence[str],
    *,
    cases: Sequence[Case],
    sides: Sequence[str],
    probabilities: NDArray[np.float64],
    called: Sequence[int],
    sure: Sequence[bool],
) -> None:
    """Write a row for each case; whole or not at all.

    Parameters
    ----------
    path
        The CSV file. Patients have numbers in it, in the order of the cases.
    labels
        In the order of the outputs.
    cases, sides
        What was asked about, and to which side each belongs.
    probabilities
        ``(n, K)``, calibrated.
    called
        Index of each case's label at the operating point.
    sure
        Whether the rule of the classifier allows the answer.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    numbers: dict[str, int] = {}
    columns = ("source", "split", "truth", "label", *(f"p_{n}" for n in labels))
    with (
        replacing(path) as draft,
        draft.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow((*columns, "sure", "called", "patient"))
        for n, case in enumerate(cases):
            shares = probabilities[n]
            writer.writerow(
                (
                    case.source,
                    sides[n],
                    case.label,
                    labels[int(shares.argmax())],
                    *(f"{share:.6g}" for share in shares),
                    str(bool(sure[n])).lower(),
                    labels[called[n]],
                    numbers.setdefault(case.patient, len(numbers) + 1),
                )
            )
