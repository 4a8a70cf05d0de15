"""Uncompressed frames that need more than copying: bits, colours, deflated files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.reading.dicom_encoding import Encoding
from napari_resonance.reading.dicom_header import DamagedError, inflate_checked
from napari_resonance.reading.photometric import rgb_of, widened
from napari_resonance.reading.pixel_element import ENCAPSULATED

_PACKED = (1, 12)


def rearranged_frames(
    path: Path, encoding: Encoding, indices: Iterable[int]
) -> Iterator[NDArray[Any]]:
    """Yield uncompressed frames ``(row, column[, 3])`` of a file, palettes unapplied.

    Raises
    ------
    DamagedError
        If the file is too short.

    """
    if encoding.native:
        stored = _stored_frames(path, encoding, indices)
    elif encoding.syntax == ENCAPSULATED:
        stored = _unpacked_items(path, encoding, indices)
    else:
        stored = _inflated_frames(path, encoding, indices)
    for raw, first_bit in stored:
        yield _image(raw, first_bit, encoding)


def _stored_frames(
    path: Path, encoding: Encoding, indices: Iterable[int]
) -> Iterator[tuple[bytes, int]]:
    """Read the bytes of frames; one of single bits may begin within a byte."""
    with path.open("rb") as file:
        for index in indices:
            first, bit = divmod(index * encoding.frame_bits, 8)
            # Words that a big endian file swaps are not torn apart.
            odd = first % 2 if encoding.in_words else 0
            file.seek((encoding.start or 0) + first - odd)
            n_bytes = -(-(encoding.frame_bits + bit) // 8) + odd
            yield _unswapped(file.read(n_bytes + n_bytes % 2), encoding)[odd:], bit


def _inflated_frames(
    path: Path, encoding: Encoding, indices: Iterable[int]
) -> Iterator[tuple[bytes, int]]:
    from pydicom import dcmread

    inflate_checked(path)
    content = dcmread(path, force=True)[encoding.element].value
    for index in indices:
        first, bit = divmod(index * encoding.frame_bits, 8)
        yield content[first : first + -(-(encoding.frame_bits + bit) // 8)], bit


def _unpacked_items(
    path: Path, encoding: Encoding, indices: Iterable[int]
) -> Iterator[tuple[bytes, int]]:
    from pydicom.encaps import get_frame

    with path.open("rb") as file:
        file.seek(encoding.start or 0)
        items = file.read()
    for index in indices:
        yield get_frame(items, index, number_of_frames=encoding.frames), 0


def _unswapped(raw: bytes, encoding: Encoding) -> bytes:
    if encoding.little or not encoding.in_words or encoding.allocated > 8:
        return raw
    return np.frombuffer(raw[: len(raw) & ~1], np.uint16).byteswap().tobytes()


def _image(raw: bytes, first_bit: int, encoding: Encoding) -> NDArray[Any]:
    rows, columns = encoding.rows, encoding.columns
    n_samples = encoding.frame_bits // encoding.allocated
    if 8 * len(raw) < encoding.frame_bits + first_bit:
        raise DamagedError("the file ends within its pixels")
    if encoding.allocated in _PACKED:
        samples = _unpacked(raw, first_bit, n_samples, encoding.allocated)
        samples = samples.astype(encoding.dtype)
    else:
        dtype = np.dtype(_stored_type(encoding))
        samples = np.frombuffer(raw, dtype, n_samples).astype(dtype.newbyteorder("="))
    if encoding.samples == 1:
        return samples.reshape(rows, columns)
    if n_samples < rows * columns * encoding.samples:
        image = widened(samples, rows, columns)
    elif encoding.planar:
        image = samples.reshape(3, rows, columns).transpose(1, 2, 0)
    else:
        image = samples.reshape(rows, columns, 3)
    return rgb_of(image, encoding.photometric, encoding.stored or encoding.allocated)


def _stored_type(encoding: Encoding) -> str:
    """Return the type of a stored sample, which a palette number is, too."""
    order = "<" if encoding.little else ">"
    kind = "i" if encoding.signed else "u"
    if encoding.dtype.kind == "f":
        kind = "f"
    return f"{order}{kind}{encoding.allocated // 8}"


def _unpacked(raw: bytes, first_bit: int, count: int, bits: int) -> NDArray[Any]:
    """Return numbers of few bits that lie side by side, the lowest bits first."""
    content = np.frombuffer(raw, np.uint8)
    single = np.unpackbits(content, bitorder="little")
    single = single[first_bit : first_bit + count * bits]
    if bits == 1:
        return single
    weights = (1 << np.arange(bits)).astype(np.uint16)
    numbers: NDArray[Any] = single.reshape(count, bits) @ weights
    return numbers
