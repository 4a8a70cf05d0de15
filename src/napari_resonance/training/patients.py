"""Who the cases are of, where no column says so: from DICOM headers, else folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_resonance.reading.file_kinds import kind_of
from napari_resonance.training.cases import Case

_TAGS = ("PatientID", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate")
# Files of a folder that are looked at until one is DICOM.
_MOST_LOOKED_AT = 20


def with_patients(
    cases: Sequence[Case], root: Path
) -> tuple[list[Case], str, list[str]]:
    """Return the cases with their patients, where these come from, and what is odd.

    Parameters
    ----------
    cases
        Without patients.
    root
        The folder of the labels.

    Returns
    -------
    cases, patient_from, warnings
        `patient_from` is ``"PatientID"`` if any case has one, else ``"folder"``.

    """
    identifiers = [hashed(_identifier(case)) for case in cases]
    folders = _by_folder(cases, root)
    warnings = []
    known = [i for i in identifiers if i]
    if len(cases) > 1 and len(set(known)) == 1 and len(known) == len(cases):
        warnings.append(
            "all scans have the same PatientID: the folder stands for the patient"
        )
        known = []
    if not known:
        flat = _flat(cases, folders)
        return (
            [_of(c, f) for c, f in zip(cases, folders, strict=True)],
            "folder",
            [
                *warnings,
                *flat,
            ],
        )
    result = [
        _of(c, i or f) for c, i, f in zip(cases, identifiers, folders, strict=True)
    ]
    if len(known) < len(cases):
        warnings.append(
            f"{len(cases) - len(known)} of {len(cases)} cases have no PatientID: their "
            "folder stands for the patient"
        )
    return result, "PatientID", warnings


def _of(case: Case, patient: str) -> Case:
    return replace(case, patient=patient)


def hashed(identifier: str) -> str:
    """Return what stands for an identifier: equal for equal ones, and not readable."""
    if not identifier:
        return ""
    text = f"napari-resonance {identifier}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:20]


def header_of(path: Path) -> dict[str, str]:
    """Return who is on a DICOM file or the first one in a folder; empty if none is.

    The values are identifying: nothing may show or store them.
    """
    file = _first_dicom(path)
    if file is None:
        return {}
    import pydicom

    try:
        with pydicom.config.disable_value_validation():
            header: Any = pydicom.dcmread(
                file, stop_before_pixels=True, specific_tags=list(_TAGS)
            )
            return {tag: str(header.get(tag) or "").strip() for tag in _TAGS}
    # A header that cannot be read says nothing about the patient; reading the scan
    # will tell what is wrong with it.
    except Exception:  # noqa: BLE001
        return {}


def _identifier(case: Case) -> str:
    return header_of(case.files[0] if case.files else case.paths[0]).get(
        "PatientID", ""
    )


def _first_dicom(path: Path) -> Path | None:
    for file in _files(path)[:_MOST_LOOKED_AT]:
        with suppress(OSError):
            if kind_of(file)[0] == "dicom":
                return file
    return None


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    for folder, folders, names in os.walk(path):
        folders.sort()
        if names:
            return [Path(folder, name) for name in sorted(names)]
    return []


def _by_folder(cases: Sequence[Case], root: Path) -> list[str]:
    """Return the outermost folder that tells scans apart, without those of classes."""
    labels = {case.label for case in cases}
    parts = [_parts(case, root, labels) for case in cases]
    shared = _shared([p[:-1] for p in parts]) if len(parts) > 1 else 0
    result = []
    for part in parts:
        # The Brain Imaging Data Structure names the subject.
        subject = next((p for p in part if p.startswith("sub-")), "")
        own = part[shared]
        result.append(subject.split("_")[0] if subject else own)
    return result


def _shared(parts: list[list[str]]) -> int:
    """Return how many of the first parts are the same everywhere."""
    first, last = min(parts), max(parts)
    pairs = list(zip(first, last, strict=False))
    return next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))


def _parts(case: Case, root: Path, labels: set[str]) -> list[str]:
    path = case.files[0] if case.files else case.paths[0]
    with suppress(ValueError):
        path = path.relative_to(root)
    *folders, name = path.parts
    sides = {"train", "training", "val", "validation", "test", "testing"}
    kept = [f for f in folders if f not in labels and f.lower() not in sides]
    return [*kept, name.split(".")[0] if case.paths[0].is_file() else name]


def _flat(cases: Sequence[Case], folders: Sequence[str]) -> list[str]:
    if len(cases) > 1 and len(set(folders)) == len(cases):
        return [
            "no column and no header says who the patients are: every scan counts as a "
            "patient of its own"
        ]
    return []
