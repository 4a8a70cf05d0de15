"""Images tiled of many slices, whichever vendor made them."""

from __future__ import annotations

from dataclasses import dataclass

from napari_resonance.errors import ReadError
from napari_resonance.reading.dicom_header import Header, Opened
from napari_resonance.reading.siemens import (
    Mosaic,
    is_mosaic,
    is_single_slice,
    mosaic_of,
    tile_place,
)
from napari_resonance.reading.united_imaging import grid_tiles, is_grid


@dataclass(frozen=True)
class Tile:
    """One slice of a tiled image.

    Parameters
    ----------
    pixels
        ``(row, row end, column, column end)`` in the image.
    position
        Centre of its first pixel in the patient's LPS mm.

    """

    pixels: tuple[int, int, int, int]
    position: tuple[float, float, float]

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return self.pixels[1] - self.pixels[0]

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return self.pixels[3] - self.pixels[2]


def may_be_tiled(header: Header) -> bool:
    """Tell whether an image calls itself tiled; its whole header tells for certain."""
    return is_mosaic(header) or is_grid(header)


def tiles_of(opened: Opened) -> tuple[list[Tile], tuple[str, ...]]:
    """Return the slices of an image and what is odd about them; none if it is plain.

    Raises
    ------
    ReadError
        If the header does not tell where the slices are.

    """
    header = opened.header
    if is_grid(header):
        found = grid_tiles(header)
        if isinstance(found, str):
            raise _uncut(opened, "a grid", found)
        return [Tile(*tile) for tile in found], ()
    if not is_mosaic(header) or is_single_slice(header):
        return [], ()
    mosaic = mosaic_of(header)
    if not isinstance(mosaic, Mosaic):
        raise _uncut(opened, "a mosaic", mosaic)
    places = [tile_place(mosaic, header, n) for n in range(mosaic.n_tiles)]
    tiles = [Tile(*place) for place in places if place]
    if len(tiles) < len(places):
        raise _uncut(
            opened, "a mosaic", "its header lacks position, direction or spacing"
        )
    return tiles, mosaic.notes


def _uncut(opened: Opened, kind: str, why: str) -> ReadError:
    return ReadError(
        f"is {kind} of slices that cannot be cut: {why}",
        source=opened.path,
        remedy="Export it again from the archive it came from, with its private "
        "elements",
    )
