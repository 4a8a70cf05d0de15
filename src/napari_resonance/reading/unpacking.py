"""What may be a scan in an archive, unpacked into a private folder.

An archive comes from anywhere. No member leaves the folder, becomes a link, overwrites
another, or fills the disk, whatever its name and its header say.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.progress import ShouldStop
from napari_resonance.reading.archives import Member, archive_errors
from napari_resonance.reading.discover import OnSkip
from napari_resonance.reading.file_kinds import (
    HEAD_BYTES,
    HIDDEN,
    PACKED,
    kind_of_head,
)
from napari_resonance.reading.gzip_stream import open_gzip

# What unpacks to more than this, and to more than a hundred times its size, was made
# to fill the disk.
_LARGEST_EXPANSION, _ALWAYS_UNPACK = 100, 1 << 28
# How much of the disk stays free.
_SPARE = 1 << 28
_CHUNK = 1 << 20
_LARGEST_SIDECAR = 1 << 20
_DEEPEST, _MOST_LAYERS = 100, 20
_CREATING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_DRIVE = re.compile(r"[A-Za-z]:")


class _NoRoomError(Exception):
    """A member may not be unpacked for its size."""


def largest_unpacked(packed_size: int) -> int:
    """Return how many bytes so many packed ones may become."""
    return max(_ALWAYS_UNPACK, _LARGEST_EXPANSION * packed_size)


class Depot:
    """A private folder that takes unpacked files and knows where each came from.

    Parameters
    ----------
    folder
        An empty folder that nobody else may enter.
    on_skip
        Called with ``archive/inner/path`` and the reason for what is not unpacked.
    should_stop
        Asked before each member and while a large one is unpacked.

    """

    def __init__(self, folder: Path, on_skip: OnSkip, should_stop: ShouldStop) -> None:
        self.folder = folder
        self.origins: dict[Path, Path] = {}
        self._on_skip = on_skip
        self._should_stop = should_stop
        self._left = 0

    def take_archive(self, path: Path, members: Iterable[Member]) -> None:
        """Unpack the members that may be scans.

        Raises
        ------
        ReadError
            If the archive is damaged, after what could be unpacked of it.
        CancelledError
            If the reading was stopped.

        """
        self._allow(path)
        hidden: set[Path] = set()
        for member in _guarded(path, members):
            if self._should_stop():
                raise CancelledError("reading was stopped", source=path)
            parts, why = _parts_of(member.name)
            veiled = _hidden_part(path, parts)
            if veiled is None:
                why = why or member.refused or self._take(path, parts, member)[1]
                if why:
                    self._on_skip(path.joinpath(*parts), why)
            elif veiled not in hidden:
                hidden.add(veiled)
                self._on_skip(veiled, HIDDEN)

    def take_gzip(self, path: Path) -> tuple[Path | None, str]:
        """Inflate one file; return where it lies, or why it does not."""
        self._allow(path)
        size = path.stat().st_size
        member = Member(path.name, size, size, lambda: path.open("rb"))
        return self._take(path.parent, (path.name,), member)

    def _allow(self, path: Path) -> None:
        """Set how much may be unpacked: by the size of the archive and of the disk."""
        free = shutil.disk_usage(self.folder).free - _SPARE
        self._left = min(largest_unpacked(path.stat().st_size), max(free, 0))

    def _take(
        self, origin: Path, parts: tuple[str, ...], member: Member
    ) -> tuple[Path | None, str]:
        """Unpack one member if it may be a scan; else return why not."""
        packed = member.packed_size
        if packed is not None and member.size > largest_unpacked(packed):
            return None, "it unpacks to more than a hundred times its size"
        try:
            with member.open() as packed_stream:
                head, stream, why = _unveiled(packed_stream, parts[-1])
                if why and not _is_sidecar(parts[-1], member.size):
                    return None, why
                if member.size > self._left:
                    return None, "there is no room to unpack it"
                return self._store(origin, parts, rejoined(head, stream)), ""
        except _NoRoomError as error:
            return None, str(error)
        except archive_errors() as error:
            return None, f"damaged: {_reason(error)}"

    def _store(self, origin: Path, parts: tuple[str, ...], stream: IO[bytes]) -> Path:
        """Write a member; one whose name is taken goes below a root of its own."""
        for number in range(_MOST_LAYERS):
            target = self._root(origin, number).joinpath(*parts)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                opened = os.open(target, _CREATING, 0o600)
            except (FileExistsError, NotADirectoryError):
                continue
            try:
                with os.fdopen(opened, "wb") as file:
                    self._pour(stream, file)
            except BaseException:
                target.unlink()
                raise
            return target
        raise _NoRoomError("its name occurs too often in the archive")

    def _root(self, origin: Path, number: int) -> Path:
        """Return a folder for files from `origin`; another for each equal name."""
        roots = [root for root, whence in self.origins.items() if whence == origin]
        while len(roots) <= number:
            root = self.folder / str(len(self.origins))
            root.mkdir(mode=0o700)
            self.origins[root] = origin
            roots.append(root)
        return roots[number]

    def _pour(self, stream: IO[bytes], file: IO[bytes]) -> None:
        while piece := stream.read(_CHUNK):
            if self._should_stop():
                raise CancelledError("reading was stopped")
            self._left -= len(piece)
            if self._left < 0:
                raise _NoRoomError(
                    "it unpacks to more than the size of its archive, or the disk, "
                    "allows"
                )
            file.write(piece)


def _guarded(path: Path, members: Iterable[Member]) -> Iterator[Member]:
    """Yield the members; what goes wrong on the way becomes one of our errors."""
    waiting = iter(members)
    while True:
        try:
            member = next(waiting, None)
        except archive_errors() as error:
            raise ReadError(
                f"is a damaged archive: {_reason(error)}",
                source=path,
                remedy="Fetch it again, or unpack it with a program that mends it",
            ) from error
        if member is None:
            return
        yield member


def _unveiled(stream: IO[bytes], name: str) -> tuple[bytes, IO[bytes], str]:
    """Return first bytes and stream of a member, inflated if it is a gzip file.

    The reason is empty if it may be a scan.
    """
    head = stream.read(HEAD_BYTES)
    kind, why = kind_of_head(head, name)
    if kind == "gzip":
        stream = open_gzip(rejoined(head, stream))
        head = stream.read(HEAD_BYTES)
        # Its name may tell what it was before it was compressed.
        kind, why = kind_of_head(head, re.sub(r"\.gz$", "", name, flags=re.I))
        why = why and f"{PACKED}{why}"
    if kind in ("zip", "tar", "gzip"):
        why = "an archive within an archive; unpack it first"
    return head, stream, why


def _parts_of(name: str) -> tuple[tuple[str, ...], str]:
    """Split the path of a member; a reason where it must not be followed."""
    parts = tuple(p for p in name.replace("\\", "/").split("/") if p not in ("", "."))
    # The name stands in the reason, for joined to the archive it would lead elsewhere.
    if name.startswith(("/", "\\")) or ".." in parts or not parts:
        return (), f"its member {name!r} would lie outside of the archive"
    if _DRIVE.match(parts[0]) or (os.name == "nt" and ":" in name) or "\0" in name:
        return (), f"its member {name!r} would lie outside of the archive"
    if len(parts) > _DEEPEST:
        return (), f"one of its members lies {len(parts)} folders deep"
    return parts, ""


def _hidden_part(archive: Path, parts: tuple[str, ...]) -> Path | None:
    """Return the outermost file or folder on the way to a member that is hidden."""
    for number, part in enumerate(parts, 1):
        if part.startswith(".") or part == "__MACOSX":
            return archive.joinpath(*parts[:number])
    return None


def _is_sidecar(name: str, size: int) -> bool:
    return name.lower().endswith(".json") and size <= _LARGEST_SIDECAR


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).strip("'\". ")
    return text[:1].lower() + text[1:] if text else type(error).__name__


def rejoined(head: bytes, rest: IO[bytes]) -> IO[bytes]:
    """Return a stream whose first bytes were read already, from its start again."""
    return cast("IO[bytes]", _Rejoined(head, rest))


class _Rejoined(io.BufferedIOBase):
    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        if not self._head:
            return self._rest.read(-1 if size is None else size)
        cut = len(self._head) if size is None or size < 0 else size
        piece, self._head = self._head[:cut], self._head[cut:]
        return piece
