"""Headers that break the rules of their encoding, walked with forbearance.

Some files are written in another byte order than they say, say that they are deflated
and are not, carry value representations that do not exist, or stray ends of items.
A parser that goes by the rules then loses the rest of the header. Here the elements at
the top are found all the same; what sequences hold is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_LARGEST_HEADER = 1 << 22
_UNDEFINED = 0xFFFFFFFF
_DELIMITERS = 0xFFFE
_SEQUENCE_END = 0xE0DD
_LAST_GROUP = 0x7FE1
_SHORT = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()
)
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


def second_look(path: Path) -> tuple[Dataset, int] | None:
    """Read the top of a header that a parser lost its way in.

    Returns
    -------
    tuple of Dataset and int, or None
        What was found, and the byte at which the pixel element starts; None if no
        image is there.

    """
    with path.open("rb") as file:
        data = file.read(_LARGEST_HEADER)
    start = _after_meta(data)
    for order in "<>":
        rows = struct.pack(order + "HH", 0x0028, 0x0010)
        if data.find(rows, start) >= 0:
            found = _walked(data, start, order)
            if found is not None:
                return found
    return None


def _after_meta(data: bytes) -> int:
    at = 132 if data[128:132] == b"DICM" else 0
    while data[at : at + 2] == b"\x02\x00":
        long = data[at + 4 : at + 6] in _LONG
        size = data[at + 8 : at + 12] if long else data[at + 6 : at + 8]
        at += (12 if long else 8) + int.from_bytes(size, "little")
    return at


def _walked(data: bytes, start: int, order: str) -> tuple[Dataset, int] | None:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag, Tag

    explicit = data[start + 4 : start + 6] in _SHORT | _LONG
    little = order == "<"
    elements: dict[BaseTag, DataElement | RawDataElement] = {}
    last = 0
    for group, element, kind, at, value in _elements(data, start, order, explicit):
        if group == 0x7FE0 and element in (0x0008, 0x0009, 0x0010):
            found = Dataset(elements)
            found.set_original_encoding(not explicit, little)
            return (found, at) if "Rows" in found else None
        tag = Tag(group, element)
        # Elements within a sequence start anew from low numbers.
        is_on_top, last = tag > last, max(tag, last)
        if value is not None and is_on_top:
            elements[tag] = RawDataElement(
                tag, kind, len(value), value, at, not explicit, little
            )
    return None


def _elements(
    data: bytes, at: int, order: str, explicit: bool
) -> Iterator[tuple[int, int, str | None, int, bytes | None]]:
    """Yield tag, representation, start and value of elements; None for sequences."""
    while at + 8 <= len(data):
        group, element = struct.unpack_from(order + "HH", data, at)
        if group == _DELIMITERS:
            at += 8
            continue
        kind, begin, length = _form(data, at, order, explicit)
        is_open = length == _UNDEFINED
        if is_open or kind == "SQ":
            yield group, element, kind, at, None
        else:
            yield group, element, kind, at, data[begin : begin + length]
        at = _after_sequence(data, begin, order) if is_open else begin + length


def _form(
    data: bytes, at: int, order: str, explicit: bool
) -> tuple[str | None, int, int]:
    """Return representation, start of the value and its length."""
    kind = data[at + 4 : at + 6]
    (wide,) = struct.unpack_from(order + "I", data, at + 4)
    if not explicit:
        return None, at + 8, wide
    if kind in _LONG and at + 12 <= len(data):
        (length,) = struct.unpack_from(order + "I", data, at + 8)
        return kind.decode(), at + 12, length
    (narrow,) = struct.unpack_from(order + "H", data, at + 6)
    if kind in _SHORT:
        return kind.decode(), at + 8, narrow
    # No such representation: the length that leads to another element is meant.
    if _goes_on(data, at, at + 8 + wide, order):
        return None, at + 8, wide
    return None, at + 8, narrow


def _goes_on(data: bytes, at: int, following: int, order: str) -> bool:
    """Tell whether an element that comes after another starts at a byte."""
    if following + 8 > len(data):
        return False
    this = struct.unpack_from(order + "HH", data, at)
    after = struct.unpack_from(order + "HH", data, following)
    return bool(this < after and after[0] <= _LAST_GROUP)


def _after_sequence(data: bytes, at: int, order: str) -> int:
    """Return the end of a sequence of undefined length, or of one within it."""
    end = data.find(struct.pack(order + "HHI", _DELIMITERS, _SEQUENCE_END, 0), at)
    return len(data) if end < 0 else end + 8
