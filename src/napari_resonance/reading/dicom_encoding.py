"""How the pixels of a DICOM file are stored, checked before any memory is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_resonance.errors import ReadError
from napari_resonance.reading.dicom_header import DEFLATED, Header, Opened
from napari_resonance.reading.pixel_element import (
    DECODABLE,
    ENCAPSULATED,
    LARGEST_EXPANSION,
    PixelElement,
    pixel_element_of,
)

# Smaller images are let through whatever they claim: they cannot fill the memory.
_ALWAYS_BELIEVED = 1 << 26
# Of overlays (PS3.3 C.9.2): how many bits of a pixel they lie in, and their own data.
_OVERLAYS = [
    (group << 16 | 0x0100, group << 16 | 0x3000) for group in range(0x6000, 0x6020, 2)
]
OVERLAY_TAGS: tuple[int, ...] = tuple(tag for pair in _OVERLAYS for tag in pair)
"""Elements that tell whether an overlay lies in the pixels."""

# What tools leave as the photometric interpretation when they decompress JPEG 2000.
_DECOMPRESSED = {"YBR_RCT": "RGB", "YBR_ICT": "RGB"}
_SUBSAMPLED = {"YBR_FULL_422": "YBR_FULL", "YBR_PARTIAL_422": "YBR_PARTIAL_444"}
_JPEG = "1.2.840.10008.1.2.4."
_ON_A_SERVER = {_JPEG + n for n in ("94", "95", "204", "205")}
_JPEG_XL = {_JPEG + n for n in ("110", "111", "112")}
_COLORS = ("RGB", "YBR_", "HSV")


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
    in_words
        Whether bytes come in words of two, which big endian files swap.
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
    in_words: bool
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
        return math.ceil(self.frame_bits / 8)

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame; frames follow each other without a gap."""
        if self.photometric in _SUBSAMPLED:
            return self.rows * math.ceil(self.columns / 2) * 4 * self.allocated
        return self.rows * self.columns * self.samples * self.allocated

    @property
    def total_bytes(self) -> int:
        """Bytes of all uncompressed frames in the file."""
        return math.ceil(self.frame_bits * self.frames / 8)

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
            self.allocated in (16, 32, 64)
            or (self.allocated == 8 and (self.little or not self.in_words))
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
    at = pixel_element_of(opened)
    photometric = header.text("PhotometricInterpretation").upper()
    is_color = photometric.startswith(_COLORS)
    encoding = Encoding(
        rows=_count(header, "Rows", path),
        columns=_count(header, "Columns", path),
        frames=max(1, header.integer("NumberOfFrames") or 1),
        samples=header.integer("SamplesPerPixel") or (3 if is_color else 1),
        allocated=_bits_allocated(header, at.keyword, path),
        stored=header.integer("BitsStored") or header.integer("BitsAllocated") or 0,
        high_bit=_high_bit(header),
        signed=header.integer("PixelRepresentation") == 1,
        photometric=photometric,
        planar=header.integer("PlanarConfiguration") == 1,
        syntax=at.syntax,
        element=at.keyword,
        native=at.native,
        start=at.start,
        little=at.little,
        in_words=at.in_words,
        hides_overlay=_hides_overlay(header),
    )
    if encoding.samples not in (1, 3):
        raise ReadError(
            f"has {encoding.samples} components a pixel; only grey and colour images "
            "are read",
            source=path,
        )
    _check_decodable(encoding, path)
    encoding = _as_stored(encoding, at)
    _check_size(encoding, at.n_bytes, path)
    return encoding


def _as_stored(encoding: Encoding, at: PixelElement) -> Encoding:
    """Correct the photometric interpretation of uncompressed colours."""
    photometric = encoding.photometric
    if not (at.native or at.start is None or encoding.syntax == ENCAPSULATED):
        return encoding
    photometric = _DECOMPRESSED.get(photometric, photometric)
    whole = replace(encoding, photometric=_SUBSAMPLED.get(photometric, photometric))
    if at.native and whole.total_bytes <= at.n_bytes:
        return whole
    # Which samples are left out fixes the order of the others (PS3.3 C.7.6.3.1.2).
    planar = encoding.planar and photometric not in _SUBSAMPLED
    return replace(encoding, photometric=photometric, planar=planar)


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
    if bits not in (1, 8, 12, 16, 32, 64):
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
    return any(
        (header.integer(bits) or 1) > 1 and not header.data(data)
        for bits, data in _OVERLAYS
    )


def _check_decodable(encoding: Encoding, path: Path) -> None:
    from pydicom.uid import UID

    syntax = encoding.syntax
    if encoding.native or encoding.start is None or syntax in DECODABLE:
        return
    if syntax in _ON_A_SERVER:
        raise ReadError(
            "leaves its pixels on a server (JPIP)",
            source=path,
            remedy="Fetch the whole image from the archive it came from",
        )
    if syntax in _JPEG_XL:
        raise ReadError(
            "is compressed as JPEG XL, for which pydicom has no decoder",
            source=path,
            remedy="Decompress it first, for example with djxl of libjxl",
        )
    raise ReadError(
        f"is compressed as {UID(syntax).name or 'nothing that it names'}, for which "
        "there is no decoder",
        source=path,
        remedy="Export it again without compression",
    )


def holds(encoding: Encoding, there: int) -> bool:
    """Tell whether so many bytes from the pixels on can hold what the header says."""
    wanted = encoding.total_bytes
    if encoding.native:
        return wanted <= there
    believed = max(_ALWAYS_BELIEVED, LARGEST_EXPANSION * there)
    return encoding.syntax == DEFLATED or wanted <= believed


def _check_size(encoding: Encoding, there: int, path: Path) -> None:
    if holds(encoding, there):
        return
    wanted = encoding.total_bytes
    raise ReadError(
        f"is cut short: its header announces {wanted:,} bytes of pixels, "
        f"{there:,} are there",
        source=path,
        remedy="Fetch or export it again",
    )
