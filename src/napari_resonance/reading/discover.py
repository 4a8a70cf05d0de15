"""Which files under some paths may hold a scan: told by content, not by name alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal

from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.progress import ShouldStop

OnSkip = Callable[[Path, str], None]
"""Called with a file that is left out, and the reason in a few words."""

_NIFTI_ENDINGS = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")
_HEADER_BYTES = 540
_HEADER_SIZES = {
    (348).to_bytes(4, "little"),
    (348).to_bytes(4, "big"),
    (540).to_bytes(4, "little"),
    (540).to_bytes(4, "big"),
}
_KNOWN_JUNK = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\x1f\x8b": "a gzip archive; unpack it first",
}
_VALUE_TYPES = re.compile(rb"[A-Z]{2}")

Kind = Literal["dicom", "nifti"]


@dataclass
class Found:
    """Files that may hold a scan, in a stable order, each once."""

    dicom: list[Path] = field(default_factory=list)
    nifti: list[Path] = field(default_factory=list)
    named: set[Path] = field(default_factory=set)


def discover(
    paths: Iterable[str | PathLike[str]], on_skip: OnSkip, should_stop: ShouldStop
) -> Found:
    """Sort the files that `paths` name or hold into DICOM and NIfTI candidates.

    Parameters
    ----------
    paths
        Files and folders; folders are searched in depth, in the order of their names
        with numbers counted as numbers. A symbolic link is followed, a loop only once.
    on_skip
        Called for each file in a folder that is neither, with the reason.
    should_stop
        Asked before each file.

    Returns
    -------
    Found
        Candidates; `named` holds those that were asked for by name.

    Raises
    ------
    ReadError
        If a path does not exist, or a file named by the caller is neither.
    CancelledError
        If `should_stop` returned True.

    """
    found, seen = Found(), set[tuple[int, int]]()
    for path in map(Path, paths):
        if not path.exists():
            raise ReadError(
                "there is no such file or folder",
                source=path,
                remedy="Check the path",
            )
        if not path.is_dir():
            _add_named(found, path)
            continue
        for file in _files_in(path, on_skip, seen):
            if should_stop():
                raise CancelledError("reading was stopped", source=path)
            _add(found, file, on_skip)
    found.dicom = list(dict.fromkeys(found.dicom))
    found.nifti = list(dict.fromkeys(map(_one_of_pair, found.nifti)))
    found.named |= {_one_of_pair(path) for path in found.named}
    return found


def _add_named(found: Found, path: Path) -> None:
    try:
        kind, why = kind_of(path)
    except OSError as error:
        kind, why = None, f"unreadable: {error.strerror or error}"
    if kind is None:
        raise ReadError(
            f"is neither DICOM nor NIfTI but {why}"
            if not why.startswith("unreadable")
            else why,
            source=path,
            remedy="Name a DICOM or NIfTI file, or the folder that holds the images",
        )
    getattr(found, kind).append(path)
    found.named.add(path)


def _add(found: Found, path: Path, on_skip: OnSkip) -> None:
    try:
        kind, why = kind_of(path)
    except OSError as error:
        kind, why = None, f"unreadable: {error.strerror or error}"
    if kind is None:
        on_skip(path, why)
    else:
        getattr(found, kind).append(path)


def kind_of(path: Path) -> tuple[Kind | None, str]:
    """Tell DICOM and NIfTI by the first bytes; None comes with what it is instead.

    Raises
    ------
    OSError
        If the file cannot be opened.

    """
    if not path.is_file():
        return None, "no regular file"
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if head[128:132] == b"DICM":
        return "dicom", ""
    if path.name.lower().endswith(_NIFTI_ENDINGS):
        return "nifti", ""
    if head[:4] in _HEADER_SIZES and len(head) >= 348:
        return "nifti", ""
    if _looks_like_headless_dicom(head):
        return "dicom", ""
    return None, _what_else(head)


def _what_else(head: bytes) -> str:
    if not head:
        return "an empty file"
    known = (what for start, what in _KNOWN_JUNK.items() if head.startswith(start))
    return next(known, "a file of another kind")


def _looks_like_headless_dicom(head: bytes) -> bool:
    """Tell a DICOM file without preamble: it starts with an element of group 2 or 8."""
    if len(head) < 8:
        return False
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        group = int.from_bytes(head[:2], order)
        element = int.from_bytes(head[2:4], order)
        if group not in (0x0002, 0x0008) or element > 0x0120:
            continue
        length = int.from_bytes(head[4:8], order)
        if _VALUE_TYPES.fullmatch(head[4:6]) or length <= 1024:
            return True
    return False


def _files_in(
    folder: Path, on_skip: OnSkip, seen: set[tuple[int, int]]
) -> Iterator[Path]:
    """Yield the files of a folder in depth; a folder is entered only once."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        folders = []
        for path in _entries(current, on_skip, seen):
            if path.name.startswith(".") or path.name == "__MACOSX":
                on_skip(path, "hidden")
            elif path.is_dir():
                folders.append(path)
            else:
                yield path
        waiting += reversed(folders)


def _entries(folder: Path, on_skip: OnSkip, seen: set[tuple[int, int]]) -> list[Path]:
    try:
        here = folder.stat()
        names = sorted(os.listdir(folder), key=natural)
    except OSError as error:
        on_skip(folder, f"unreadable: {error.strerror or error}")
        return []
    # A link back to a folder above would be followed for ever.
    if (here.st_dev, here.st_ino) in seen and here.st_ino:
        on_skip(folder, "a folder that was searched already")
        return []
    seen.add((here.st_dev, here.st_ino))
    return [folder / name for name in names]


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts ``IM2`` before ``IM10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part.lower())
        for part in re.split(r"(\d+)", name)
    ]


def _one_of_pair(path: Path) -> Path:
    """Let the header stand for the pair it makes with its voxel file."""
    for image, header in ((".img", ".hdr"), (".img.gz", ".hdr.gz")):
        if path.name.lower().endswith(image):
            partner = path.with_name(path.name[: -len(image)] + header)
            if partner.is_file():
                return partner
    return path
