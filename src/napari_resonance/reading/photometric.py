"""Colours as files store them, turned into red, green and blue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.reading.dicom_header import DamagedError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# What luminance, blue and red difference add to red, green and blue (PS3.3
# C.7.6.3.1.2; ITU-R BT.601).
_FULL = (
    (1.0, 1.0, 1.0),
    (0.0, -0.114 * 1.772 / 0.587, 1.772),
    (1.402, -0.299 * 1.402 / 0.587, 0.0),
)
# Luminance from 16 to 235 and differences from 16 to 240 of 255 (retired).
_PARTIAL = (
    tuple(n * 255 / 219 for n in _FULL[0]),
    tuple(n * 255 / 224 for n in _FULL[1]),
    tuple(n * 255 / 224 for n in _FULL[2]),
)
_BLACK = 16


def rgb_of(image: NDArray[Any], photometric: str, bits: int) -> NDArray[Any]:
    """Return red, green and blue of an uncompressed image of three components.

    Parameters
    ----------
    image
        ``(row, column, 3)``.
    photometric
        What the components are.
    bits
        How many bits of them are used.

    Raises
    ------
    DamagedError
        If they are colours of an unknown kind.

    """
    if photometric.startswith("YBR_FULL"):
        return _from_luminance(image, _FULL, 0, bits)
    if photometric.startswith("YBR_PARTIAL"):
        return _from_luminance(image, _PARTIAL, _BLACK << max(0, bits - 8), bits)
    if photometric in ("HSV", "CMYK", "ARGB"):
        raise DamagedError(f"their colours are kept as {photometric}, which is retired")
    return image


def _from_luminance(
    image: NDArray[Any],
    matrix: tuple[tuple[float, ...], ...],
    black: int,
    bits: int,
) -> NDArray[Any]:
    half = 1 << (bits - 1)
    shifted = image.astype(np.float32) - np.array([black, half, half], np.float32)
    colors = np.floor(shifted @ np.array(matrix, np.float32) + np.float32(0.5))
    clipped: NDArray[Any] = colors.clip(0, 2 * half - 1).astype(image.dtype)
    return clipped


def widened(samples: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Give each pixel a colour of its own, where two share one (4:2:2).

    Parameters
    ----------
    samples
        Two luminances, blue difference and red difference of each pair of pixels.
    rows, columns
        Size of the image.

    """
    pairs = samples.reshape(rows, -1, 4)
    image = np.empty((rows, 2 * pairs.shape[1], 3), samples.dtype)
    image[:, 0::2, 0], image[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    image[..., 1:] = np.repeat(pairs[..., 2:], 2, axis=1)
    return image[:, :columns]


def through_palette(image: NDArray[Any], palette: Dataset) -> NDArray[Any]:
    """Look up the colours of an image of palette numbers, in eight bits.

    Parameters
    ----------
    image
        ``(row, column)``.
    palette
        The header that holds the palette, in segments or not, as read from its file.

    """
    from pydicom.pixels.processing import apply_color_lut

    _, is_little = palette.original_encoding
    if is_little is False:
        _swap_words(palette)
    colors: NDArray[Any] = apply_color_lut(image, palette)[..., :3]
    if colors.dtype.itemsize == 1:
        return colors
    # Some palettes hold eight bits and say sixteen; the brightest colour tells.
    return (colors >> (8 if colors.max(initial=0) > 255 else 0)).astype(np.uint8)


def _swap_words(palette: Dataset) -> None:
    """Bring the palette of a big endian file into the order that pydicom expects.

    Palettes in segments it takes in the order of the file.
    """
    for color in ("Red", "Green", "Blue"):
        keyword = f"{color}PaletteColorLookupTableData"
        if keyword in palette and palette[keyword].VR == "OW":
            words = np.frombuffer(palette[keyword].value, np.uint16)
            palette[keyword].value = words.byteswap().tobytes()
