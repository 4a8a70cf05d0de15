"""Scans that the commands are pointed to, and what can be said of them briefly."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_resonance.errors import ReadError

if TYPE_CHECKING:
    from napari_resonance.reading.outline import Outline
    from napari_resonance.scan import Scan

_NIFTI_ENDINGS = (".nii", ".nii.gz", ".hdr", ".img")


def scans_at(path: Path, skipped: list[tuple[str, str]]) -> list[Scan]:
    """Read the scans of a file or folder; add source and reason of what is left out.

    Raises
    ------
    ReadError
        If a file cannot be read, or a folder holds no scan.

    """
    from napari_resonance.reading import read_scans

    return _found(read_scans, path, skipped)


def outlines_at(path: Path, skipped: list[tuple[str, str]]) -> list[Outline]:
    """Describe the scans of a file or folder without reading their pixels.

    Parameters and errors are those of `scans_at`.
    """
    from napari_resonance.reading import outline_scans

    return _found(outline_scans, path, skipped)


_Found = TypeVar("_Found")


def _found(
    read: Callable[..., list[_Found]], path: Path, skipped: list[tuple[str, str]]
) -> list[_Found]:
    def skip(source: object, reason: str) -> None:
        skipped.append((str(source), reason))

    found = read(path, on_skip=skip)
    if not found:
        raise ReadError(
            "there is no scan in this folder",
            source=path,
            remedy="Name a folder that holds DICOM or NIfTI files",
        )
    return found


def description_of(scan: Scan | Outline) -> str:
    """Return what the scanner's operator called the series; often empty."""
    return str(scan.meta.get("series_description", ""))


def told_apart(entries: Sequence[tuple[str, str]]) -> list[str]:
    """Return the sources of ``(source, description)``; shared ones get theirs added."""
    count = Counter(source for source, _ in entries)
    return [
        f"{source} ({description})" if count[source] > 1 and description else source
        for source, description in entries
    ]


def format_of(scan: Scan | Outline) -> str:
    """Return "NIfTI" or "DICOM"."""
    names = [path.name.lower() for path in scan.sources[:1]]
    is_nifti = any(name.endswith(_NIFTI_ENDINGS) for name in names)
    return "NIfTI" if is_nifti else "DICOM"


def code_of(scan: Scan, taken: set[str]) -> str:
    """Return a name for files about a scan: the same each time, and without names.

    File names and series of patients often hold who they are, so the name is a hash of
    both. Scans that share them get a number in reading order; `taken` is added to.
    """
    first = scan.sources[0].resolve() if scan.sources else ""
    text = f"{first}\n{scan.series}".encode("utf-8", "surrogateescape")
    code = hashlib.sha256(text).hexdigest()[:12]
    name, number = code, 1
    while name in taken:
        number += 1
        name = f"{code}-{number}"
    taken.add(name)
    return name


def shortened(path: str, length: int) -> str:
    """Return the end of a path, which tells scans apart, in so many characters."""
    return path if len(path) <= length else f"…{path[-(length - 1) :]}"
