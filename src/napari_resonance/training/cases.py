"""Case: one labelled scan, region, or set of registered scans, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SIDES = ("train", "validation", "test")
"""Where a case can be: learned from, chosen by, or judged with."""


@dataclass(frozen=True)
class Case:
    """One thing with one label.

    Parameters
    ----------
    paths
        The scan (a file or a DICOM folder), then further registered scans that become
        input channels.
    label
        What it shows.
    patient
        Cases of one patient are never on two sides of a split. Only for comparing:
        where it comes from a header, it is a hash.
    split
        ``"train"``, ``"validation"``, ``"test"``, or empty where the labels leave that
        open.
    weight
        How much it counts in training.
    center_mm
        RAS+ mm: the middle of a region that is looked at instead of the whole scan.
    groups
        Further columns (site, scanner, ...), for tables by subgroup.
    source
        How reports name it: the path relative to the labels, with the centre of its
        region where it has one. No two cases of a set share it.
    files
        The files of the first scan, where its folder holds other scans too; else empty.
    series
        Its SeriesInstanceUID, which tells these files from the others.

    """

    paths: tuple[Path, ...]
    label: str
    patient: str
    split: str = ""
    weight: float = 1.0
    center_mm: tuple[float, float, float] | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    files: tuple[Path, ...] = ()
    series: str = ""


_ORIGINS = {
    "column": "a column of the labels",
    "PatientID": "the headers of the scans",
    "folder": "the folders",
}


@dataclass(frozen=True)
class LabelledSet:
    """Cases, and what they can show.

    Parameters
    ----------
    cases
        In the order of the labels.
    labels
        The classes in the order of the network's outputs.
    patient_from
        Where the patients come from: ``"column"``, ``"PatientID"`` or ``"folder"``.
    warnings
        What is odd about the labels, in sentences.

    """

    cases: tuple[Case, ...]
    labels: tuple[str, ...]
    patient_from: str
    warnings: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The warnings, and where the patients come from, in sentences."""
        origin = _ORIGINS.get(self.patient_from, self.patient_from)
        return (*self.warnings, f"the patients were taken from {origin}")


def listed(names: list[str], most: int = 5) -> str:
    """Return the first names of a list in words, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
