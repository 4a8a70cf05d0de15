"""Gzip streams, inflated by isal where it is installed, by zlib otherwise."""

from __future__ import annotations

import io
import os
import zlib
from functools import cache
from os import PathLike
from types import ModuleType
from typing import IO, Any

MAGIC = b"\x1f\x8b"
# Pieces of this size stay in the cache of a processor between inflating and copying.
_PIECE = 1 << 19
_PACKED_PIECE = 1 << 18
# How zlib calls "with the header and the checksum of gzip".
_GZIP_FORMAT = 31


def open_gzip(source: str | PathLike[str] | IO[bytes]) -> IO[bytes]:
    """Open a gzip file or stream for reading; members that follow one another join.

    Unlike the readers of gzip and isal, it gives all that could be inflated before it
    complains of the end: by `EOFError` where it is missing, by `TrailingBytesError`
    where something else follows.

    Raises
    ------
    OSError
        If the file cannot be opened.

    """
    if isinstance(source, str | PathLike):
        return io.BufferedReader(_Inflated(open(source, "rb"), owned=True))
    return io.BufferedReader(_Inflated(source, owned=False))


class TrailingBytesError(OSError):
    """What follows a gzip stream is not another one."""


@cache
def _inflater() -> ModuleType:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


@cache
def gzip_errors() -> tuple[type[Exception], ...]:
    """Return what reading a damaged gzip stream raises."""
    return (EOFError, OSError, zlib.error, _inflater().error)


def fill(file: IO[bytes], target: memoryview) -> int:
    """Read into `target` until it is full or the file ends; return how far."""
    done = 0
    while done < len(target):
        got = file.readinto(target[done : done + _PIECE])  # type: ignore[attr-defined]
        if not got:
            break
        done += got
    return done


class _Inflated(io.RawIOBase):
    """The content of a gzip stream, from its start to its end."""

    def __init__(self, packed: IO[bytes], owned: bool) -> None:
        self._packed = packed
        self._owned = owned
        self._waiting = b""
        self._at = 0
        self._stream = self._next_stream()

    def _next_stream(self) -> Any:
        return _inflater().decompressobj(_GZIP_FORMAT)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if self._owned and not self.closed:
            self._packed.close()
        super().close()

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        while len(view):
            if self._stream.eof and not self._goes_on():
                return 0
            self._waiting = self._waiting or self._packed.read(_PACKED_PIECE)
            piece = self._stream.decompress(self._waiting, len(view))
            ended = not self._waiting
            self._waiting = self._stream.unconsumed_tail
            if self._stream.eof:
                self._waiting = self._stream.unused_data
            if piece:
                view[: len(piece)] = piece
                self._at += len(piece)
                return len(piece)
            if ended and not self._stream.eof:
                raise EOFError("it ends too early")
        return 0

    def _goes_on(self) -> bool:
        """Tell whether another stream follows, behind zeros that fill up a tape."""
        start = self._waiting.lstrip(b"\0")
        while len(start) < len(MAGIC) and (more := self._packed.read(_PACKED_PIECE)):
            start = (start + more).lstrip(b"\0")
        self._waiting = start
        if not start:
            return False
        if not start.startswith(MAGIC):
            raise TrailingBytesError("something follows its end that is not gzip")
        self._stream = self._next_stream()
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self._at:
            raise io.UnsupportedOperation("a gzip stream goes only forward")
        passed = bytearray(min(_PIECE, offset - self._at))
        while self._at < offset:
            if not self.readinto(memoryview(passed)[: offset - self._at]):
                break
        return self._at
