"""Steps that change values and leave voxels where they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_resonance.preprocessing.grid import Prepared

_CONSTANT = "all voxels have the same value"


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
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
) -> Prepared:
    """Round values in 0..1 to 8 bits and give them the statistics of ImageNet colours.

    Makes three channels of one. Mean and standard deviation are those of torchvision's
    ImageNet weights.
    """
    rounded = np.rint(np.clip(volume.values, 0, 1) * 255) / 255
    channels = [(rounded - m) / s for m, s in zip(mean, std, strict=True)]
    return volume.with_values(np.stack(channels, axis=-1).astype(np.float32))
