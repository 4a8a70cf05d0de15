"""Fingerprints: small pictures by which copies of one scan are recognised.

A scan is laid on a small grid that hangs on its own content (centre and spread of what
is bright), so that margins, spacing and a lost affine do not matter. What is smooth is
taken away, for that is what two patients have in common. Two fingerprints are compared
in all the ways in which axes can be exchanged and mirrored. Each scan of a case has its
own; of colour there are two: one that does not change with the order of red, green and
blue, and one of its brightness, as it is saved in grey.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from napari_resonance.preprocessing.channels import brightness
from napari_resonance.scan import Scan

LENGTH = 4096
"""Entries of a fingerprint after the first, which tells its dimensions."""

# Voxels along each axis, of volumes and of images.
_SIZES = {3: 16, 2: 64}
# Standard deviations of the bright from its centre: a ball has its surface at 2.2.
_REACH = 2.0
# Width of what is taken away as smooth, as a share of half the fingerprint.
_SMOOTH = 0.10
# Percentiles at which values are cut, as windows and 8 bits do.
_DARK, _BRIGHT = 2.0, 99.5
# Of the range between them: below lies the noise of the background.
_FLOOR = 0.12
# Voxels along an axis that are looked at; more are averaged.
_LARGEST = 96
# Added to the dimensions of what is the brightness of colours.
_BRIGHTNESS = 10
# Share of the variance of the colours below which their mean shows nothing of them.
_FLAT = 0.05
_SAMPLED = 50_000  # pixels that tell so


def fingerprints_of(scans: Sequence[Scan]) -> NDArray[np.int8]:
    """Return the fingerprints of a case's scans, of time series of the first volume.

    Returns
    -------
    ndarray
        int8 ``(r, 4097)``: see `fingerprint`, one for each of `pictures_of`.

    """
    prints = []
    for picture, is_brightness in pictures_of(scans):
        found = fingerprint(picture)
        # Of what shows nothing the dimensions stay 0.
        found[0] += _BRIGHTNESS * (is_brightness and found[0] > 0)
        prints.append(found)
    return np.stack(prints)


def pictures_of(
    scans: Sequence[Scan],
) -> Iterator[tuple[NDArray[np.float32], bool]]:
    """Yield what is compared of a case: values ``(i, j, k)``, and if it is brightness.

    One picture of each grey scan. Two of a colour scan: across its channels, and its
    brightness, which is compared with pictures of other kinds only: two colour scans
    may be as bright everywhere, and show different things.
    """
    for scan in scans:
        values = scan.values()
        if scan.color:
            yield _across(values), False
            yield brightness(values), True
        else:
            yield values, False


def _across(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the channels, or, where that is flat, how they differ most.

    Neither changes with the order in which a program stores the channels.
    """
    step = max(1, colors.size // (3 * _SAMPLED))
    sample = colors.reshape(-1, 3)[::step].astype(np.float64)
    sample = sample[np.isfinite(sample).all(axis=1)]
    mean: NDArray[np.float32] = colors.mean(axis=3)
    if len(sample) < 2:
        return mean
    spread, directions = np.linalg.eigh(np.cov(sample.T))
    if sample.mean(axis=1).var() >= _FLAT * spread.sum() / 3:
        return mean
    direction = directions[:, -1]
    along = (sample - sample.mean(axis=0)) @ direction
    # Which end is bright: the rarer one, for what is looked for is smaller than the
    # rest. It has to be said, for the direction has no sign.
    sign = 1 if (along**3).sum() >= 0 else -1
    result: NDArray[np.float32] = colors @ (sign * direction).astype(np.float32)
    return result


def dimensions_of(fingerprints: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return 2 or 3 for each of ``(r, 4097)``, 0 where nothing is shown."""
    result: NDArray[np.int8] = fingerprints[:, 0] % _BRIGHTNESS
    return result


def are_brightness(fingerprints: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Tell which of ``(r, 4097)`` are of the brightness of colours."""
    result: NDArray[np.bool_] = fingerprints[:, 0] >= _BRIGHTNESS
    return result


def stacked(prints: Sequence[NDArray[np.int8]]) -> NDArray[np.int8]:
    """Return the fingerprints of many cases as one array.

    Parameters
    ----------
    prints
        int8 ``(r, 4097)`` or ``(4097,)`` of each case.

    Returns
    -------
    ndarray
        int8 ``(n, R, 4097)`` with the largest r; zeros, which resemble nothing, where a
        case has fewer.

    """
    rows = [np.atleast_2d(p) for p in prints]
    most = max((len(r) for r in rows), default=1)
    result = np.zeros((len(rows), most, LENGTH + 1), np.int8)
    for n, row in enumerate(rows):
        result[n, : len(row)] = row
    return result


def fingerprint(values: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return what a copy of a scan shares with it, and other patients' scans do not.

    Parameters
    ----------
    values
        ``(i, j, k)``, any size.

    Returns
    -------
    ndarray
        int8 ``(4097,)``: the number of dimensions, then a flattened cube or, for an
        image, square. Zeros for what is blank, which resembles nothing.

    """
    from scipy import ndimage

    blank = np.zeros(LENGTH + 1, np.int8)
    # What is not finite is as dark as the darkest.
    finite = np.isfinite(values)
    if not finite.any():
        return blank
    coarse = _averaged(np.squeeze(np.where(finite, values, values[finite].min())))
    if coarse.ndim not in _SIZES or min(coarse.shape) < 2:
        return blank
    bright = _bright(coarse)
    if bright is None:
        return blank
    center, spread = _moments(bright)
    size = _SIZES[coarse.ndim]
    step = 2 * _REACH * spread / size
    if not (step > 0).all():
        return blank
    small = ndimage.affine_transform(
        ndimage.gaussian_filter(bright, 0.5 * np.maximum(step - 0.5, 0.3)),
        step,
        center - step * (size - 1) / 2,
        (size,) * coarse.ndim,
        order=1,
    )
    details = small - ndimage.gaussian_filter(small, _SMOOTH * size / 2)
    details -= details.mean()
    largest = float(np.abs(details).max())
    if largest < 1e-6:
        return blank
    # Roots bring edges and texture nearer to each other, and use the 8 bits better.
    roots = np.sign(details) * np.sqrt(np.abs(details) / largest)
    return np.concatenate([[coarse.ndim], np.rint(127 * roots).ravel()]).astype(np.int8)


def center_and_spread(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centre and standard deviation of what is bright, in voxels, by axis.

    Parameters
    ----------
    values
        Any number of axes, finite. Of what is blank, the middle and 0.

    """
    coarse = _averaged(values)
    bright = _bright(coarse)
    if bright is None:
        return (np.array(values.shape) - 1) / 2, np.zeros(values.ndim)
    center, spread = _moments(bright)
    step = np.array([max(1, n // _LARGEST) for n in values.shape])
    return center * step + (step - 1) / 2, spread * step


def _bright(values: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Return how bright voxels are above the background; None of what is blank."""
    low, high = np.percentile(values, (_DARK, _BRIGHT))
    if not high > low:
        low, high = float(values.min()), float(values.max())
    if not high > low:
        return None
    scaled = (np.asarray(values, np.float64) - low) / (high - low)
    bright: NDArray[np.float64] = np.clip(scaled, _FLOOR, 1) - _FLOOR
    return bright


def _averaged(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Average blocks of large scans, which makes the rest cheap."""
    steps = [max(1, n // _LARGEST) for n in values.shape]
    shape: list[int] = []
    cut = []
    for n, step in zip(values.shape, steps, strict=True):
        cut.append(slice(n - n % step))
        shape += [n // step, step]
    blocks = values[tuple(cut)].reshape(shape)
    axes = tuple(range(1, len(shape), 2))
    averaged: NDArray[np.float64] = blocks.mean(axis=axes, dtype=np.float64)
    return averaged


def _moments(
    bright: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centre and standard deviation of what is bright, in voxels."""
    center, spread = [], []
    for axis in range(bright.ndim):
        others = tuple(n for n in range(bright.ndim) if n != axis)
        profile = bright.sum(axis=others)
        places = np.arange(len(profile))
        middle = np.average(places, weights=profile)
        center.append(middle)
        spread.append(np.sqrt(np.average((places - middle) ** 2, weights=profile)))
    return np.array(center), np.array(spread)


def ways_to_turn(dimensions: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return how axes can be exchanged (their order) and mirrored (1 or -1 each).

    48 ways for volumes, 8 for images; the first changes nothing.
    """
    orders = permutations(range(dimensions))
    return list(product(orders, product((1, -1), repeat=dimensions)))


def turned(
    fingerprints: NDArray[np.float32], dimensions: int
) -> list[NDArray[np.float32]]:
    """Return pictures ``(n, 4096)`` turned in each of `ways_to_turn`, in that order."""
    n = len(fingerprints)
    boxes = fingerprints.reshape(n, *(_SIZES[dimensions],) * dimensions)
    result = []
    for order, mirrored in ways_to_turn(dimensions):
        exchanged = boxes.transpose(0, *(axis + 1 for axis in order))
        view = exchanged[(slice(None), *(slice(None, None, m) for m in mirrored))]
        result.append(view.reshape(n, -1))
    return result
