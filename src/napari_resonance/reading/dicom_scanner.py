"""A fast look at headers that are built like one that was understood before.

The files of a series have the same elements in the same order, and most values are the
same bytes. So a header is not parsed anew: the bytes between the few elements that
differ are compared with those of the file before, and only the lengths of those few
are read. Wherever a byte is not as expected, `HeaderScanner.scan` returns None, and the
file is left to pydicom.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

# PS3.10 7.1: 128 bytes that mean nothing, then "DICM".
_MARK, _PREAMBLE = 128, 132
_META = 0x0002
_TRANSFER_SYNTAX = 0x00020010
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_IMPLICIT = b"1.2.840.10008.1.2"
# Explicit big endian, its forerunner of one vendor, and deflated; all others are
# explicit little endian (PS3.5 annex A).
_NOT_WALKED = (
    b"1.2.840.10008.1.2.2",
    b"1.2.840.113619.5.2",
    b"1.2.840.10008.1.2.1.99",
    b"1.2.840.10008.1.2.4.95",
)
# PS3.5 7.1.2: value representations with a length of two bytes and of four.
_SHORT = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()
)
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_MAX_DEPTH = 12
_FIRST_LOOK, _LARGEST_LOOK, _SLACK = 1 << 14, 1 << 22, 1 << 12
_MOST_LAYOUTS = 24


class _UnfamiliarError(Exception):
    """A header that is not walked here."""


class _TooShortError(_UnfamiliarError):
    """The header goes on where the bytes at hand end."""


@dataclass(frozen=True, slots=True)
class Element:
    """Where an element of a header lies: its length at `sized`, its value from `start`.

    Parameters
    ----------
    tag
        Group and element number.
    kind
        Value representation, ``b""`` in implicit files.
    sized, start, end
        Byte of its length, first byte of its value, first byte after it.
    is_open
        Whether its length is undefined.

    """

    tag: int
    kind: bytes
    sized: int
    start: int
    end: int
    is_open: bool

    @property
    def is_short(self) -> bool:
        """Whether its length takes two bytes."""
        return self.start - self.sized == 2


def walk(head: bytes) -> list[Element]:
    """Find all top-level elements of a header, the pixel element (without end) last.

    Raises
    ------
    _UnfamiliarError
        If it is no little endian header with ascending elements up to its pixels.

    """
    if head[_MARK:_PREAMBLE] != b"DICM":
        raise _UnfamiliarError
    elements: list[Element] = []
    at, implicit, syntax = _PREAMBLE, False, b""
    last = 0
    while True:
        if not syntax and head[at : at + 2] != b"\x02\x00":
            syntax = _syntax_of(head, elements)
            implicit = syntax == _IMPLICIT
        element = _element(head, at, implicit)
        if element.tag <= last or (syntax and element.tag >> 16 == _META):
            raise _UnfamiliarError
        elements.append(element)
        if element.tag in _PIXELS:
            return elements
        at, last = element.end, element.tag


def _syntax_of(head: bytes, meta: list[Element]) -> bytes:
    for element in meta:
        if element.tag == _TRANSFER_SYNTAX:
            syntax = head[element.start : element.end].rstrip(b"\0 ")
            if syntax and syntax not in _NOT_WALKED:
                return syntax
    raise _UnfamiliarError


def _element(head: bytes, at: int, implicit: bool) -> Element:
    if at + 12 > len(head):
        raise _TooShortError
    group, number = struct.unpack_from("<HH", head, at)
    tag = group << 16 | number
    if implicit:
        kind, sized, start = b"", at + 4, at + 8
    else:
        kind = head[at + 4 : at + 6]
        if kind in _SHORT:
            sized, start = at + 6, at + 8
        elif kind in _LONG and head[at + 6 : at + 8] == b"\0\0":
            sized, start = at + 8, at + 12
        else:
            raise _UnfamiliarError
    length = int.from_bytes(head[sized:start], "little")
    if tag in _PIXELS:
        return Element(tag, kind, sized, start, start, length == _UNDEFINED)
    if length != _UNDEFINED:
        if start + length > len(head):
            raise _TooShortError
        return Element(tag, kind, sized, start, start + length, False)
    if kind not in (b"SQ", b""):
        raise _UnfamiliarError
    return Element(tag, kind, sized, start, _end_of_items(head, start, implicit), True)


def _end_of_items(head: bytes, at: int, implicit: bool, depth: int = 0) -> int:
    """Return the end of a sequence of undefined length."""
    if depth > _MAX_DEPTH:
        raise _UnfamiliarError
    while True:
        if at + 8 > len(head):
            raise _TooShortError
        group, number, length = struct.unpack_from("<HHI", head, at)
        tag, at = group << 16 | number, at + 8
        if tag == _SEQUENCE_END and length == 0:
            return at
        if tag != _ITEM:
            raise _UnfamiliarError
        at = (
            _end_of_item(head, at, implicit, depth)
            if length == _UNDEFINED
            else at + length
        )


def _end_of_item(head: bytes, at: int, implicit: bool, depth: int) -> int:
    while True:
        if at + 8 > len(head):
            raise _TooShortError
        group, number, length = struct.unpack_from("<HHI", head, at)
        if group << 16 | number == _ITEM_END and length == 0:
            return at + 8
        if depth > _MAX_DEPTH:
            raise _UnfamiliarError
        at = _nested(head, at, implicit, depth + 1)


def _nested(head: bytes, at: int, implicit: bool, depth: int) -> int:
    """Return the end of an element inside an item."""
    length_at = at + 4
    kind = b"" if implicit else head[at + 4 : at + 6]
    start = at + 8
    if kind in _SHORT:
        return start + int.from_bytes(head[at + 6 : at + 8], "little")
    if kind in _LONG:
        length_at, start = at + 8, at + 12
    elif kind:
        raise _UnfamiliarError
    length = int.from_bytes(head[length_at:start], "little")
    if length != _UNDEFINED:
        return start + length
    if kind not in (b"SQ", b""):
        raise _UnfamiliarError
    return _end_of_items(head, start, implicit, depth)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan of a header found.

    Parameters
    ----------
    layout
        The build of the header, equal for files of one build.
    values
        Undecoded values of the wanted elements that differ between files of this build.
    start
        Byte at which the pixels start.
    size
        Bytes of the file.

    """

    layout: Layout
    values: dict[int, bytes]
    start: int
    size: int


@dataclass(eq=False)
class Layout:
    """How headers of one build look: which bytes are always the same, what differs.

    Parameters
    ----------
    head
        A header that looks like this.
    elements
        Its elements.
    wanted
        Tags whose values are asked for.
    differing
        Tags whose values differ between headers of this build, as far as known.
    kinds
        Value representation by tag, ``""`` in implicit files.

    """

    head: bytes
    elements: list[Element]
    wanted: Collection[int]
    differing: set[int] = field(default_factory=set)
    kinds: dict[int, str] = field(default_factory=dict)
    _pieces: list[tuple[bytes, int, int]] = field(default_factory=list)
    _tail: bytes = b""
    _values: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Expect every byte to be the same at first."""
        self.kinds.update((e.tag, e.kind.decode()) for e in self.elements)
        for e in self.elements[:-1]:
            if e.tag in self.wanted:
                self._values[e.tag] = self.head[e.start : e.end]
        self._cut()

    @property
    def implicit(self) -> bool:
        """Whether elements do not tell their value representation."""
        return not self.elements[-1].kind

    def _cut(self) -> None:
        """Cut the header into bytes that never differ and the values between them."""
        self._pieces, at = [], _MARK
        for element in self.elements[:-1]:
            if element.tag in self.differing:
                fixed = self.head[at : element.sized]
                kind = -1 if element.is_open else element.start - element.sized
                wanted = element.tag if element.tag in self.wanted else 0
                self._pieces.append((fixed, kind, wanted))
                at = element.end
        self._tail = self.head[at : self.elements[-1].start]

    def match(self, head: bytes) -> tuple[dict[int, bytes], int] | None:
        """Return the differing values of another header and where its pixels start."""
        at, values = _MARK, {}
        for fixed, kind, tag in self._pieces:
            if not head.startswith(fixed, at):
                return None
            at += len(fixed)
            start = at + (2 if kind == 2 else 4)
            end = start + int.from_bytes(head[at:start], "little")
            if kind < 0:
                end = self._end(head, start)
            if tag:
                values[tag] = head[start:end]
            at = end
        if not head.startswith(self._tail, at):
            return None
        return values, at + len(self._tail)

    def _end(self, head: bytes, start: int) -> int:
        if head[start - 4 : start] != b"\xff\xff\xff\xff":
            return len(head)
        try:
            return _end_of_items(head, start, self.implicit)
        except _UnfamiliarError:
            return len(head)

    def learn(self, head: bytes, elements: list[Element]) -> bool:
        """Take in how another header differs; False if it is built differently."""
        if [(e.tag, e.kind, e.is_open) for e in elements] != [
            (e.tag, e.kind, e.is_open) for e in self.elements
        ]:
            return False
        pixels, others = self.elements[-1], elements[-1]
        if self.head[pixels.sized : pixels.start] != head[others.sized : others.start]:
            return False
        for mine, other in zip(self.elements, elements, strict=True):
            if self.head[mine.start : mine.end] != head[other.start : other.end]:
                self.differing.add(mine.tag)
        self._cut()
        return True

    def value(self, tag: int) -> bytes | None:
        """Return the undecoded value that the first header of this build has."""
        return self._values.get(tag)


class HeaderScanner:
    """Looks at one file after another, and remembers how their headers are built.

    Parameters
    ----------
    wanted
        Tags whose values are asked for.

    """

    def __init__(self, wanted: Collection[int]) -> None:
        self._wanted = frozenset(wanted)
        self._layouts: list[Layout] = []
        self._look = _FIRST_LOOK

    def scan(self, path: Path) -> Scanned | None:
        """Return what differs in this header; None if nothing like it was learned."""
        try:
            head, size = self._head(path, self._look)
        except OSError:
            return None
        for number, layout in enumerate(self._layouts):
            found = layout.match(head)
            if found is not None:
                if number:
                    self._layouts.insert(0, self._layouts.pop(number))
                return Scanned(layout, *found, size)
        return None

    def learn(self, path: Path) -> Scanned | None:
        """Remember the build of a header that was understood.

        Returns
        -------
        Scanned or None
            What `scan` will find in this file from now on; None if its header is not
            one that is scanned.

        """
        try:
            head, elements, size = self._walked(path)
        except (_UnfamiliarError, OSError):
            return None
        layout = next((x for x in self._layouts if x.learn(head, elements)), None)
        if layout is None:
            layout = Layout(head, elements, self._wanted)
            self._layouts = [layout, *self._layouts[: _MOST_LAYOUTS - 1]]
        found = layout.match(head)
        return None if found is None else Scanned(layout, *found, size)

    def _walked(self, path: Path) -> tuple[bytes, list[Element], int]:
        look = self._look
        while True:
            head, size = self._head(path, look)
            try:
                elements = walk(head)
            except _TooShortError:
                if look >= min(size, _LARGEST_LOOK):
                    raise
                look = min(4 * look, _LARGEST_LOOK)
                continue
            self._look = max(self._look, elements[-1].start + _SLACK)
            return head, elements, size

    @staticmethod
    def _head(path: Path, n_bytes: int) -> tuple[bytes, int]:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            return os.read(file, n_bytes), os.fstat(file).st_size
        finally:
            os.close(file)
