"""The size that a compressed image gives itself, checked before a decoder believes it.

A damaged or hostile code stream may claim an image of gigabytes behind a DICOM header
that claims kilobytes; decoders reserve and fill what the code stream claims.
"""

from __future__ import annotations

from napari_resonance.reading.dicom_encoding import Encoding
from napari_resonance.reading.dicom_header import DamagedError

_JPEG_START, _JPEG2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
# Start-of-frame markers: all of C0 to CF that are no tables, and F7 of JPEG-LS.
_FRAME_STARTS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}


def checked_stream(stream: bytes, encoding: Encoding) -> bytes:
    """Return the compressed bytes of one frame, if they claim the size they should.

    Parameters
    ----------
    stream
        The joined fragments of a frame.
    encoding
        What the header says.

    Raises
    ------
    DamagedError
        If the code stream claims another size. Streams of an unknown kind pass.

    """
    size = _size_of(stream)
    expected = (encoding.rows, encoding.columns, encoding.samples)
    if size is not None and size != expected:
        raise DamagedError("its compressed image has another size than its header says")
    return stream


def _size_of(stream: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and components of a JPEG, JPEG-LS or JPEG 2000 stream."""
    if stream.startswith(_JPEG2000_START):
        return _jpeg2000_size(stream)
    if stream.startswith(_JPEG_START):
        return _jpeg_size(stream)
    return None


def _jpeg2000_size(stream: bytes) -> tuple[int, int, int]:
    # ISO/IEC 15444-1 A.5.1: extent and offset of the reference grid in 32 bits each.
    x, y, left, top = (
        int.from_bytes(stream[at : at + 4], "big") for at in (8, 12, 16, 20)
    )
    return y - top, x - left, int.from_bytes(stream[40:42], "big")


def _jpeg_size(stream: bytes) -> tuple[int, int, int]:
    # ISO/IEC 10918-1 B.2.2: precision, lines, samples per line, components.
    at = 2
    while at + 4 <= len(stream):
        if stream[at] != 0xFF:
            break
        marker = stream[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_STARTS:
            rows = int.from_bytes(stream[at + 5 : at + 7], "big")
            columns = int.from_bytes(stream[at + 7 : at + 9], "big")
            return rows, columns, stream[at + 9] if at + 9 < len(stream) else 0
        at += 2 + max(2, int.from_bytes(stream[at + 2 : at + 4], "big"))
    raise DamagedError("its compressed image has no header")
