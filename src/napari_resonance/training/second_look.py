"""Whether two scans that look alike are one: by their texture, voxel on voxel.

Fingerprints tell pictures apart, and some sets hold pictures that are alike: phantoms,
one protocol, images of few pixels. Noise and fine texture are of one acquisition. They
are compared at full resolution, in the best position, each neighbourhood brought to one
contrast: strong edges, which different scans may share, then count by their small area.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_resonance.training.fingerprints import (
    center_and_spread,
    fingerprint,
    turned,
    ways_to_turn,
)

Values = NDArray[np.float32]

TEXTURE = 0.5
"""Correlation of textures from which on two scans are one.

Measured: copies that were mirrored, saved with 8 bits, cropped or resliced to 0.8 reach
0.8 to 1, a radiograph halved in size 0.53, a head or body to which noise of 2 % of its
range was added 0.7; phantoms that share all but their noise 0.2 at most, and 99 of 100
pairs of different ultrasound images of 28 × 28 pixels 0.4.
"""

# Pixels or voxels along an axis of the part that is searched for, and of the part in
# which it is searched: more would be slow, and tell no more.
_PART = {2: (128, 224), 3: (32, 72)}
# Positions at which less of the part is covered are not looked at.
_COVERED = 0.5
# Positions are looked at whose fingerprints are nearly as alike as in the best one.
_AS_GOOD = 0.03
_MOST_TURNS = 3
# No better position is looked for.
_SURE = 0.8
# Sizes that differ by less are the same.
_SAME_SIZE = 0.02


def texture_in_common(one: Values, other: Values) -> float | None:
    """Return how well the textures of two scans agree in their best position.

    Parameters
    ----------
    one, other
        Any sizes, ``(i, j, k)``; axes of length 1 do not count.

    Returns
    -------
    float or None
        Correlation, 1 of copies, about 0 of different acquisitions; None where one of
        them is blank, or they have not the same number of dimensions.

    """
    one, other = _finite(one), _finite(other)
    if one.ndim != other.ndim or one.ndim not in _PART:
        return None
    if min(*one.shape, *other.shape) < 8 or not one.std() or not other.std():
        return None
    best = -1.0
    for view in _turns(one, other):
        for candidate in _sizes(one, view):
            best = max(best, _agreement(one, candidate))
            if best > _SURE:
                return best
    return best


def _finite(values: Values) -> Values:
    values = np.squeeze(np.asarray(values, np.float32))
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.float32(0))


def _turns(one: Values, other: Values) -> list[Values]:
    """Return `other` with its axes exchanged and mirrored as fits `one` best."""
    ndim = one.ndim
    prints = [fingerprint(v)[1:].astype(np.float32) for v in (one, other)]
    views = np.concatenate(turned(prints[1][None], ndim))
    likeness = views @ prints[0]
    lengths = [float(np.linalg.norm(p)) for p in prints]
    likeness /= max(1e-6, lengths[0] * lengths[1])
    ways = ways_to_turn(ndim)
    chosen = np.argsort(-likeness)[:_MOST_TURNS]
    return [
        other.transpose(ways[n][0])[tuple(slice(None, None, m) for m in ways[n][1])]
        for n in chosen
        if likeness[n] >= likeness.max() - _AS_GOOD
    ]


def _sizes(one: Values, other: Values) -> list[Values]:
    """Return `other` as it is, and, where its voxels are of another size, resampled."""
    from scipy import ndimage

    ratio = center_and_spread(one)[1] / np.maximum(center_and_spread(other)[1], 1e-6)
    different = np.abs(ratio - 1) > _SAME_SIZE
    if not different.any() or (ratio > 4).any() or (ratio < 0.25).any():
        return [other]
    # Finer than it is, it has no texture: then the other one has to be made coarser.
    scaled = ndimage.zoom(other, np.where(different, ratio, 1), order=1)
    return [other, scaled]


def _agreement(one: Values, other: Values) -> float:
    """Return the largest correlation of the middle of `one` with a part of `other`."""
    from scipy import signal

    part, around = _PART[one.ndim]
    template = _contrast(_middle(one, part))
    field = _contrast(_middle(other, around))
    here = np.ones_like(template)
    backwards = (slice(None, None, -1),) * one.ndim
    shared = signal.fftconvolve(field, template[backwards])
    energy = signal.fftconvolve(field**2, here)
    inside = signal.fftconvolve(np.ones_like(field), (template**2)[backwards])
    covered = signal.fftconvolve(np.ones_like(field), here)
    most = min(template.size, field.size)
    usable = covered >= _COVERED * most
    length = np.sqrt(np.maximum(energy, 1e-6) * np.maximum(inside, 1e-6))
    return float(np.where(usable, shared / length, -1).max())


def _middle(values: Values, size: int) -> Values:
    """Return the part of a size around the centre of what is bright."""
    center, _ = center_and_spread(values)
    chosen = []
    for n, c in zip(values.shape, center, strict=True):
        first = int(np.clip(round(c - size / 2), 0, max(0, n - size)))
        chosen.append(slice(first, first + size))
    return values[tuple(chosen)]


def _contrast(values: Values) -> Values:
    """Return what is fine, relative to how strong it is in its neighbourhood."""
    from scipy import ndimage

    fine = values - ndimage.gaussian_filter(values, 1.0)
    strength = np.sqrt(ndimage.gaussian_filter(fine**2, 2.0))
    # Where there is nothing (air set to 0), nothing is compared.
    floor = 1e-3 * float(np.ptp(values)) + 1e-12
    result: Values = (fine / np.maximum(strength, floor)).astype(np.float32)
    return result
