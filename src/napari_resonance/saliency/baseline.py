"""What an input is compared with, where a method needs the scan without something."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BASELINES = ("mean", "lowest", "blur")

# Share of each side: lesions and organs go, the shape of the body stays, also of a slab
# of few slices.
_BLUR = 1 / 12
_LEAST_RANGE = np.float32(1e-6)


def baseline_of(array: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Return a network input without what the scan shows.

    Parameters
    ----------
    array
        Network input, float32 ``(N, C, *spatial)``.
    kind
        "mean": the mean of each channel. "lowest": its smallest value, which is the
        background of most scans, and shows nothing where dark tissue is what counts.
        "blur": the input blurred by a twelfth of each side, until structure is gone.

    Returns
    -------
    ndarray
        float32, the shape of `array`; read-only.

    """
    axes = (0, *range(2, array.ndim))
    if kind == "blur":
        from scipy import ndimage

        sigmas = (0, 0, *(n * _BLUR for n in array.shape[2:]))
        blurred: NDArray[np.float32] = ndimage.gaussian_filter(
            array, sigmas, mode="nearest"
        )
        return blurred
    if kind == "lowest":
        value = array.min(axis=axes, keepdims=True)
    else:
        value = array.mean(axis=axes, keepdims=True, dtype=np.float64)
    return np.broadcast_to(value.astype(np.float32), array.shape)


def channel_ranges(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the difference of each channel's ends, by which noise is measured.

    Parameters
    ----------
    array
        Network input, float32 ``(N, C, *spatial)``.

    Returns
    -------
    ndarray
        float32 ``(1, C, 1, ...)``, above 0 also where a channel is the same everywhere.

    """
    axes = (0, *range(2, array.ndim))
    ranges: NDArray[np.float32] = np.ptp(array, axis=axes, keepdims=True)
    return np.maximum(ranges, _LEAST_RANGE)
