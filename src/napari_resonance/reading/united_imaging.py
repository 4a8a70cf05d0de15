"""United Imaging grids: many slices tiled into one image, listed privately."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.reading.dicom_header import Header, parse_errors
from napari_resonance.reading.siemens import tile_pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# "Image Private Header": number of slices, and one item for each.
_N_TILES, _SLICES = 0x00651050, 0x00651051
_MAX_TILES = 1024

Tile = tuple[tuple[int, int, int, int], tuple[float, float, float]]


def is_grid(header: Header) -> bool:
    """Tell whether an image calls itself a grid of slices."""
    return "VFRAME" in (part.upper() for part in header.texts("ImageType"))


def grid_tiles(header: Header) -> list[Tile] | str:
    """Return pixels and position of each tile, or what the header lacks, in words.

    The tiles lie in reading order in the smallest square that holds them all. Unlike
    that of a mosaic, the position of a grid is the one of its first slice.
    """
    slices = _items(header, _SLICES)
    n_tiles = header.integer(_N_TILES) or len(slices)
    if not 1 <= n_tiles <= _MAX_TILES:
        return "its private elements lack the number of slices"
    across = math.ceil(math.sqrt(n_tiles))
    rows, columns = header.integer("Rows") or 0, header.integer("Columns") or 0
    if rows % across or columns % across:
        return f"its size does not divide into {across} × {across} tiles"
    positions = _positions(header, slices, n_tiles)
    if not positions:
        return "its header lacks the positions of its slices"
    height, width = rows // across, columns // across
    return [
        (tile_pixels(n, across, height, width), position)
        for n, position in enumerate(positions)
    ]


def _positions(
    header: Header, slices: list[Dataset], n_tiles: int
) -> list[tuple[float, float, float]]:
    """Return the position that each slice lists, or that follows from the first."""
    listed = [Header([s]).numbers("ImagePositionPatient", 3) for s in slices]
    if len(listed) == n_tiles and all(listed):
        return [(x, y, z) for x, y, z in listed]
    corner = header.numbers("ImagePositionPatient", 3)
    direction = header.numbers("ImageOrientationPatient", 6)
    step = header.number("SpacingBetweenSlices") or header.number("SliceThickness")
    if not (corner and direction and step):
        return []
    normal = np.cross(direction[:3], direction[3:])
    places = np.array(corner) + step * np.outer(np.arange(n_tiles), normal)
    return [(float(x), float(y), float(z)) for x, y, z in places]


def _items(header: Header, tag: int) -> list[Dataset]:
    """Return the items of a private sequence, which has no keyword."""
    for dataset in header.datasets:
        try:
            element: Any = dataset.get(tag)
        except parse_errors():
            continue
        value: Any = () if element is None else element.value
        if hasattr(value, "__iter__"):
            return [item for item in value if hasattr(item, "get_item")]
    return []
