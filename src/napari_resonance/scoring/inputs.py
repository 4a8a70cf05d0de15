"""What a run is pointed to: folders, files, or lists, tables and patterns of them."""

from __future__ import annotations

import csv
import glob
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from napari_resonance.errors import ReadError
from napari_resonance.tables import delimiter_of, header_at

_PATTERN = "*?["
_LISTS, _TABLES = (".txt", ".lst"), (".csv", ".tsv")
_CENTER = ("center_x", "center_y", "center_z")

Center = tuple[float, float, float]


@dataclass(frozen=True)
class Input:
    """A file, folder or archive, and the region of it that is meant.

    Parameters
    ----------
    path
        Where it lies.
    center_mm
        Middle of the region, RAS+ mm; None for whole scans.

    """

    path: Path
    center_mm: Center | None = None


def inputs_of(studies: Iterable[str | PathLike[str]]) -> list[Input]:
    """Return the inputs that are meant, each once, in their order.

    Parameters
    ----------
    studies
        Files, folders and archives; patterns such as ``study*/*.nii.gz`` (``**`` for
        any depth), where nothing has that very name; text files with a path a line;
        tables with a column ``path`` and, for regions, ``center_x``, ``center_y`` and
        ``center_z`` in RAS+ mm. Paths in lists and tables are relative to these.

    Raises
    ------
    ReadError
        If a list or table cannot be read or names nothing, or a pattern fits nothing.

    """
    found: dict[Input, None] = {}
    for study in studies:
        found |= dict.fromkeys(_one(Path(study)))
    return list(found)


def _one(path: Path) -> Iterable[Input]:
    if not path.exists() and any(sign in str(path) for sign in _PATTERN):
        return _fitting(path)
    ending = path.suffix.lower()
    if not path.is_file() or ending not in (*_LISTS, *_TABLES):
        return [Input(path)]
    try:
        # Spreadsheets write a byte order mark.
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(
            f"the list cannot be read ({error})",
            source=path,
            remedy="Save it as UTF-8 text",
        ) from error
    lines = text.splitlines()
    listed = list(_table(path, lines) if ending in _TABLES else _lines(path, lines))
    if not listed:
        raise ReadError(
            "the list names nothing", source=path, remedy="Write one path a line"
        )
    return listed


def _fitting(pattern: Path) -> list[Input]:
    found = sorted(glob.iglob(str(pattern), recursive=True))
    if not found:
        raise ReadError(
            "no file or folder fits this pattern",
            source=pattern,
            remedy="Check the path; ** stands for folders of any depth",
        )
    return [Input(Path(name)) for name in found]


def _lines(path: Path, lines: Sequence[str]) -> Iterator[Input]:
    for line in lines:
        name = line.strip()
        if name and not name.startswith("#"):
            yield Input(_beside(path, name))


def _table(path: Path, lines: list[str]) -> Iterator[Input]:
    head = header_at(lines) or 0
    delimiter = delimiter_of(lines[head]) if lines else ","
    table = csv.DictReader(lines[head:], delimiter=delimiter)
    columns = {(name or "").strip().lower(): name for name in table.fieldnames or ()}
    if "path" not in columns:
        raise ReadError(
            "the table has no column 'path'",
            source=path,
            remedy="Begin it with the line: path, or: path,center_x,center_y,center_z",
        )
    there = [name for name in _CENTER if name in columns]
    if there and len(there) < len(_CENTER):
        raise ReadError(
            f"the table has {' and '.join(there)} only",
            source=path,
            remedy="Regions need center_x, center_y and center_z",
        )
    for row in table:
        name = (row[columns["path"]] or "").strip()
        if name:
            texts = [(row[columns[column]] or "").strip() for column in there]
            center = _center(path, head + table.line_num, texts)
            yield Input(_beside(path, name), center)


def _center(path: Path, line: int, texts: Sequence[str]) -> Center | None:
    if not any(texts):
        return None
    try:
        x, y, z = (float(text) for text in texts)
    except ValueError:
        x = y = z = math.nan
    if not all(map(math.isfinite, (x, y, z))):
        raise ReadError(
            f"line {line} has no place: {', '.join(texts)}",
            source=path,
            remedy="Write three numbers, RAS+ mm, or leave all three empty",
        )
    return x, y, z


def _beside(path: Path, name: str) -> Path:
    return Path(os.path.normpath(path.parent / name))
