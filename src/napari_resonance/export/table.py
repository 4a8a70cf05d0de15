"""Predictions as a CSV table that spreadsheets open safely."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

from napari_resonance.errors import ExportError
from napari_resonance.export.atomic import replacing

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction

# A spreadsheet takes a cell that begins so for a formula and runs it (OWASP, "CSV
# Injection"); a file name is under the control of whoever made the file.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
# What it shows as it is written: a class may be called -1.
_NUMBER = re.compile(r"-[0-9]+(?:\.[0-9]+)?")

_FIRST = ("source", "model", "label", "probability")
# What the operating point says, where the model has one.
_CALLED = "called"
_LAST = (
    "sure",
    "prediction_set",
    "out_of_distribution",
    "out_of_distribution_why",
    "saliency",
    "picture",
    "warnings",
    "seconds",
    "model_sha256",
    "recipe_sha256",
)
_PLACE = ("center_x", "center_y", "center_z")
# Columns that are there where at least one result has them.
_WHERE_GIVEN = (_CALLED, *_PLACE, "box_mm", "channels")


def write_predictions(
    predictions: Sequence[Prediction], path: str | PathLike[str]
) -> None:
    """Write one row a prediction, UTF-8, with a column ``p_<label>`` for every label.

    Where regions were classified, ``center_x``, ``center_y`` and ``center_z`` are RAS+
    mm. Text that a spreadsheet would run as a formula gets an apostrophe in front. What
    is unknown is left empty; several texts in one cell are joined by ``"; "``.

    Parameters
    ----------
    predictions
        In the order of the rows; they may come from several models.
    path
        The CSV file.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    labels = dict.fromkeys(name for p in predictions for name in p.probabilities)
    rows = [_row(prediction) for prediction in predictions]
    given = [n for n in _WHERE_GIVEN if any(row.get(n) is not None for row in rows)]
    columns = [*_FIRST, *(f"p_{name}" for name in labels), *_LAST, *given]
    write_rows(columns, rows, path)


def write_rows(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, object]],
    path: str | PathLike[str],
) -> None:
    """Write a CSV table, UTF-8, whole or not at all.

    Text that a spreadsheet would run as a formula gets an apostrophe in front. What is
    None, not finite or not in a row is left empty; several texts in one cell are joined
    by ``"; "``.

    Parameters
    ----------
    columns
        Their names, in order.
    rows
        Values by the names of their columns.
    path
        The file.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    with (
        replacing(path) as temporary,
        open(
            temporary, "w", newline="", encoding="utf-8", errors="backslashreplace"
        ) as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow([_cell(column) for column in columns])
        for row in rows:
            table.writerow([_cell(row.get(column)) for column in columns])


def write_slices(prediction: Prediction, path: str | PathLike[str]) -> None:
    """Write the probabilities of each slice that a 2D network scored, a row a slice.

    Slices are counted from 0 along the third axis of the network's grid, which is that
    of the saliency map.

    Raises
    ------
    ExportError
        If the prediction has no slices, or the file cannot be written.

    """
    if prediction.per_slice is None:
        raise ExportError("the prediction has no probabilities by slice")
    labels = [f"p_{name}" for name in prediction.probabilities]
    rows = enumerate(prediction.per_slice.tolist())
    write_rows(
        ["slice", *labels],
        ({"slice": n} | dict(zip(labels, row, strict=True)) for n, row in rows),
        path,
    )


def write_records(
    records: Sequence[Mapping[str, object]], path: str | PathLike[str]
) -> None:
    """Write records as a CSV table: the keys of the first are the columns.

    A place in RAS+ mm has a column for each of its coordinates; the rest is as
    `write_rows` does it.

    Parameters
    ----------
    records
        For example entries of ``saliency.regions.Region.to_json``; none give an empty
        file.
    path
        The CSV file.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    flat = [_by_coordinate(record) for record in records]
    if flat:
        write_rows(list(flat[0]), flat, path)
        return
    with replacing(path) as temporary:
        temporary.touch()


def _by_coordinate(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row with ``name_x``, ``name_y`` and ``name_z`` for each ``name_mm``."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        if name.endswith("_mm") and isinstance(value, list | tuple):
            stem = name.removesuffix("_mm")
            flat |= {f"{stem}_{x}": v for x, v in zip("xyz", value, strict=True)}
        else:
            flat[name] = value
    return flat


def _row(prediction: Prediction) -> dict[str, object]:
    row: dict[str, object] = dict(prediction.to_json())
    odd = prediction.out_of_distribution
    if prediction.center_mm is not None:
        row |= zip(_PLACE, prediction.center_mm, strict=True)
    row["out_of_distribution"] = None if odd is None else odd.score
    row["out_of_distribution_why"] = None if odd is None else odd.why
    return row | {f"p_{name}": p for name, p in prediction.probabilities.items()}


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.6g}"
    parts = value if isinstance(value, list | tuple) else [value]
    text = "; ".join(str(part) for part in parts)
    runs = text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text)
    return f"'{text}" if runs else text
