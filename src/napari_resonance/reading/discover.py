"""Which files under some paths may hold a scan: told by content, not by name alone."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import get_args

from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.progress import ShouldStop
from napari_resonance.reading.file_kinds import (
    HIDDEN,
    Kind,
    head_of,
    kind_of,
    kind_of_head,
)
from napari_resonance.reading.nifti_pair import pair_of

OnSkip = Callable[[Path, str], None]
"""Called with a file that is left out, and the reason in a few words."""

_DIGITS = re.compile(r"(\d+)")


@dataclass
class Found:
    """Files that may hold a scan, in a stable order, each once.

    Parameters
    ----------
    dicom, nifti
        Candidates of each format.
    packed
        Archives and compressed files, and how they are packed.
    named
        Those of all these that the caller asked for by name.
    origins
        Folders of unpacked files, and the archive (or the folder of the compressed
        file) that each stands for; empty where files lie where the user put them.

    """

    dicom: list[Path] = field(default_factory=list)
    nifti: list[Path] = field(default_factory=list)
    packed: dict[Path, Kind] = field(default_factory=dict)
    named: set[Path] = field(default_factory=set)
    origins: dict[Path, Path] = field(default_factory=dict)

    @property
    def is_temporary(self) -> bool:
        """Whether the files are gone once they were read."""
        return bool(self.origins)

    def origin(self, path: Path) -> Path:
        """Return where a file came from: itself, or ``archive.zip/inner/path``."""
        for folder in path.parents if self.origins else ():
            if folder in self.origins:
                return self.origins[folder] / path.relative_to(folder)
        return path


def discover(
    paths: Iterable[str | PathLike[str]], on_skip: OnSkip, should_stop: ShouldStop
) -> Found:
    """Sort the files that `paths` name or hold into DICOM, NIfTI and archives.

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
    # Names stay texts until all are known: a Path costs as much as reading the head
    # of a file that is in the cache. Dicts, for an order in which each is once.
    candidates: dict[Kind, dict[str, None]] = {kind: {} for kind in get_args(Kind)}
    named: set[Path] = set()
    seen: set[tuple[int, int]] = set()
    for path in map(Path, paths):
        if not _is_folder(path):
            candidates[_kind_of_named(path)][str(path)] = None
            named.add(path)
            continue
        for file, name in _files_in(str(path), on_skip, seen):
            if should_stop():
                raise CancelledError("reading was stopped", source=path)
            try:
                kind, why = kind_of_head(head_of(file), name)
            except OSError as error:
                kind, why = None, _unreadable(error)
            if kind is None:
                on_skip(Path(file), why)
            else:
                candidates[kind][file] = None
    packings: tuple[Kind, ...] = ("zip", "tar", "gzip")
    images = map(_one_of_pair, map(Path, candidates["nifti"]))
    return Found(
        dicom=[Path(name) for name in candidates["dicom"]],
        nifti=list(dict.fromkeys(images)),
        packed={Path(name): kind for kind in packings for name in candidates[kind]},
        named=named | {_one_of_pair(path) for path in named},
    )


def _is_folder(path: Path) -> bool:
    """Tell folders from files.

    Raises
    ------
    ReadError
        If there is neither, or it cannot be entered.

    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise ReadError(
            "there is no such file or folder",
            source=path,
            remedy="Check the path",
        ) from error
    except OSError as error:
        raise ReadError(
            _unreadable(error),
            source=path,
            remedy="Check that the path is right and that you may read it",
        ) from error


def _kind_of_named(path: Path) -> Kind:
    try:
        kind, why = kind_of(path)
    except OSError as error:
        raise ReadError(
            _unreadable(error),
            source=path,
            remedy="Check that you may read it",
        ) from error
    if kind is None:
        raise ReadError(
            f"is neither DICOM nor NIfTI but {why}",
            source=path,
            remedy="Name a DICOM or NIfTI file, or the folder that holds the images",
        )
    return kind


def _unreadable(error: OSError) -> str:
    return f"unreadable: {error.strerror or error}"


def _files_in(
    folder: str, on_skip: OnSkip, seen: set[tuple[int, int]]
) -> Iterator[tuple[str, str]]:
    """Yield path and name of the files of a folder in depth, each folder only once."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        folders = []
        for entry in _entries(current, on_skip, seen):
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                on_skip(Path(entry.path), HIDDEN)
            elif _is(entry.is_dir):
                folders.append(entry.path)
            elif _is(entry.is_file):
                yield entry.path, entry.name
            else:
                on_skip(Path(entry.path), "no regular file")
        waiting += reversed(folders)


def _is(kind: Callable[[], bool]) -> bool:
    """Ask an entry for its kind; a loop of links, say, has none."""
    try:
        return kind()
    except OSError:
        return False


def _entries(
    folder: str, on_skip: OnSkip, seen: set[tuple[int, int]]
) -> list[os.DirEntry[str]]:
    try:
        here = os.stat(folder)
        # A link back to a folder above would be followed for ever.
        if (here.st_dev, here.st_ino) in seen and here.st_ino:
            on_skip(Path(folder), "a folder that was searched already")
            return []
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: natural(entry.name))
    except OSError as error:
        on_skip(Path(folder), _unreadable(error))
        return []
    seen.add((here.st_dev, here.st_ino))
    return entries


def natural(name: str) -> list[str | int]:
    """Return a key that sorts ``IM2`` before ``IM10``."""
    # Texts at even places, numbers at odd ones: no text is compared with a number.
    parts: list[str | int] = [*_DIGITS.split(name.lower())]
    parts[1::2] = map(int, parts[1::2])
    return parts


def _one_of_pair(path: Path) -> Path:
    """Let the header stand for the pair it makes with its voxel file."""
    return pair_of(path)[0] or path
