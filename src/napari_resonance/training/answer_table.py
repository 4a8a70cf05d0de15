"""Answers as a table, from which every figure of an evaluation can be computed anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_resonance.export.table import write_rows
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
    """Write a row for each case, as `export.table.write_rows` does.

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
    shares = tuple(f"p_{name}" for name in labels)
    columns = ("source", "split", "truth", "label", *shares, "sure", "called")
    rows = (
        {
            "source": case.source,
            "split": sides[n],
            "truth": case.label,
            "label": labels[int(probabilities[n].argmax())],
            # All digits: rounded to 1, answers that differ would be ties.
            **dict(zip(shares, map(repr, probabilities[n].tolist()), strict=True)),
            "sure": bool(sure[n]),
            "called": labels[called[n]],
            "patient": str(numbers.setdefault(case.patient, len(numbers) + 1)),
        }
        for n, case in enumerate(cases)
    )
    write_rows((*columns, "patient"), rows, path)
