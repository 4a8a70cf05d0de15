"""Which scans lie under some paths: found by the ordinary reader, named for good."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from napari_resonance.errors import ReadError
from napari_resonance.progress import ShouldStop, never
from napari_resonance.reading import outline_scans
from napari_resonance.reading.file_kinds import is_no_scan, kind_of
from napari_resonance.reading.outline import Outline
from napari_resonance.scan import source_of

# How the reader says that a DICOM file is whole, but a report, a dose or an index.
_NO_IMAGE = ("not a scan", "the index of other files")


@dataclass(frozen=True)
class Item:
    """One scan that is to be scored.

    Parameters
    ----------
    key
        Hash of the relative paths, sizes and times of its files, and of its number
        among the scans of these files: another file or a changed one has another key.
    source
        Its file, or the folder of its files, relative to the input folder.
    files
        The files that lie on the disk: for a scan in an archive, the archive.
    number, of
        Which of the scans it is that are read from `files`, and how many these are.
    modality, shape, study, series
        As in `Scan`.
    description
        What the scanner's operator called the series; often empty.
    refused
        Why it cannot be read, where that is plain already.
    volumes
        Length of the time axis.
    n_bytes
        Memory that its voxels take once they are read.
    center_mm
        Middle of the region that is scored, RAS+ mm; None for the whole scan.

    """

    key: str
    source: str
    files: tuple[str, ...]
    number: int = 0
    of: int = 1
    modality: str = ""
    shape: tuple[int, ...] = ()
    study: str = ""
    series: str = ""
    description: str = ""
    refused: str = ""
    volumes: int = 1
    n_bytes: int = 0
    center_mm: tuple[float, float, float] | None = None

    @property
    def folder(self) -> str:
        """The folder that its source lies in, relative to the input folder."""
        return PurePosixPath(self.source).parent.as_posix()


@dataclass(frozen=True)
class Plan:
    """The scans of some inputs.

    Parameters
    ----------
    root
        The folder that sources are relative to.
    stamp
        Hash of the names, sizes and times of all files that were there.
    items
        The scans, in reading order; then the files that hold one and cannot be read.
    left_out
        Source and reason of what is no scan.

    """

    root: Path
    stamp: str
    items: tuple[Item, ...]
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass
class _Skipped:
    paths: list[tuple[Path, str]] = field(default_factory=list)

    def __call__(self, path: Path, reason: str) -> None:
        self.paths.append((path, reason))


def root_of(paths: Sequence[Path]) -> Path:
    """Return the folder that holds all inputs, or the one that is the input.

    Raises
    ------
    ReadError
        If there is no path, or nothing at one of them.

    """
    if not paths:
        raise ReadError("no file or folder is named", remedy="Name one")
    folders = []
    for path in paths:
        if not path.exists():
            raise ReadError(
                "there is no such file or folder",
                source=path,
                remedy="Check the path, and that the share is mounted",
            )
        full = path.absolute()
        folders.append(str(full if full.is_dir() else full.parent))
    return Path(os.path.commonpath(folders))


def stamp_of(paths: Sequence[Path], without: Path) -> str:
    """Return a hash of the names, sizes and times of all files; none is opened.

    Parameters
    ----------
    paths
        Files and folders.
    without
        A folder that does not count: where results are written.

    """
    digest = hashlib.sha256()
    for path in paths:
        for name, status in _files(path.absolute(), without.absolute()):
            line = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def find(paths: Sequence[Path], without: Path, should_stop: ShouldStop = never) -> Plan:
    """Find the scans in files and folders, from their headers alone.

    Parameters
    ----------
    paths
        What `read_scans` takes.
    without
        A folder that is left out: where results are written.
    should_stop
        Asked between files.

    Raises
    ------
    ReadError
        If a path does not exist, or a file that was named cannot be read.
    CancelledError
        If `should_stop` returned True.

    """
    root, out = root_of(paths), without.absolute()
    stamp = stamp_of(paths, without)
    skipped = _Skipped()
    outlines = outline_scans(
        [p.absolute() for p in paths], on_skip=skipped, should_stop=should_stop
    )
    keys = _Keys(root)
    items = _items([o for o in outlines if not _is_in(o.sources[0], out)], keys)
    left_out = []
    for path, reason in skipped.paths:
        if _is_in(path, out):
            continue
        if _holds_an_image(path, reason):
            files = (str(_on_disk(path)),)
            key = keys.of(files, str(path))
            source = keys.relative(str(path))
            items.append(Item(key, source, files, refused=reason))
        else:
            left_out.append((keys.relative(str(path)), reason))
    return Plan(root, stamp, tuple(items), tuple(left_out))


def _items(outlines: Sequence[Outline], keys: _Keys) -> list[Item]:
    files = [tuple(dict.fromkeys(map(str, map(_on_disk, o.sources)))) for o in outlines]
    count: dict[tuple[str, ...], int] = {}
    for names in files:
        count[names] = count.get(names, 0) + 1
    seen: dict[tuple[str, ...], int] = {}
    items = []
    for outline, names in zip(outlines, files, strict=True):
        number = seen.get(names, 0)
        seen[names] = number + 1
        source = keys.relative(source_of(outline))
        items.append(
            Item(
                keys.of(names, f"{source}\0{number}"),
                source,
                names,
                number,
                count[names],
                outline.modality,
                outline.shape,
                outline.study,
                outline.series,
                str(outline.meta.get("series_description", "")),
                volumes=_volumes(outline),
                n_bytes=outline.n_bytes,
            )
        )
    return items


def _volumes(outline: Outline) -> int:
    return 1 if outline.color or len(outline.shape) < 4 else outline.shape[3]


class _Keys:
    """Names and hashes of files, relative to a folder; each is looked at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lines: dict[str, bytes] = {}

    def relative(self, path: str) -> str:
        start = f"{self._root}{os.sep}"
        if path.startswith(start):  # nearly always, and much faster
            return path[len(start) :].replace(os.sep, "/")
        return Path(os.path.relpath(path, self._root)).as_posix()

    def of(self, files: Sequence[str], more: str) -> str:
        digest = hashlib.sha256(more.encode("utf-8", "surrogateescape"))
        for file in files:
            if file not in self._lines:
                self._lines[file] = self._line(file)
            digest.update(self._lines[file])
        return digest.hexdigest()[:32]

    def _line(self, file: str) -> bytes:
        try:
            status = os.stat(file)
            state = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError:
            state = "gone"  # since its header was read; the run will tell
        return f"{self.relative(file)}\0{state}\n".encode("utf-8", "surrogateescape")


def _files(path: Path, without: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files of a folder in depth, links followed, in a stable order."""
    if path.is_file():
        yield str(path), path.stat()
        return
    seen = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen or Path(folder) == without:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            try:
                yield file, os.stat(file)
            except OSError:
                continue  # a link to nowhere, or gone since


def _on_disk(path: Path) -> Path:
    """Return a file, or the archive that it lies in."""
    for candidate in (path, *path.parents):
        if candidate.exists():
            return candidate
    return path


def _is_in(path: Path, folder: Path) -> bool:
    inside = f"{folder}{os.sep}"
    return path == folder or str(path).startswith(inside)


def _holds_an_image(path: Path, reason: str) -> bool:
    """Tell a scan that cannot be read from what never was one."""
    if is_no_scan(reason) or any(words in reason for words in _NO_IMAGE):
        return False
    try:
        return kind_of(_on_disk(path))[0] is not None
    except OSError:
        return False
