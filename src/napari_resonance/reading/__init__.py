"""Files to scans: DICOM and NIfTI, told by content, placed in RAS+ mm."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_resonance.errors import (
    CancelledError,
    GeometryError,
    ReadError,
    ResonanceError,
)
from napari_resonance.progress import ShouldStop, never
from napari_resonance.reading.discover import Found, OnSkip
from napari_resonance.reading.gathering import gather
from napari_resonance.reading.outline import Outline
from napari_resonance.scan import Scan

if TYPE_CHECKING:
    from napari_resonance.reading.dicom import Plan

__all__ = ["Promised", "outline_scans", "promised_scans", "read_scan", "read_scans"]

_LISTED = 8


def _ignore(source: Path, reason: str) -> None:
    """Take no notice of what is left out."""


def read_scans(
    path_or_paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    on_skip: OnSkip = _ignore,
    should_stop: ShouldStop = never,
    lazy_over: int | None = None,
) -> list[Scan]:
    """Read every scan in a file, a folder searched in depth, or a list of them.

    Parameters
    ----------
    path_or_paths
        DICOM files with any name, NIfTI and Analyze files, folders, zip and tar
        archives, gzipped files. Files of one list that belong to one series make one
        scan. A DICOMDIR stands for the files that it lists.
    on_skip
        Called with each file that is left out, and the reason.
    should_stop
        Asked between files; True ends reading with `CancelledError`.
    lazy_over
        DICOM scans of more bytes than this get a dask array as voxels, whose planes are
        read when they are looked at; a damaged one then raises `ReadError`. None reads
        all at once. What lies in archives is always read at once.

    Returns
    -------
    list of Scan
        NIfTI images first, in the order of the paths, then DICOM series in the order of
        their numbers, then likewise the scans of each archive; empty where folders hold
        no scan. What comes from an archive has ``archive.zip/inner/path`` as source.

    Raises
    ------
    ReadError
        If a path does not exist, or a file that was named cannot be read.
    DependencyError
        If the decoder of a compressed image, or dask for a lazy one, is not installed.
    CancelledError
        If `should_stop` returned True.

    """
    if isinstance(path_or_paths, str | PathLike):
        path_or_paths = [path_or_paths]
    scans: list[Scan] = []
    with closing(gather(path_or_paths, on_skip, should_stop)) as batches:
        for found in batches:
            over = None if found.is_temporary else lazy_over
            read = partial(_scans_in, lazy_over=over)
            scans += _of_batch(found, read, on_skip, should_stop)
    return scans


def outline_scans(
    path_or_paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    on_skip: OnSkip = _ignore,
    should_stop: ShouldStop = never,
) -> list[Outline]:
    """Describe every scan in files and folders as `read_scans` would read it.

    Of DICOM series only the headers are read, so a folder of thousands of files is
    described in a second. Parameters, order and errors are those of `read_scans`, but
    what only the pixels of a DICOM file tell does not come to light.
    """
    if isinstance(path_or_paths, str | PathLike):
        path_or_paths = [path_or_paths]
    outlines: list[Outline] = []
    with closing(gather(path_or_paths, on_skip, should_stop)) as batches:
        for found in batches:
            outlines += _of_batch(found, _outlines_in, on_skip, should_stop)
    return outlines


@dataclass(frozen=True, eq=False)
class Promised:
    """A scan that the headers promise.

    Parameters
    ----------
    outline
        All of it but the voxels.
    read
        Reads it. None come of it where it is damaged, and several where its damaged
        files part what is left; `on_skip` of `promised_scans` is told why.

    """

    outline: Outline
    read: Callable[[], list[Scan]]


def promised_scans(
    path_or_paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    on_skip: OnSkip = _ignore,
    should_stop: ShouldStop = never,
) -> Generator[list[Promised]]:
    """Yield the scans of open files, then of each archive, to be read one at a time.

    They can be read until the next ones are asked for, or the generator is closed: use
    it with `contextlib.closing`. Parameters, order and errors are those of
    `outline_scans`, but damaged files are left out though they were named.
    """
    if isinstance(path_or_paths, str | PathLike):
        path_or_paths = [path_or_paths]
    with closing(gather(path_or_paths, on_skip, should_stop)) as batches:
        for found in batches:
            found.named.clear()
            reads: list[_Read[Scan]] = []
            describe = partial(_outlines_in, reads=reads)
            outlines = _of_batch(found, describe, on_skip, should_stop)
            yield [
                Promised(o, partial(_of_batch, found, read, on_skip, should_stop))
                for o, read in zip(outlines, reads, strict=True)
            ]


def read_scan(path: str | PathLike[str]) -> Scan:
    """Read the one scan that a file or folder holds.

    Parameters
    ----------
    path
        A DICOM or NIfTI file, or a folder that holds one series.

    Raises
    ------
    ReadError
        If there is none, or more than one; the message then lists them.

    """
    skipped: list[str] = []
    scans = read_scans(path, on_skip=lambda source, why: skipped.append(why))
    if len(scans) == 1:
        return scans[0]
    if not scans:
        left_out = ""
        if skipped:
            files = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
            most = max(set(skipped), key=skipped.count)
            left_out = f"; {files} left out ({most})"
        raise ReadError(
            f"holds no scan that can be read{left_out}",
            source=path,
            remedy="Name a DICOM or NIfTI file, or the folder of a series",
        )
    listed = ", ".join(f"{scan!r} from {_where(scan)}" for scan in scans[:_LISTED])
    more = f" and {len(scans) - _LISTED} more" if len(scans) > _LISTED else ""
    raise ReadError(
        f"holds {len(scans)} scans, not one: {listed}{more}",
        source=path,
        remedy="Name one file or series folder, or use read_scans",
    )


_Described = TypeVar("_Described", Scan, Outline)
_Read = Callable[[Found, OnSkip, ShouldStop], list[_Described]]


def _of_batch(
    found: Found, read: _Read[_Described], on_skip: OnSkip, should_stop: ShouldStop
) -> list[_Described]:
    """Read one batch; all that is said of its files names them as the user does."""

    def skip(path: Path, reason: str) -> None:
        on_skip(found.origin(path), reason)

    try:
        described = read(found, skip, should_stop)
    except ResonanceError as error:
        if error.source is not None:
            error.source = str(found.origin(Path(error.source)))
        raise
    if not found.is_temporary:
        return described
    return [replace(d, sources=tuple(map(found.origin, d.sources))) for d in described]


def _scans_in(
    found: Found, on_skip: OnSkip, should_stop: ShouldStop, lazy_over: int | None
) -> list[Scan]:
    scans: list[Scan] = []
    if found.nifti:
        from napari_resonance.reading.nifti import read_nifti

        read = partial(read_nifti, in_memory=found.is_temporary)
        scans += _each_nifti(found, found.nifti, read, on_skip, should_stop)
    if found.dicom:
        from napari_resonance.reading.dicom import read_dicom

        scans += read_dicom(found.dicom, found.named, on_skip, should_stop, lazy_over)
    return scans


def _outlines_in(
    found: Found,
    on_skip: OnSkip,
    should_stop: ShouldStop,
    reads: list[_Read[Scan]] | None = None,
) -> list[Outline]:
    """Describe the scans of a batch; what reads each of them goes into `reads`."""
    described: list[tuple[Outline, _Read[Scan]]] = []
    if found.nifti:
        from napari_resonance.reading.nifti import outline_nifti

        for path in found.nifti:
            one = [path]
            for outline in _each_nifti(found, one, outline_nifti, on_skip, should_stop):
                described.append((outline, partial(_nifti_at, path)))
    if found.dicom:
        from napari_resonance.reading.dicom import outline_dicom

        for outline, plan in outline_dicom(
            found.dicom, found.named, on_skip, should_stop
        ):
            described.append((outline, partial(_dicom_of, plan)))
    if reads is not None:
        reads += [read for _, read in described]
    return [outline for outline, _ in described]


def _nifti_at(
    path: Path, found: Found, on_skip: OnSkip, should_stop: ShouldStop
) -> list[Scan]:
    from napari_resonance.reading.nifti import read_nifti

    read = partial(read_nifti, in_memory=found.is_temporary)
    return list(_each_nifti(found, [path], read, on_skip, should_stop))


def _dicom_of(
    plan: Plan, found: Found, on_skip: OnSkip, should_stop: ShouldStop
) -> list[Scan]:
    from napari_resonance.reading.dicom import read_plan

    return read_plan(plan, found.named, on_skip, should_stop)


def _where(scan: Scan) -> str:
    description = scan.meta.get("series_description")
    return repr(description) if description else scan.sources[0].name


def _each_nifti(
    found: Found,
    paths: Iterable[Path],
    read: Callable[[Path], _Described],
    on_skip: OnSkip,
    should_stop: ShouldStop,
) -> Iterator[_Described]:
    for path in paths:
        if should_stop():
            raise CancelledError("reading was stopped", source=path)
        try:
            yield read(path)
        except (ReadError, GeometryError) as error:
            if path in found.named:
                raise ReadError(
                    error.message, source=path, remedy=error.remedy
                ) from error
            on_skip(path, error.message)
