"""Labelled scans as the table that `read_labels` and ``resonance finetune`` take."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from napari_resonance.errors import TrainingError
from napari_resonance.export.atomic import replacing
from napari_resonance.training.cases import Case

_CENTER = ("center_x", "center_y", "center_z")


def write_labels(path: str | Path, cases: Sequence[Case]) -> Path:
    """Write a row for each case, whole or not at all.

    Parameters
    ----------
    path
        The CSV file. Scans on the same drive are named relative to it, so that a
        folder of scans may be moved together with its labels.
    cases
        With labels; columns that no case has a value for are left out.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    TrainingError
        If there is no case, or only some have a patient or a side of the split.
    ExportError
        If the file cannot be written.

    """
    target = Path(path)
    if not cases:
        raise TrainingError("no scan has a label yet", source=target)
    rows = [_row(case, target.parent) for case in cases]
    for column in ("patient", "split"):
        if 0 < sum(bool(row.get(column)) for row in rows) < len(rows):
            raise TrainingError(
                f"only some of the scans have a {column}",
                source=target,
                remedy="Fill it in for every scan, or for none",
            )
    columns = dict.fromkeys(name for row in rows for name, text in row.items() if text)
    with (
        replacing(target) as draft,
        draft.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return target


def _row(case: Case, folder: Path) -> dict[str, str]:
    place = case.center_mm or ()
    channels = {
        f"channel_{n}": _named(other, folder)
        for n, other in enumerate(case.paths[1:], start=2)
    }
    return {
        "path": _named(case.paths[0], folder),
        "label": case.label,
        "patient": case.patient,
        "split": case.split,
        "weight": "" if case.weight == 1 else f"{case.weight:.9g}",
        **{name: repr(float(mm)) for name, mm in zip(_CENTER, place, strict=False)},
        **channels,
        "series": case.series,
        **case.groups,
    }


def _named(path: Path, folder: Path) -> str:
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # another drive, on Windows
        return path.resolve().as_posix()
    return Path(relative).as_posix()
