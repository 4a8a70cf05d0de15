"""The header of one DICOM file: values that never raise, and where its pixels are.

Values are taken from the undecoded elements. Real files break the rules of their value
types in a hundred ways, and a wrong character in one description is no reason to lose
the image; an element that cannot be understood counts as absent.
"""

from __future__ import annotations

import io
import logging
import math
import struct
import threading
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_resonance.errors import ReadError
from napari_resonance.reading.second_look import second_look

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class DamagedError(ValueError):
    """What is wrong with a file, in words that hold nothing of its content."""


@cache
def parse_errors() -> tuple[type[Exception], ...]:
    """Return what pydicom and the decoders raise on damaged files."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError),
        *(MemoryError, OSError, RuntimeError, TypeError, ValueError),
        *(struct.error, zlib.error, BytesLengthException, InvalidDicomError),
    )


def reason_of(error: Exception) -> str:
    """Say why in a few words, without what a parser may quote of a patient's header."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, DamagedError):
        return str(error)
    if isinstance(error, EOFError):
        return "it ends too early"
    return f"its content breaks the rules ({type(error).__name__})"


DEFLATED = "1.2.840.10008.1.2.1.99"
# A header that inflates to more than this, and to more than a hundred times the file,
# was made to fill the memory.
_LARGEST_INFLATION, _ALWAYS_INFLATE = 100, 1 << 28

_BINARY = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
    "US or SS": "H",
}


class Header:
    """Values of one dataset, or of several that complete one another.

    The functional groups of a multi-frame image spread what describes a frame over many
    small datasets; the first that holds a value gives it.
    """

    __slots__ = ("_datasets",)

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self._datasets = tuple(datasets)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """The datasets it looks into, first to last."""
        return self._datasets

    def text(self, key: str | int) -> str:
        """Return the value as one text, ``""`` where it is absent."""
        return "\\".join(self.texts(key))

    def texts(self, key: str | int) -> tuple[str, ...]:
        """Return all parts of a textual value, stripped; undecoded beyond Latin-1."""
        found = self._raw(key)
        if found is None:
            return ()
        return texts_of(found[0])

    def decoded(self, key: str) -> str | tuple[str, ...]:
        """Return a text in the character set that the file declares."""
        for dataset in self._datasets:
            try:
                value = dataset.get(key)
            except parse_errors():
                return self.text(key)
            if value is not None and value != "":
                many = not isinstance(value, str) and hasattr(value, "__iter__")
                return tuple(map(str, value)) if many else str(value)
        return ""

    def numbers(self, key: str | int, count: int | None = None) -> tuple[float, ...]:
        """Return finite numbers, empty if absent, not numbers, or not `count` many."""
        found = self._raw(key)
        if found is None:
            return ()
        numbers = numbers_of(*found)
        return numbers if count in (None, len(numbers)) else ()

    def number(self, key: str | int) -> float | None:
        """Return the first number, None if there is none."""
        numbers = self.numbers(key)
        return numbers[0] if numbers else None

    def integer(self, key: str | int) -> int | None:
        """Return the first number if it is whole."""
        number = self.number(key)
        return int(number) if number is not None and number == int(number) else None

    def data(self, key: int) -> bytes:
        """Return the bytes of a value that has no type of its own."""
        found = self._raw(key)
        return found[0] if found and isinstance(found[0], bytes) else b""

    def items(self, key: str) -> list[Dataset]:
        """Return the items of a sequence, empty where there is none."""
        for dataset in self._datasets:
            try:
                value = dataset.get(key)
            except parse_errors():
                continue
            if value is not None and hasattr(value, "__iter__") and len(value):
                return [item for item in value if hasattr(item, "get_item")]
        return []

    def item(self, key: str) -> Header:
        """Return the first item of a sequence, an empty header where there is none."""
        return Header(self.items(key)[:1])

    def _raw(self, key: str | int) -> tuple[Any, str, bool] | None:
        """Return value, value representation and byte order of an element."""
        tag = tag_of(key)
        for dataset in self._datasets:
            try:
                element: Any = dataset.get_item(tag)
            except parse_errors():
                continue
            if element is None or element.value is None or element.value == b"":
                continue
            little = getattr(element, "is_little_endian", True)
            kind = element.VR
            if kind in (None, "UN"):
                kind = dictionary_kind(tag)
            return element.value, str(kind), little
        return None


@cache
def tag_of(key: str | int) -> int:
    """Return the tag of a keyword, 0 for an unknown one."""
    from pydicom.datadict import tag_for_keyword

    if isinstance(key, int):
        return key
    return tag_for_keyword(key) or 0


@cache
def dictionary_kind(tag: int) -> str:
    """Return the value representation that the standard gives an element, or "UN"."""
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def texts_of(value: Any) -> tuple[str, ...]:
    """Return all parts of an undecoded text, stripped; empty if all are."""
    if isinstance(value, bytes):
        value = value.decode("latin-1").rstrip("\0 ").split("\\")
    elif not isinstance(value, list | tuple):
        value = [value]
    parts = tuple(str(part).strip("\0 ") for part in value)
    return parts if any(parts) else ()


def numbers_of(value: Any, kind: str, little: bool) -> tuple[float, ...]:
    """Return the finite numbers of an undecoded value, empty if it holds others."""
    try:
        numbers = tuple(map(float, _unpacked(value, kind, little)))
    except (ValueError, TypeError, struct.error):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _unpacked(value: Any, kind: str, little: bool) -> Iterable[Any]:
    if not isinstance(value, bytes):
        return value if isinstance(value, list | tuple) else [value]
    if kind in _BINARY:
        code = _BINARY[kind]
        count = len(value) // struct.calcsize("<" + code)
        order = "<" if little else ">"
        return struct.unpack_from(f"{order}{count}{code}", value)
    # Some devices write decimal commas; numbers are parted by backslashes only.
    text = value.decode("latin-1").replace(",", ".").strip("\0 ")
    return text.split("\\") if text else ()


@dataclass(frozen=True)
class Opened:
    """A parsed file: its header, transfer syntax, and the start of its pixel data."""

    path: Path
    header: Header
    dataset: Dataset
    transfer_syntax: str
    pixels_at: int | None


def open_header(path: Path, tags: list[int | str] | None = None) -> Opened:
    """Parse a file up to its pixel data.

    Parameters
    ----------
    path
        A DICOM file, with or without preamble.
    tags
        Keep only these elements; None keeps all.

    Raises
    ------
    ReadError
        If it is no DICOM file or too damaged to be parsed.

    """
    try:
        with path.open("rb") as file:
            opened = _parse(path, file, tags)
        if "Rows" in opened.dataset:
            return opened
        return _parsed_again(path, opened.transfer_syntax) or opened
    except parse_errors() as error:
        if rescued := _parsed_again(path, DEFLATED):
            return rescued
        raise ReadError(
            f"cannot be parsed as DICOM: {reason_of(error)}",
            source=path,
            remedy="The file is damaged or cut short; fetch or export it again",
        ) from error


def _parsed_again(path: Path, claimed: str) -> Opened | None:
    """Look for an image in a file whose header breaks the rules of its encoding."""
    try:
        found = second_look(path)
    except parse_errors():
        return None
    if found is None:
        return None
    dataset, at = found
    syntax = claimed
    if claimed in (DEFLATED, *_ENCODINGS.values()):
        implicit, little = dataset.original_encoding
        syntax = _ENCODINGS[bool(implicit), bool(little)]
    return Opened(path, Header([dataset]), dataset, syntax, at)


def _parse(path: Path, file: IO[bytes], tags: list[int | str] | None) -> Opened:
    from pydicom import dcmread

    source, inflated = _inflated(file)
    only: Any = tags
    dataset = dcmread(source, stop_before_pixels=True, force=True, specific_tags=only)
    meta = getattr(dataset, "file_meta", None)
    syntax = str(meta.get("TransferSyntaxUID", "") or "") if meta is not None else ""
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = _ENCODINGS.get((bool(implicit), bool(little)), "")
    at = None if inflated else file.tell()
    return Opened(path, Header([dataset]), dataset, syntax, at)


_ENCODINGS = {
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
    (True, False): "1.2.840.10008.1.2.2",
}


def inflate_checked(path: Path) -> None:
    """Refuse a deflated file that would fill the memory, before anything reads it."""
    with path.open("rb") as file:
        _inflated(file)


def _inflated(file: IO[bytes]) -> tuple[IO[bytes], bool]:
    """Tell whether a file is deflated, and refuse one that inflates without measure.

    pydicom inflates the whole of such a file at once; the size is therefore found out
    first, in pieces that are thrown away.
    """
    head = file.read(1024)
    file.seek(0)
    if DEFLATED.encode() not in head:
        return file, False
    content = file.read()
    limit = max(_ALWAYS_INFLATE, _LARGEST_INFLATION * len(content))
    start = content.find(b"\x02\x00\x00\x00UL\x04\x00", 128)
    if start < 0:
        raise ValueError(
            "a deflated file without a length of its file meta information"
        )
    length = int.from_bytes(content[start + 8 : start + 12], "little")
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    rest = content[start + 12 + length :]
    while rest and not unpacker.eof:
        piece = unpacker.decompress(rest, 1 << 24)
        size += len(piece)
        if size > limit:
            raise DamagedError(f"its deflated content exceeds {limit:,} bytes")
        if not piece:
            break
        rest = unpacker.unconsumed_tail
    return io.BytesIO(content), True


class _Quiet:
    """Keep warnings and logs of the parsers from the user while files are read.

    They come by the thousand and quote values of the header, perhaps a patient's name;
    what matters is said in `Scan.warnings`. Filters and loggers belong to the process
    and are shared by its threads, so the first reader switches them and the last one
    switches them back.
    """

    _LOGGERS = ("pydicom", "openjpeg")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._saved = warnings.catch_warnings()
        self._levels: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.simplefilter("ignore")
                loggers = [logging.getLogger(name) for name in self._LOGGERS]
                self._levels = [logger.level for logger in loggers]
                for logger in loggers:
                    logger.setLevel(logging.CRITICAL + 1)
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._saved.__exit__(None, None, None)
                for name, level in zip(self._LOGGERS, self._levels, strict=True):
                    logging.getLogger(name).setLevel(level)


quiet = _Quiet()
