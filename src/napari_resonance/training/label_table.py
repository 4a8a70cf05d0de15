"""A table of labels, as text editors and spreadsheets of all countries save it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_resonance.errors import TrainingError
from napari_resonance.tables import delimiter_of, header_at
from napari_resonance.training.cases import SIDES

_CENTER = ("center_x", "center_y", "center_z")
_KNOWN = ("path", "label", "patient", "split", "weight", *_CENTER, "series")
# What other tools call our columns and sides.
_COLUMN_NAMES = {"patient_id": "patient", "patientid": "patient", "subject": "patient"}
_SIDE_NAMES = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}


@dataclass(frozen=True)
class Row:
    """One row of a table of labels, checked; see `Case` for the fields.

    `line` is where it stands in the file, `channels` the columns ``channel...``.
    """

    line: int
    path: str
    label: str
    patient: str
    split: str
    weight: float
    center_mm: tuple[float, float, float] | None
    channels: tuple[str, ...]
    groups: Mapping[str, str]
    series: str = ""


def read_table(source: Path) -> list[Row]:
    """Read the rows of a table with the columns path and label, and optional others.

    Commas, semicolons, tabs or bars part the columns; a byte-order mark, upper case and
    spaces in the names of columns, and empty lines do not matter.

    Raises
    ------
    TrainingError
        If it cannot be read, a column is missing, or a value cannot be used.

    """
    text = _text(source)
    lines = text.splitlines()
    head = header_at(lines)
    if head is None:
        raise TrainingError("there are no labelled scans in it", source=source)
    delimiter = delimiter_of(lines[head])
    stream = io.StringIO("\n".join(lines[head:]), newline="")
    try:
        reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
        columns = _columns(next(reader), source)
        rows = []
        for values in reader:
            if any(value.strip() for value in values):
                where = head + reader.line_num
                cells = _cells(columns, values, where, source)
                rows.append(_row(cells, where, source, delimiter))
    except csv.Error as error:
        raise TrainingError(
            f"cannot read the labels: {error}", source=source
        ) from error
    if not rows:
        raise TrainingError("there are no labelled scans in it", source=source)
    return rows


def _text(source: Path) -> str:
    try:
        data = source.read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise TrainingError(
            f"cannot read the labels: {why}",
            source=source,
            remedy="Name a CSV file, or a folder with a folder for each class",
        ) from error
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if b"\0" in data or data.startswith(b"PK\x03\x04"):
        raise TrainingError(
            "cannot read the labels: this is no text file",
            source=source,
            remedy="Save the table as CSV",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _columns(names: Sequence[str], source: Path) -> list[str]:
    columns = []
    for name in names:
        plain = "_".join(name.strip().lower().replace("-", " ").split())
        columns.append(_COLUMN_NAMES.get(plain, plain))
    for column in ("path", "label"):
        if column not in columns:
            found = ", ".join(filter(None, columns)) or "none"
            raise TrainingError(
                f"the column {column!r} is missing; there are: {found}",
                source=source,
                remedy="Begin the file with a line such as path,label,patient",
            )
    twice = sorted({c for c in columns if c and columns.count(c) > 1})
    if twice:
        raise TrainingError(f"the column {twice[0]!r} is there twice", source=source)
    center = [c for c in _CENTER if c in columns]
    if len(center) in (1, 2):
        raise TrainingError(
            f"a centre needs the columns {', '.join(_CENTER)}; only "
            f"{' and '.join(center)} found",
            source=source,
        )
    return columns


def _cells(
    columns: Sequence[str], values: Sequence[str], line: int, source: Path
) -> dict[str, str]:
    if any(value.strip() for value in values[len(columns) :]):
        raise TrainingError(
            f"line {line} has {len(values)} values, but there are {len(columns)} "
            "columns",
            source=source,
            remedy="Put values that hold the delimiter into quotation marks",
        )
    padded = [*values, *[""] * (len(columns) - len(values))]
    return {c: v.strip() for c, v in zip(columns, padded, strict=False) if c}


def _row(cells: dict[str, str], line: int, source: Path, delimiter: str) -> Row:
    for column in ("path", "label"):
        if not cells[column]:
            raise TrainingError(
                f"line {line}: the column {column!r} is empty", source=source
            )
    decimal_comma = delimiter != ","

    def number(name: str) -> float:
        text = cells[name].replace(",", ".") if decimal_comma else cells[name]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise TrainingError(
                f"line {line}: the {name} {cells[name]!r} is no number", source=source
            )
        return value

    weight = number("weight") if cells.get("weight") else 1.0
    if weight <= 0:
        raise TrainingError(
            f"line {line}: the weight {weight:g} is not above 0",
            source=source,
            remedy="Leave out the rows that should not count",
        )
    center = None
    given = [bool(cells.get(name)) for name in _CENTER]
    if all(given):
        x, y, z = map(number, _CENTER)
        center = (x, y, z)
    elif any(given):
        raise TrainingError(f"line {line}: the centre is incomplete", source=source)
    return Row(
        line=line,
        path=cells["path"],
        label=cells["label"],
        patient=cells.get("patient", ""),
        split=_side(cells.get("split", ""), line, source),
        weight=weight,
        center_mm=center,
        channels=tuple(v for c, v in cells.items() if _is_channel(c) and v),
        groups={
            c: v
            for c, v in cells.items()
            if v and c not in _KNOWN and not _is_channel(c)
        },
        series=cells.get("series", ""),
    )


def _is_channel(column: str) -> bool:
    return column.startswith("channel")


def side_of(name: str) -> str:
    """Return the side of a split that a word means; empty if it means none."""
    plain = name.strip().lower()
    plain = _SIDE_NAMES.get(plain, plain)
    return plain if plain in SIDES else ""


def _side(name: str, line: int, source: Path) -> str:
    side = side_of(name)
    if name and not side:
        raise TrainingError(
            f"line {line}: there is no side {name!r} of a split",
            source=source,
            remedy="Write train, validation or test",
        )
    return side
