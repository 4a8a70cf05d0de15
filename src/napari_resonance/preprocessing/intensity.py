"""Steps that change values and leave voxels where they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_resonance.preprocessing.grid import Prepared

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue in ImageNet's photographs, by torchvision."""

_CONSTANT = "all voxels have the same value"


def color(volume: Prepared) -> Prepared:
    """Keep red, green and blue as three channels, of a colour scan.

    The first step of a recipe that has it; without it colour is turned into brightness.
    Values are 0 to 255, also of files with more bits. A grey scan is taken as red,
    green and blue alike, with the values it has. The steps that follow do the same to
    all three channels.
    """
    values = volume.values
    if values.ndim == 4:
        return volume
    alike = np.broadcast_to(values[..., None], (*values.shape, 3))
    return volume.with_values(alike, "the scan is grey, and the model looks at colour")


def ct_window(volume: Prepared, low: float, high: float) -> Prepared:
    """Map `low`..`high` HU to 0..1 and clip, as MONAI's ``ScaleIntensityRange``."""
    scaled = (volume.values - np.float32(low)) / np.float32(high - low)
    return volume.with_values(np.clip(scaled, 0, 1, dtype=np.float32))


def percentile(volume: Prepared, low: float = 0.5, high: float = 99.5) -> Prepared:
    """Map two percentiles to 0..1 and clip.

    MONAI: ``ScaleIntensityRangePercentiles``.
    """
    a, b = np.percentile(volume.values, (low, high))
    if b <= a:
        return volume.with_values(np.zeros_like(volume.values), _CONSTANT)
    scaled = (volume.values - np.float32(a)) / np.float32(b - a)
    return volume.with_values(np.clip(scaled, 0, 1, dtype=np.float32))


def zscore(volume: Prepared, nonzero: bool = False) -> Prepared:
    """Subtract the mean, divide by the standard deviation.

    With `nonzero` only voxels that are not 0 count and change. MONAI:
    ``NormalizeIntensity``.
    """
    values = volume.values
    chosen = values != 0 if nonzero else np.ones(values.shape, bool)
    inside = values[chosen].astype(np.float64)
    if not inside.size or inside.std() == 0:
        return volume.with_values(np.zeros_like(values), _CONSTANT)
    result = values.copy()
    result[chosen] = (inside - inside.mean()) / inside.std()
    return volume.with_values(result)


def rank(volume: Prepared, threshold: float = 0.08) -> Prepared:
    """Replace each value by its rank in the foreground, 0..1; the background is 0.

    The foreground is brighter than `threshold` × the 99th percentile. Ranks do not
    change with gain, offset, gamma or any other monotonic look-up table, which is what
    separates one scanner's picture of a tissue from another's.
    """
    ranks = foreground_ranks(volume.values, threshold)
    if not ranks.any():
        return volume.with_values(ranks, _CONSTANT)
    return volume.with_values(ranks)


def foreground_ranks(
    values: NDArray[np.float32], threshold: float
) -> NDArray[np.float32]:
    """Return ranks in (0, 1) of values above `threshold` × their 99th percentile."""
    result = np.zeros(values.shape, np.float32)
    inside = values > threshold * np.percentile(values, 99)
    chosen = values[inside]
    if not chosen.size or chosen.min() == chosen.max():
        return result
    order = np.argsort(chosen)
    ordered = chosen[order]
    # Equal values (8-bit files are full of them) share the middle of their ranks.
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    after = np.append(first[1:], chosen.size)
    middle = np.empty(chosen.size, np.float32)
    middle[order] = np.repeat(first + after, after - first)
    result[inside] = middle / np.float32(2 * chosen.size)
    return result


def uint8_imagenet(
    volume: Prepared,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Prepared:
    """Round values in 0..1 to 8 bits and give them the statistics of ImageNet colours.

    Makes three channels of one; red, green and blue (see `color`) get each their own.
    Mean and standard deviation are those of torchvision's ImageNet weights.
    """
    values = volume.values if volume.values.ndim == 4 else volume.values[..., None]
    rounded = np.rint(np.clip(values, 0, 1) * 255) / 255
    result = (rounded - np.array(mean, np.float32)) / np.array(std, np.float32)
    return volume.with_values(result.astype(np.float32))


def imagenet_scales(
    mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> tuple[tuple[float, float], ...]:
    """Return what `uint8_imagenet` makes of 0, and how far from it of 1, by channel."""
    return tuple((-m / s, 1 / s) for m, s in zip(mean, std, strict=True))
