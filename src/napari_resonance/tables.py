"""Tables as text editors and spreadsheets of all countries save them."""

from __future__ import annotations

_DELIMITERS = (",", ";", "\t", "|")


def delimiter_of(line: str) -> str:
    """Return what parts the columns of a table, from the line of their names.

    A comma, a semicolon, a tab or a bar: whichever is there most often; a comma where
    none is.
    """
    return max(_DELIMITERS, key=line.count)


def header_at(lines: list[str]) -> int | None:
    """Return where the names of the columns stand; None where there is no line.

    Empty lines, and Excel's own way to name the delimiter (``sep=;``), come before.
    """
    start = 1 if lines and lines[0].lower().startswith("sep=") else 0
    return next((n for n in range(start, len(lines)) if lines[n].strip()), None)
