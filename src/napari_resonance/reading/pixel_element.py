"""The element of a file that holds its pixels, and how they are really compressed.

Archives and converters now and then leave the old transfer syntax in the file meta
information when they compress or decompress an image. The pixels themselves tell:
compressed ones come as items of an open-ended element, and each code stream starts with
a mark of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Literal

from napari_resonance.errors import ReadError
from napari_resonance.reading.dicom_header import Opened

LARGEST_EXPANSION = 2000
"""No code in use shrinks an image by more; what claims to is damaged or hostile."""

GE_BIG_PIXELS = "1.2.840.113619.5.2"
"""Private syntax of GE: an implicit little endian header, pixels in big endian."""

ENCAPSULATED = "1.2.840.10008.1.2.1.98"
"""Frames that are not compressed, in items like those that are."""

_ITEM = (0xFFFE, 0xE000)
_UNDEFINED = 0xFFFFFFFF
_LONG_FORMS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
_TAGS = {
    (0x7FE0, 0x0008): "FloatPixelData",
    (0x7FE0, 0x0009): "DoubleFloatPixelData",
    (0x7FE0, 0x0010): "PixelData",
}
_STREAM_BYTES = 1 << 14
_JPEG = "1.2.840.10008.1.2.4."
_RLE = "1.2.840.10008.1.2.5"
# Syntaxes that one mark can stand for: the first of them is taken where the file
# names another.
_LOSSY_JPEG = tuple(_JPEG + n for n in ("50", "51", "53", "55", "52", "54", "56"))
_LOSSLESS_JPEG = tuple(_JPEG + n for n in ("70", "57", "58"))
_JPEG_LS = (_JPEG + "80", _JPEG + "81")
_JPEG_2000 = tuple(_JPEG + n for n in ("90", "91", "92", "93", "201", "202", "203"))
_JPEG_XL = tuple(_JPEG + n for n in ("112", "110", "111"))
_MPEG = tuple(_JPEG + n for n in ("100", "101"))
DECODABLE = {
    *_LOSSY_JPEG[:2],
    *_LOSSLESS_JPEG[:2],
    *_JPEG_LS,
    *_JPEG_2000,
    *(_RLE, ENCAPSULATED),
}
"""Syntaxes of pixels in items that some package can decode."""

# Decoders tell these processes of JPEG by the code stream, not by its name.
_DECODED_AS = {
    **dict.fromkeys(_LOSSY_JPEG[2:4], _LOSSY_JPEG[0]),
    **dict.fromkeys(_LOSSY_JPEG[4:], _LOSSY_JPEG[1]),
    _LOSSLESS_JPEG[2]: _LOSSLESS_JPEG[1],
}
_STARTS = {
    b"\xff\x4f\xff\x51": _JPEG_2000,
    b"\0\0\0\x0cjP  ": _JPEG_2000,
    b"\xff\x0a": _JPEG_XL,
    b"\0\0\0\x0cJXL ": _JPEG_XL,
    b"\0\0\x01\xb3": _MPEG,
}


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixels are, and in which form.

    Parameters
    ----------
    keyword
        The element's name.
    syntax
        The transfer syntax that its content has.
    native
        Whether frames follow each other as they are, in no items.
    start
        Byte of the file at which its value starts; None in a deflated file.
    little
        Byte order of native pixels.
    in_words
        Whether its bytes come in words of two, which big endian files swap.
    n_bytes
        How many bytes there are.

    """

    keyword: str
    syntax: str
    native: bool
    start: int | None
    little: bool
    in_words: bool
    n_bytes: int


def pixel_element_of(opened: Opened) -> PixelElement:
    """Find the pixels of a file.

    Raises
    ------
    ReadError
        If there are none.

    """
    size, syntax = opened.path.stat().st_size, opened.transfer_syntax
    if opened.pixels_at is None:
        # Its bytes are counted when it is inflated.
        keyword = _inflated_keyword(opened)
        believed = LARGEST_EXPANSION * size
        return PixelElement(keyword, syntax, False, None, True, False, believed)
    with opened.path.open("rb") as file:
        file.seek(opened.pixels_at)
        head = file.read(12)
        orders: tuple[Literal["little", "big"], ...] = ("little", "big")
        for order in orders:
            tag = int.from_bytes(head[:2], order), int.from_bytes(head[2:4], order)
            if keyword := _TAGS.get(tag, ""):
                return _located(file, opened, keyword, order, head, size)
    raise ReadError(
        "holds no pixels",
        source=opened.path,
        remedy="The file is cut short or its image was removed; fetch it again",
    )


def _located(
    file: IO[bytes],
    opened: Opened,
    keyword: str,
    order: Literal["little", "big"],
    head: bytes,
    size: int,
) -> PixelElement:
    """Read the head of the pixel element, and the start of its first frame."""
    long = head[4:6] in _LONG_FORMS
    length = int.from_bytes(head[8:12] if long else head[4:8], order)
    start = (opened.pixels_at or 0) + (12 if long else 8)
    there = size - start
    syntax = opened.transfer_syntax
    stream = _first_stream(file, start, there)
    if stream is not None:
        syntax = _compression(stream, syntax)
        return PixelElement(keyword, syntax, False, start, True, False, there)
    little = order == "little" and syntax != GE_BIG_PIXELS
    n_bytes = there if length == _UNDEFINED else min(length, there)
    in_words = head[4:6] == b"OW"
    return PixelElement(keyword, syntax, True, start, little, in_words, n_bytes)


def _first_stream(file: IO[bytes], start: int, there: int) -> bytes | None:
    """Return the first bytes of the first frame, None where pixels are in no items."""
    file.seek(start)
    table = _item_length(file.read(8))
    if table is None or table > there:
        return None
    file.seek(start + 8 + table)
    length = _item_length(file.read(8))
    # An offset table is the first item, and the only one where frames are missing.
    return b"" if length is None else file.read(min(length, _STREAM_BYTES))


def _item_length(head: bytes) -> int | None:
    tag = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    return int.from_bytes(head[4:8], "little") if tag == _ITEM else None


_NATIVE_SYNTAXES = {
    *("", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"),
    GE_BIG_PIXELS,
}


def _compression(stream: bytes, claimed: str) -> str:
    """Return the transfer syntax of a code stream, the claimed one where in doubt."""
    found = next((s for mark, s in _STARTS.items() if stream.startswith(mark)), ())
    if stream.startswith(b"\xff\xd8"):
        found = _jpeg_process(stream)
    elif not found and _is_rle(stream):
        found = (_RLE,)
    elif not found and claimed in _NATIVE_SYNTAXES:
        found = (ENCAPSULATED,)
    syntax = claimed if not found or claimed in found else found[0]
    return _DECODED_AS.get(syntax, syntax)


def _jpeg_process(stream: bytes) -> tuple[str, ...]:
    """Tell processes of JPEG apart by the start of a frame (ISO/IEC 10918-1 B.1.1)."""
    at = 2
    while at + 5 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xF7:
            return _JPEG_LS
        if marker == 0xC3:
            return _LOSSLESS_JPEG
        if marker in (0xC0, 0xC1, 0xC2):
            # Twelve bits are another syntax than eight.
            return _LOSSY_JPEG if stream[at + 4] == 8 else _LOSSY_JPEG[1:]
        if marker == 0xFF:
            at += 1
            continue
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return ()


def _is_rle(stream: bytes) -> bool:
    """Tell whether it starts with the header of run-length segments (PS3.5 G.5)."""
    numbers = [int.from_bytes(stream[n : n + 4], "little") for n in range(0, 64, 4)]
    count, offsets = numbers[0], numbers[1:]
    return (
        len(stream) >= 64
        and 1 <= count <= 15
        and offsets[0] == 64
        and all(a < b for a, b in pairwise(offsets[:count]))
        and not any(offsets[count:])
    )


def _inflated_keyword(opened: Opened) -> str:
    """Tell which element holds the pixels of a deflated file."""
    # Only pixels of this element have a sign and stored bits (PS3.3 C.7.6.24).
    if opened.header.integer("PixelRepresentation") is not None:
        return "PixelData"
    bits = opened.header.integer("BitsAllocated")
    return {32: "FloatPixelData", 64: "DoubleFloatPixelData"}.get(
        bits or 0, "PixelData"
    )
