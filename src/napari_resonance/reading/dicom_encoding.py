"""How the pixels of a DICOM file are stored, checked before any memory is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_resonance.errors import ReadError
from napari_resonance.reading.dicom_header import DEFLATED, Header, Opened

_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
_LONG_FORMS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
_UNDEFINED = 0xFFFFFFFF
_TAGS = {
    (0x7FE0, 0x0008): "FloatPixelData",
    (0x7FE0, 0x0009): "DoubleFloatPixelData",
    (0x7FE0, 0x0010): "PixelData",
}
# No lossless or lossy code in use shrinks an image of this size further; smaller ones
# are let through whatever they claim, since they cannot fill the memory.
_LARGEST_EXPANSION, _ALWAYS_BELIEVED = 2000, 1 << 26


@dataclass(frozen=True, slots=True)
class Encoding:
    """Pixel description of one file (PS3.3 C.7.6.3) and the place of its pixel data.

    Parameters
    ----------
    rows, columns, frames, samples
        Size of a frame, how many there are, and components of a pixel.
    allocated, stored, high_bit, signed
        Bits of a component.
    photometric, planar
        Photometric interpretation, and whether colours come plane by plane.
    syntax
        Transfer syntax UID.
    element
        Keyword of the element that holds the pixels.
    native
        Whether pixels are stored uncompressed.
    start
        Byte of the file at which the value of that element starts; None if the whole
        file is deflated.
    little
        Byte order of uncompressed pixels.
    hides_overlay
        Whether the unused high bits carry an overlay.

    """

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: bool
    syntax: str
    element: str
    native: bool
    start: int | None
    little: bool
    hides_overlay: bool

    @property
    def color(self) -> bool:
        """Whether the decoded pixels are red, green, blue."""
        return self.samples > 1 or self.photometric == "PALETTE COLOR"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a decoded component."""
        if self.element == "FloatPixelData":
            return np.dtype(np.float32)
        if self.element == "DoubleFloatPixelData":
            return np.dtype(np.float64)
        if self.photometric == "PALETTE COLOR":
            return np.dtype(np.uint8)
        size = max(1, math.ceil(self.allocated / 8))
        return np.dtype(f"{'i' if self.signed else 'u'}{size}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame in the file."""
        if self.photometric == "YBR_FULL_422":
            return self.rows * self.columns * 2 * self.allocated // 8
        return math.ceil(self.rows * self.columns * self.samples * self.allocated / 8)

    @property
    def is_direct(self) -> bool:
        """Whether the bytes in the file are the voxels, but for their order."""
        if not self.native or self.photometric == "PALETTE COLOR":
            return False
        if self.samples == 3:
            return (
                self.allocated == 8
                and self.little
                and not self.planar
                and self.photometric == "RGB"
            )
        return self.samples == 1 and (
            self.allocated in (16, 32, 64) or (self.allocated == 8 and self.little)
        )


def encoding_of(opened: Opened) -> Encoding:
    """Read the pixel description of a file and check it against the file's size.

    Raises
    ------
    ReadError
        If it has no pixels, describes none, is cut short, or announces more pixels
        than its bytes can hold.

    """
    header, path = opened.header, opened.path
    at = _pixel_element(opened)
    encoding = Encoding(
        rows=_count(header, "Rows", path),
        columns=_count(header, "Columns", path),
        frames=max(1, header.integer("NumberOfFrames") or 1),
        samples=header.integer("SamplesPerPixel") or 1,
        allocated=_bits_allocated(header, at.element, path),
        stored=header.integer("BitsStored") or header.integer("BitsAllocated") or 0,
        high_bit=_high_bit(header),
        signed=header.integer("PixelRepresentation") == 1,
        photometric=header.text("PhotometricInterpretation").upper(),
        planar=header.integer("PlanarConfiguration") == 1,
        syntax=opened.transfer_syntax,
        element=at.element,
        native=at.native,
        start=at.start,
        little=at.little,
        hides_overlay=_hides_overlay(header),
    )
    if encoding.samples not in (1, 3):
        raise ReadError(
            f"has {encoding.samples} components a pixel; only grey and colour images "
            "are read",
            source=path,
        )
    _check_size(encoding, at.n_bytes, path)
    return encoding


def _count(header: Header, key: str, path: Path) -> int:
    count = header.integer(key)
    if not count or count < 1:
        raise ReadError(
            f"its header lacks {key}",
            source=path,
            remedy="The file is damaged; fetch or export it again",
        )
    return count


def _bits_allocated(header: Header, element: str, path: Path) -> int:
    bits = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(element)
    bits = bits or header.integer("BitsAllocated")
    if bits not in (1, 8, 16, 32, 64):
        raise ReadError(
            f"has pixels of {bits} bits, which cannot be decoded"
            if bits
            else "its header lacks BitsAllocated",
            source=path,
        )
    return bits


def _high_bit(header: Header) -> int:
    high = header.integer("HighBit")
    stored = header.integer("BitsStored") or header.integer("BitsAllocated") or 1
    return stored - 1 if high is None else high


def _hides_overlay(header: Header) -> bool:
    # Retired, and still met: an overlay of more than one allocated bit lies in the
    # pixels themselves (PS3.5 8.1.2 of 2004).
    return (header.integer(0x60000100) or 1) > 1 and not header.data(0x60003000)


@dataclass(frozen=True, slots=True)
class _Element:
    """Where the pixels are, and how many bytes of them."""

    element: str
    native: bool
    start: int | None
    little: bool
    n_bytes: int


def _pixel_element(opened: Opened) -> _Element:
    size = opened.path.stat().st_size
    if opened.pixels_at is None:
        # Deflated; its bytes are counted when it is inflated.
        return _Element("PixelData", False, None, True, _LARGEST_EXPANSION * size)
    with opened.path.open("rb") as file:
        file.seek(opened.pixels_at)
        head = file.read(12)
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        tag = int.from_bytes(head[:2], order), int.from_bytes(head[2:4], order)
        if element := _TAGS.get(tag):
            long = head[4:6] in _LONG_FORMS
            length = int.from_bytes(head[8:12] if long else head[4:8], order)
            start = opened.pixels_at + (12 if long else 8)
            native = opened.transfer_syntax in _NATIVE and length != _UNDEFINED
            there = size - start
            n_bytes = min(length, there) if native else there
            return _Element(element, native, start, order == "little", n_bytes)
    raise ReadError(
        "holds no pixels",
        source=opened.path,
        remedy="The file is cut short or its image was removed; fetch it again",
    )


def holds(encoding: Encoding, there: int) -> bool:
    """Tell whether so many bytes from the pixels on can hold what the header says."""
    wanted = encoding.frame_bytes * encoding.frames
    if encoding.native:
        return wanted <= there
    believed = max(_ALWAYS_BELIEVED, _LARGEST_EXPANSION * there)
    return encoding.syntax == DEFLATED or wanted <= believed


def _check_size(encoding: Encoding, there: int, path: Path) -> None:
    if holds(encoding, there):
        return
    wanted = encoding.frame_bytes * encoding.frames
    raise ReadError(
        f"is cut short: its header announces {wanted:,} bytes of pixels, "
        f"{there:,} are there",
        source=path,
        remedy="Fetch or export it again",
    )
