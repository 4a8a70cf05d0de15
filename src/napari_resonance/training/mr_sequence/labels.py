"""Labels of scans: a CSV file with a row for each scan."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from napari_resonance.errors import TrainingError


@dataclass(frozen=True)
class LabelledFile:
    """One row of a label file.

    Parameters
    ----------
    path
        The scan.
    label
        What it shows.
    patient
        Scans of one patient are never split between training and testing.
    site
        Where it was acquired; empty if unknown.

    """

    path: Path
    label: str
    patient: str
    site: str = ""

    @property
    def visit(self) -> str:
        """Folder and name up to the last underscore: shared by scans of one visit."""
        stem = self.path.name.split(".")[0]
        return f"{self.path.parent}/{stem.rpartition('_')[0]}"


def read_labels(path: str | Path) -> list[LabelledFile]:
    """Read a CSV file with the columns path, label, patient and optionally site.

    Paths are relative to the CSV file.

    Raises
    ------
    TrainingError
        If the file, a column, a label or a scan is missing.

    """
    source = Path(path)
    try:
        with source.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(
            f"cannot read the labels: {error}", source=source
        ) from error
    if not rows:
        raise TrainingError("there are no labelled scans in it", source=source)
    for column in ("path", "label", "patient"):
        if not all(row.get(column) for row in rows):
            raise TrainingError(
                f"the column {column!r} is missing or has gaps", source=source
            )
    files = [
        LabelledFile(
            source.parent / r["path"], r["label"], r["patient"], r.get("site") or ""
        )
        for r in rows
    ]
    for file in files:
        if not file.path.exists():
            raise TrainingError("this labelled scan does not exist", source=file.path)
    return files
