"""A DICOMDIR that was named alone stands for the files it lists."""

from __future__ import annotations

from pathlib import Path

from napari_resonance.errors import ReadError
from napari_resonance.reading.dicom_header import Header, open_header, quiet
from napari_resonance.reading.dicom_kinds import MEDIA_DIRECTORY
from napari_resonance.reading.discover import Found, OnSkip
from napari_resonance.reading.file_kinds import kind_of


def follow_indices(found: Found, on_skip: OnSkip) -> None:
    """Replace named DICOMDIRs by the files they list; leave out those in folders.

    Raises
    ------
    ReadError
        If none of the files that a named DICOMDIR lists is there.

    """
    with quiet:
        for index in [p for p in found.dicom if _may_be_index(found, p)]:
            if not _is_index(index):
                continue
            found.dicom.remove(index)
            if index not in found.named:
                on_skip(index, "a DICOMDIR, the index of other files")
                continue
            found.named.discard(index)
            found.dicom += [p for p in _listed(index, on_skip) if p not in found.dicom]


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
    files, missing = [], 0
    for item in open_header(index).header.items("DirectoryRecordSequence"):
        parts = Header([item]).texts("ReferencedFileID")
        if not parts:
            continue
        path = _inside(index.parent, parts)
        if path is None or not path.is_file():
            missing += 1
            on_skip(
                index.parent.joinpath(*parts), "listed in the DICOMDIR, but missing"
            )
        elif kind_of(path)[0] == "dicom":
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


def _inside(folder: Path, parts: tuple[str, ...]) -> Path | None:
    """Find a listed file, in any case of letters, never outside of the folder."""
    path = folder
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\\" in part:
            return None
        exact = path / part
        if not exact.exists():
            lower = path / part.lower()
            exact = lower if lower.exists() else exact
        path = exact
    return path
