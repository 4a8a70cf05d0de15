"""Linear interpolation along axes: sums of voxels, without a world around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def by_axis(
    values: NDArray[Any],
    matrix: FloatArray,
    shape: tuple[int, int, int],
    sigma: FloatArray,
) -> NDArray[np.float32]:
    """Blur and interpolate along one axis after the other, where none is rotated.

    The same sums as a blur of the whole volume and `affine_transform`, but of those
    voxels only that the target looks at: several times as fast where it is coarser.

    Parameters
    ----------
    values
        Volume ``(i, j, k)`` of any type.
    matrix
        4×4, index of the target to index of `values`; diagonal but for its last column.
    shape
        Of the target.
    sigma
        ``(3,)`` of the blur, in voxels of `values`.

    Returns
    -------
    ndarray
        float32 of `shape`.

    """
    # Axes as they lie in memory: planes, rows, and values next to each other. One plane
    # after the other is made small, so that little memory is needed.
    order = sorted(range(3), key=lambda n: -abs(values.strides[n]))
    planes, rows, line = (
        _sums(values.shape[n], shape[n], (matrix[n, n], matrix[n, 3]), sigma[n])
        for n in order
    )
    # Sums of differences: what is constant stays so to the last bit, as a blank scan
    # has to.
    base = np.float32(values[0, 0, 0])
    base = base if np.isfinite(base) else np.float32(0)
    thin = np.empty((values.shape[order[0]], *rows.shape[:1], *line.shape[:1]), "f4")
    for result, plane in zip(thin, values.transpose(order), strict=True):
        result[:] = (line @ (rows @ (plane.astype("f4") - base)).T).T
    volume = (planes @ thin.reshape(len(thin), -1)).reshape(-1, *thin.shape[1:])
    volume += base
    return np.ascontiguousarray(volume.transpose(np.argsort(order)))


def _sums(size: int, wanted: int, line: tuple[float, float], sigma: float) -> Any:
    """Return which sums of an axis' values a blur and linear interpolation take.

    Parameters
    ----------
    size, wanted
        Number of values, and of sums.
    line
        Step and first place of the sums, in values.
    sigma
        Of the blur, in values.

    Returns
    -------
    scipy.sparse.csr_array
        float32 ``(wanted, size)``.

    """
    from scipy import sparse

    places = np.clip(np.arange(wanted) * line[0] + line[1], 0, size - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, size - 1)
    shares = np.concatenate([1 - (places - low), places - low])
    rows = np.tile(np.arange(wanted), 2)
    between = sparse.coo_array(
        (shares, (rows, np.concatenate([low, high]))), (wanted, size)
    )
    radius = int(4 * sigma + 0.5)  # as scipy.ndimage's
    if radius == 0:
        return between.tocsr().astype(np.float32)
    reach = np.arange(-radius, radius + 1)
    bell = np.exp(-0.5 * (reach / sigma) ** 2)
    own = np.repeat(np.arange(size), len(reach))
    others = np.clip(np.add.outer(np.arange(size), reach), 0, size - 1).ravel()
    weights = np.tile(bell / bell.sum(), size)
    blur = sparse.coo_array((weights, (own, others)), (size, size))
    return (between.tocsr() @ blur.tocsr()).astype(np.float32)
