"""The members of zip and tar archives, one after the other, unpacking nothing yet."""

from __future__ import annotations

import contextlib
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from napari_resonance.reading.file_kinds import REPEATED, SPECIAL
from napari_resonance.reading.gzip_stream import gzip_errors, open_gzip

_ENCRYPTED = 1
_UTF8_NAME = 1 << 11
# The other methods expand a few bytes into a hundred megabytes before any of them can
# be counted; no program that exports scans uses them.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# A header of a tar archive that is longer than this was made to fill the memory.
_LONGEST_HEADER = 1 << 22


@dataclass(frozen=True)
class Member:
    """One file in an archive.

    Parameters
    ----------
    name
        Its path, as the archive has it.
    size
        How many bytes it claims to have.
    packed_size
        How many bytes it takes in the archive, where that is known.
    open
        Opens it for reading; the next member may be asked for only afterwards.
    refused
        Why it is not to be unpacked; empty for most.

    """

    name: str
    size: int
    packed_size: int | None
    open: Callable[[], IO[bytes]]
    refused: str = ""


def archive_errors() -> tuple[type[Exception], ...]:
    """Return what damaged archives raise, at any step."""
    return (
        *gzip_errors(),
        *(zipfile.BadZipFile, tarfile.TarError, struct.error, ValueError),
        *(NotImplementedError, RuntimeError, LookupError, OverflowError, TypeError),
    )


def zip_members(path: Path) -> Iterator[Member]:
    """Yield the files of a zip archive in its order."""
    with zipfile.ZipFile(path) as archive:
        seen: set[tuple[str, int, int]] = set()
        for info in archive.infolist():
            if info.is_dir():
                continue
            identity = (info.filename, info.CRC, info.file_size)
            again = identity in seen
            seen.add(identity)
            yield Member(
                name=_zip_name(info),
                size=info.file_size,
                packed_size=info.compress_size,
                open=_opener(archive.open, info),
                refused=REPEATED if again else _why_not(info),
            )


def _why_not(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted; unpack the archive with its password first"
    # The file type that Unix programs put there; zero from others.
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return SPECIAL
    if info.compress_type not in _METHODS:
        return f"packed by an unusual method ({info.compress_type}); unpack it first"
    return ""


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return the name; many programs write UTF-8 without saying so."""
    name = info.filename.replace("\\", "/")
    if info.flag_bits & _UTF8_NAME or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _opener(
    opens: Callable[[Any], IO[bytes] | None], info: object
) -> Callable[[], IO[bytes]]:
    return lambda: cast("IO[bytes]", opens(info))


def tar_members(path: Path, limit: int) -> Iterator[Member]:
    """Yield the files of a tar archive, plain or gzipped, in its order.

    Parameters
    ----------
    path
        The archive.
    limit
        Beyond how many inflated bytes it is taken for one made to fill the disk.

    """
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(path.open("rb"))
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        stream = stack.enter_context(open_gzip(plain)) if packed else plain
        bounded = _Bounded(stream, limit if packed else path.stat().st_size)
        archive = stack.enter_context(
            tarfile.open(fileobj=cast("IO[bytes]", bounded), mode="r:")
        )
        for info in archive:
            if info.isdir():
                continue
            yield Member(
                name=info.name,
                size=info.size,
                packed_size=None,
                open=_opener(archive.extractfile, info),
                refused="" if info.isreg() else SPECIAL,
            )
        # A whole archive ends in blocks of zeros; tarfile takes any end for one.
        if bounded.at_end:
            raise tarfile.ReadError("it ends too early")


class _Bounded(io.RawIOBase):
    """A stream that is neither read in one piece nor beyond a limit."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self.at_end = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence != 0 or offset > self._limit:
            raise OSError("it unpacks to more than its size allows")
        return self._stream.seek(offset)

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_HEADER:
            raise OSError("it holds a header of absurd length")
        if self._stream.tell() > self._limit:
            raise OSError("it unpacks to more than its size allows")
        piece = self._stream.read(size)
        self.at_end = not piece and size > 0
        return piece
