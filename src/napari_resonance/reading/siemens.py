"""Siemens mosaics: many slices tiled into one image, explained by the CSA header."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from napari_resonance.geometry import FloatArray
from napari_resonance.reading.dicom_header import Header

_CREATOR = "SIEMENS CSA HEADER"
_GROUP, _IMAGE_HEADER = 0x0029, 0x10
_MARK = b"SV10"
_MAX_TAGS, _MAX_ITEMS = 1000, 10_000
_MAX_TILES = 1024

# What is left of the layout where the CSA header was removed: block, element.
_MR_HEADER, _MR_GROUP = "SIEMENS MR HEADER", 0x0019
_N_TILES, _SLICE_TIMES = 0x0A, 0x29
# From here on in both directions, an image holds more than one acquired matrix; below,
# it was interpolated.
_FEWEST_TILES_ACROSS = 3


@dataclass(frozen=True)
class Mosaic:
    """How a mosaic is cut: tiles in reading order are slices along `normal`."""

    n_tiles: int
    normal: tuple[float, float, float]
    notes: tuple[str, ...] = ()

    @property
    def tiles_per_row(self) -> int:
        """The tiles form the smallest square that holds them all."""
        return math.ceil(math.sqrt(self.n_tiles))


def is_mosaic(header: Header) -> bool:
    """Tell whether an image calls itself a mosaic."""
    return "MOSAIC" in (part.upper() for part in header.texts("ImageType"))


def is_single_slice(header: Header) -> bool:
    """Tell whether what calls itself a mosaic is one slice of it.

    Scanners of the XA line take mosaics apart when they export them, and leave the word
    in the image type. Such an image says nothing of tiles, and is about as large as the
    matrix that was acquired.
    """
    if read_csa(_csa_bytes(header)).get("NumberOfImagesInMosaic") or _count(header):
        return False
    acquired = max(header.numbers("AcquisitionMatrix"), default=0)
    size = max(header.integer("Rows") or 0, header.integer("Columns") or 0)
    return 0 < size < _FEWEST_TILES_ACROSS * acquired


def mosaic_of(header: Header) -> Mosaic | str:
    """Return the layout of a mosaic, or what its header lacks, in words."""
    csa = read_csa(_csa_bytes(header))
    count, normal = csa.get("NumberOfImagesInMosaic"), csa.get("SliceNormalVector")
    n_tiles = int(count[0]) if count else _count(header)
    if not n_tiles and not csa:
        return "its private CSA header is missing"
    if not 1 <= n_tiles <= _MAX_TILES:
        return "its CSA header lacks the number of slices"
    across = math.ceil(math.sqrt(n_tiles))
    if any((header.integer(key) or 0) % across for key in ("Rows", "Columns")):
        return f"its size does not divide into {across} × {across} tiles"
    if normal and len(normal) == 3 and 0.9 < np.linalg.norm(normal) < 1.1:
        return Mosaic(n_tiles, (normal[0], normal[1], normal[2]))
    usual = _usual_normal(header)
    if usual is None:
        return "its CSA header lacks the slice direction"
    note = "the order of its slices is not given; the usual one of Siemens is assumed"
    return Mosaic(n_tiles, usual, (note,))


def _count(header: Header) -> int:
    """Return the number of slices that a mosaic without CSA header gives, or 0."""
    count = _mr_header(header, _N_TILES)
    times = _mr_header(header, _SLICE_TIMES)
    return int(count[0]) if count else len(times)


def _mr_header(header: Header, element: int) -> tuple[float, ...]:
    for block in range(0x10, 0x100):
        if header.text(_MR_GROUP << 16 | block) == _MR_HEADER:
            return header.numbers(_MR_GROUP << 16 | block << 8 | element)
    return ()


def _usual_normal(header: Header) -> tuple[float, float, float] | None:
    """Return the normal that points to the left, back or head, as slices are numbered.

    Siemens numbers slices from right to left, from front to back and from foot to head
    unless the operator turned this round.
    """
    direction = header.numbers("ImageOrientationPatient", 6)
    if not direction:
        return None
    normal = np.cross(direction[:3], direction[3:])
    if normal[np.argmax(np.abs(normal))] < 0:
        normal = -normal
    return float(normal[0]), float(normal[1]), float(normal[2])


def tile_place(
    mosaic: Mosaic, header: Header, tile: int
) -> tuple[tuple[int, int, int, int], tuple[float, float, float]] | None:
    """Return pixels ``(row, row end, column, column end)`` and position of a tile.

    ImagePositionPatient of a mosaic is that of one slice of its full size with the
    same centre (as nibabel's MosaicWrapper and dcm2niix read it). The position is in
    the patient's LPS mm; None where the header does not give it.
    """
    across = mosaic.tiles_per_row
    rows, columns = header.integer("Rows") or 0, header.integer("Columns") or 0
    corner = header.numbers("ImagePositionPatient", 3)
    direction = header.numbers("ImageOrientationPatient", 6)
    spacing = header.numbers("PixelSpacing", 2)
    step = header.number("SpacingBetweenSlices") or header.number("SliceThickness")
    if not (corner and direction and spacing and step):
        return None
    height, width = rows // across, columns // across
    along_row, along_column = np.array(direction[:3]), np.array(direction[3:])
    first: FloatArray = (
        np.array(corner)
        + along_row * spacing[1] * (columns - width) / 2
        + along_column * spacing[0] * (rows - height) / 2
    )
    x, y, z = first + np.array(mosaic.normal) * step * tile
    return tile_pixels(tile, across, height, width), (float(x), float(y), float(z))


def tile_pixels(
    tile: int, across: int, height: int, width: int
) -> tuple[int, int, int, int]:
    """Return ``(row, row end, column, column end)`` of a tile in reading order."""
    top, left = (tile // across) * height, (tile % across) * width
    return top, top + height, left, left + width


def _csa_bytes(header: Header) -> bytes:
    """Find the image CSA header, wherever its private block was put."""
    for block in range(0x10, 0x100):
        creator = header.text(_GROUP << 16 | block)
        if creator == _CREATOR:
            found = header.data(_GROUP << 16 | block << 8 | _IMAGE_HEADER)
            if found:
                return found
    # Anonymisers drop the creator and leave the element.
    return header.data(_GROUP << 16 | 0x1000 | _IMAGE_HEADER)


def read_csa(data: bytes) -> dict[str, tuple[float, ...]]:
    """Return the numeric entries of a CSA header (both versions); empty if damaged."""
    try:
        return _entries(data)
    except (struct.error, ValueError):
        return {}


def _entries(data: bytes) -> dict[str, tuple[float, ...]]:
    modern = data[:4] == _MARK
    at = 8 if modern else 0
    n_tags, _ = struct.unpack_from("<2I", data, at)
    if not 0 < n_tags <= _MAX_TAGS:
        raise ValueError("no CSA header")
    at += 8
    entries: dict[str, tuple[float, ...]] = {}
    first_count = 0
    for number in range(n_tags):
        raw, _, _, _, n_items, _ = struct.unpack_from("<64si4s3i", data, at)
        if not 0 <= n_items <= _MAX_ITEMS:
            raise ValueError("damaged CSA header")
        at += 84
        # The old version adds the first tag's number of items to each length.
        first_count = n_items if number == 0 and not modern else first_count
        values = []
        for _ in range(n_items):
            lengths = struct.unpack_from("<4i", data, at)
            length = lengths[1] if modern else lengths[0] - first_count
            at += 16
            if not 0 <= length <= len(data) - at:
                raise ValueError("damaged CSA header")
            values.append(data[at : at + length])
            at += (length + 3) // 4 * 4
        name = raw.split(b"\0")[0].decode("latin-1")
        if numbers := _numbers(values):
            entries[name] = numbers
    return entries


def _numbers(values: list[bytes]) -> tuple[float, ...]:
    texts = [v.split(b"\0")[0].strip() for v in values]
    try:
        return tuple(float(t) for t in texts if t)
    except ValueError:
        return ()
