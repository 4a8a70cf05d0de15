"""A DICOMDIR that was named alone stands for the files it lists."""

from __future__ import annotations

import os
import re
from pathlib import Path

from napari_resonance.errors import ReadError
from napari_resonance.reading.dicom_header import Header, open_header, quiet
from napari_resonance.reading.dicom_kinds import MEDIA_DIRECTORY
from napari_resonance.reading.discover import Found, OnSkip
from napari_resonance.reading.file_kinds import kind_of

# Referenced File ID as every index on a disc has it: explicit types, little-endian.
_FILE_ID = re.compile(rb"\x04\x00\x00\x15CS(..)", re.DOTALL)
_LARGEST_INDEX = 1 << 26


def follow_indices(found: Found, on_skip: OnSkip) -> None:
    """Replace named DICOMDIRs by the files they list; leave out those in folders.

    Raises
    ------
    ReadError
        If none of the files that a named DICOMDIR lists is there.

    """
    with quiet:
        indices = [p for p in found.dicom if _may_be_index(found, p) and _is_index(p)]
        if not indices:
            return
        # A dict, for a disc lists ten thousand files, each of which is to be read once.
        files = dict.fromkeys(found.dicom)
        for index in indices:
            del files[index]
            if index in found.named:
                found.named.discard(index)
                files.update(dict.fromkeys(_listed(index, on_skip)))
            else:
                on_skip(index, f"a DICOMDIR, the index of other files{_lost(index)}")
        found.dicom[:] = files


def _may_be_index(found: Found, path: Path) -> bool:
    return "DICOMDIR" in path.name.upper() or {path} == found.named


def _is_index(path: Path) -> bool:
    try:
        header = open_header(path, ["DirectoryRecordSequence"]).header
        meta = getattr(header.datasets[0], "file_meta", None)
        kind = Header([] if meta is None else [meta]).text("MediaStorageSOPClassUID")
    except ReadError:
        return False
    return kind == MEDIA_DIRECTORY or bool(header.items("DirectoryRecordSequence"))


def _listed(index: Path, on_skip: OnSkip) -> list[Path]:
    files, missing, disc = [], 0, _Disc(index.parent)
    for item in open_header(index).header.items("DirectoryRecordSequence"):
        parts = Header([item]).texts("ReferencedFileID")
        if not parts:
            continue
        path = disc.find(parts)
        if path is None:
            missing += 1
            on_skip(
                index.parent.joinpath(*parts), "listed in the DICOMDIR, but missing"
            )
            continue
        try:
            kind = kind_of(path)[0]
        except OSError as error:
            on_skip(path, f"unreadable: {error.strerror or error}")
            continue
        if kind == "dicom":
            files.append(path)
        else:
            on_skip(path, "listed in the DICOMDIR, but not DICOM")
    if not files:
        raise ReadError(
            f"lists {missing} files, none of which is there",
            source=index,
            remedy="Copy the folders that lie beside the DICOMDIR, too",
        )
    return files


def _lost(index: Path) -> str:
    """Say how many of the files that an index lists are missing; often nothing."""
    try:
        if index.stat().st_size > _LARGEST_INDEX:
            return ""
        content = index.read_bytes()
    except OSError:
        return ""
    disc, n_listed, n_missing = _Disc(index.parent), 0, 0
    for match in _FILE_ID.finditer(content):
        end = match.end() + int.from_bytes(match[1], "little")
        name = content[match.end() : end].decode("latin-1")
        n_listed += 1
        n_missing += disc.find(tuple(p.strip("\0 ") for p in name.split("\\"))) is None
    return f"; {n_missing} of the {n_listed} are missing" if n_missing else ""


class _Disc:
    """The files below an index, found in any case of letters, never outside of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, dict[str, str]] = {}

    def find(self, parts: tuple[str, ...]) -> Path | None:
        """Return the file that an index lists, None if it is not there."""
        place = str(self._folder)
        for part in parts:
            if part in ("", ".", "..") or "/" in part or "\\" in part:
                return None
            name = self._listing(place).get(part)
            if name is None:
                return None
            place = os.path.join(place, name)
        return Path(place) if os.path.isfile(place) else None

    def _listing(self, folder: str) -> dict[str, str]:
        if folder not in self._names:
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            # A disc in the format of 1988 shows its names in small letters, or with a
            # full stop behind them, as the system likes.
            found = {name.upper().rstrip("."): name for name in names}
            found |= {name.lower(): name for name in names}
            self._names[folder] = found | {name: name for name in names}
        return self._names[folder]
