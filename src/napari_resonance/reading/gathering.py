"""All files that may hold a scan, out of folders and archives, in batches."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable
from os import PathLike
from pathlib import Path

from napari_resonance.errors import ReadError
from napari_resonance.progress import ShouldStop
from napari_resonance.reading.archives import tar_members, zip_members
from napari_resonance.reading.discover import Found, OnSkip, discover
from napari_resonance.reading.file_kinds import HEAD_BYTES, kind_of_head
from napari_resonance.reading.gzip_stream import gzip_errors, open_gzip
from napari_resonance.reading.unpacking import Depot, largest_unpacked


def gather(
    paths: Iterable[str | PathLike[str]], on_skip: OnSkip, should_stop: ShouldStop
) -> Generator[Found]:
    """Yield the files that may hold a scan: those that lie open, then each archive's.

    Unpacked files lie in a private folder that is removed when the next batch is asked
    for, or when the generator is closed: use it with `contextlib.closing`, and leave
    nothing mapped to a file of a batch that `is_temporary`.

    Parameters
    ----------
    paths
        Files, folders and archives.
    on_skip
        Called with each file that is left out, and the reason.
    should_stop
        Asked before each file.

    Yields
    ------
    Found
        Candidates; `Found.origin` tells where an unpacked file came from.

    Raises
    ------
    ReadError
        If a path does not exist, or a file that was named is no scan and no archive.
    CancelledError
        If `should_stop` returned True.

    """
    found = discover(paths, on_skip, should_stop)
    _follow_indices(found, on_skip)
    yield found
    single: list[Path] = []
    for path, kind in found.packed.items():
        if kind == "gzip" and not _is_packed_tar(path):
            single.append(path)
            continue
        with _private_folder() as folder:
            depot = Depot(Path(folder), on_skip, should_stop)
            members = (
                zip_members(path)
                if kind == "zip"
                else tar_members(path, largest_unpacked(path.stat().st_size))
            )
            try:
                depot.take_archive(path, members)
            except ReadError as error:
                if path in found.named and not depot.origins:
                    raise
                on_skip(path, error.message)
            yield _unpacked(depot, on_skip, should_stop)
    if single:
        with _private_folder() as folder:
            depot = Depot(Path(folder), on_skip, should_stop)
            named = _inflated(depot, single, found.named, on_skip)
            batch = _unpacked(depot, on_skip, should_stop)
            batch.named = named
            yield batch


def _private_folder() -> tempfile.TemporaryDirectory[str]:
    # mkdtemp lets only the user in. A virus scanner that holds a file must not turn a
    # scan that was read into an error.
    return tempfile.TemporaryDirectory(prefix="resonance-", ignore_cleanup_errors=True)


def _unpacked(depot: Depot, on_skip: OnSkip, should_stop: ShouldStop) -> Found:
    def skip(path: Path, reason: str) -> None:
        on_skip(found.origin(path), reason)

    found = Found(origins=depot.origins)
    inside = discover(list(depot.origins), skip, should_stop)
    found.dicom, found.nifti = inside.dicom, inside.nifti
    _follow_indices(found, skip)
    return found


def _inflated(
    depot: Depot, paths: Iterable[Path], named: set[Path], on_skip: OnSkip
) -> set[Path]:
    """Inflate compressed files; return those of them that were asked for by name."""
    asked = set()
    for path in paths:
        place, why = depot.take_gzip(path)
        if place is None and path in named:
            raise ReadError(
                f"cannot be unpacked: {why}",
                source=path,
                remedy="Name a DICOM or NIfTI file, or the folder of the images",
            )
        if place is None:
            on_skip(path, why)
        elif path in named:
            asked.add(place)
    return asked


def _is_packed_tar(path: Path) -> bool:
    try:
        with open_gzip(path) as stream:
            return kind_of_head(stream.read(HEAD_BYTES), "")[0] == "tar"
    except gzip_errors():
        return False


def _follow_indices(found: Found, on_skip: OnSkip) -> None:
    if found.dicom:
        from napari_resonance.reading.dicomdir import follow_indices

        follow_indices(found, on_skip)
