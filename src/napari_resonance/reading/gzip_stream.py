"""Gzip streams, inflated by isal where it is installed, by zlib otherwise."""

from __future__ import annotations

import gzip
import zlib
from functools import cache
from os import PathLike
from typing import IO, cast

MAGIC = b"\x1f\x8b"
# Pieces of this size stay in the cache of a processor between inflating and copying.
_PIECE = 1 << 19


def open_gzip(source: str | PathLike[str] | IO[bytes]) -> IO[bytes]:
    """Open a gzip file or stream for reading; members that follow one another join.

    Raises
    ------
    OSError
        If the file cannot be opened.

    """
    try:
        from isal import igzip
    except ImportError:
        return cast("IO[bytes]", gzip.open(source))
    return cast("IO[bytes]", igzip.open(source))


@cache
def gzip_errors() -> tuple[type[Exception], ...]:
    """Return what reading a damaged gzip stream raises."""
    errors: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error)
    try:
        from isal import isal_zlib
    except ImportError:
        return errors
    # Its type information calls this class an instance.
    return (*errors, cast("type[Exception]", isal_zlib.error))


def fill(file: IO[bytes], target: memoryview) -> int:
    """Read into `target` until it is full or the file ends; return how far."""
    done = 0
    while done < len(target):
        got = file.readinto(target[done : done + _PIECE])  # type: ignore[attr-defined]
        if not got:
            break
        done += got
    return done
