"""Where preparation begins: values of one scan, or of several on the first one's grid.

Several scans of one patient (T1w, T2w, FLAIR) are the input channels of one case. They
have to be registered: what is brought onto the first one's grid is brought there by the
millimetres that the files state, and nothing is moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_resonance.display import full_color
from napari_resonance.errors import PreprocessingError
from napari_resonance.geometry import (
    FloatArray,
    Grid,
    is_sheared,
    orthogonal_grid,
    resample,
    to_index,
    to_world,
    unshear,
)
from napari_resonance.preprocessing.grid import Prepared
from napari_resonance.scan import Scan

# ITU-R BT.601 luma, as DICOM's YBR_FULL (PS3.3 C.7.6.3.1.2).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_AIR_HU = -1000.0
# Modalities whose values measure something, however they are to be shown.
_MEASURING = ("CT", "MR", "PT", "NM")
# Scans of one session that show the same part of the body share most of it.
_LEAST_OVERLAP = 0.25
_ENOUGH_OVERLAP = 0.9
_SAMPLES = 12  # points along each axis at which the overlap is measured


def start_volume(
    scan: Scan, time: int = 0, part: Grid | None = None, *, color: bool = False
) -> Prepared:
    """Return a scan's physical values, finite, on orthogonal axes.

    Parameters
    ----------
    scan
        Any scan.
    time
        Which volume of a time series.
    part
        Only this part of ``geometry.orthogonal_grid(scan)``; None for all of it.
    color
        Keep the channels of a colour scan, instead of its brightness.

    Raises
    ------
    PreprocessingError
        If no value is finite.

    """
    turn = _turning(scan, time)  # of all of it: a part has other ends
    scan = unshear(scan, part)
    values, warnings = _finite(scan, time, turn, color=color)
    return Prepared(values, scan.affine, scan.oriented, tuple(warnings))


def keeps_stored(scan: Scan, *, color: bool = False) -> bool:
    """Tell whether the stored numbers may be resampled before they become values.

    Sums of whole numbers of up to 16 bits are exact in float32, and slope and intercept
    commute with them. Large scans then never lie in memory as float32. Of a colour scan
    only where its `color` is kept: brightness is no sum of whole numbers.
    """
    stored = scan.voxels.dtype
    small = stored.kind in "iu" and stored.itemsize <= 2
    finite = np.isfinite([scan.slope, scan.intercept]).all()
    fits = color or not scan.color
    return bool(small and finite and fits and not is_sheared(scan.affine))


def stored_volume(scan: Scan, time: int = 0) -> Prepared:
    """Return stored numbers, to be resampled, and then given to `valued`."""
    warnings = tuple(_time_warnings(scan, time))
    return Prepared(scan.stored(time), scan.affine, scan.oriented, warnings)


def valued(volume: Prepared, scan: Scan, time: int = 0) -> Prepared:
    """Return the physical values of what was resampled of a `stored_volume`."""
    values = (volume.values * np.float64(scan.slope) + scan.intercept).astype("f4")
    if scan.color:
        return volume.with_values(_of_eight_bits(values, scan))
    return volume.with_values(_turned(values, _turning(scan, time)))


def _time_warnings(scan: Scan, time: int) -> list[str]:
    if scan.n_times > 1:
        return [f"volume {time + 1} of {scan.n_times} was used"]
    return []


def _finite(
    scan: Scan, time: int, turn: float | None, *, color: bool
) -> tuple[NDArray[np.float32], list[str]]:
    warnings: list[str] = []
    values = _turned(scan.values(time), turn)
    if scan.color:
        values = _of_eight_bits(values, scan)
    if scan.color and not color:
        values = brightness(values)
        warnings.append("colour was turned into brightness")
    # A mask of every scan would take a quarter of its memory.
    if not (np.isfinite(values.min()) and np.isfinite(values.max())):
        finite = np.isfinite(values)
        if not finite.any():
            raise PreprocessingError("the scan holds no finite value")
        lowest = values[finite].min()
        values = np.where(finite, values, lowest)
        share = 100 * (1 - finite.mean())
        warnings.append(
            f"{share:.2g} % of the voxels are not finite; set to the lowest"
        )
    return values, warnings + _time_warnings(scan, time)


def _of_eight_bits(colors: NDArray[np.float32], scan: Scan) -> NDArray[np.float32]:
    """Return colours from 0 to 255, however many bits the file has for them."""
    white = full_color(scan)
    return colors if white == 255 else colors * np.float32(255 / white)


def brightness(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the luma of red, green and blue, which are the last axis."""
    result: NDArray[np.float32] = colors @ _LUMA
    return result


def _turning(scan: Scan, time: int) -> float | None:
    """Return black plus white of a radiograph whose low values are meant to be white.

    Half of the radiographs of the world are stored so (MONOCHROME1), and a network has
    to see bone as bright in them as in the others. Values that measure something (HU,
    counts) stay, as all others do: None.
    """
    inverted = scan.meta.get("photometric_interpretation") == "MONOCHROME1"
    if not inverted or scan.color or scan.modality in _MEASURING:
        return None
    stored = scan.stored(time)
    if stored.dtype.kind == "f":
        stored = stored[np.isfinite(stored)]
    if not stored.size:
        return None
    ends = float(stored.min()), float(stored.max())
    bits = int(scan.meta.get("bits_stored") or 0)
    # A lookup table may have led out of what the bits can hold.
    if bits and stored.dtype.kind == "u" and ends[1] < 2**bits:
        ends = 0.0, 2.0**bits - 1
    return float(scan.slope) * sum(ends) + 2 * float(scan.intercept)


def _turned(values: NDArray[np.float32], turn: float | None) -> NDArray[np.float32]:
    if turn is None:
        return values
    result: NDArray[np.float32] = np.float32(turn) - values
    return result


def start_volumes(
    scans: Sequence[Scan],
    names: Sequence[str],
    time: int = 0,
    part: Grid | None = None,
    *,
    color: bool = False,
) -> list[Prepared]:
    """Return the physical values of several scans on the first one's grid.

    Parameters
    ----------
    scans
        One or more of one patient. The first decides the grid; beyond the edge of
        another lies its background.
    names
        What they are called in sentences.
    time
        Which volume of the first, if that is a time series; of others the first.
    part
        Only this part of ``geometry.orthogonal_grid(scans[0])``; None for all of it.
    color
        Keep the channels of colour scans, instead of their brightness.

    Raises
    ------
    PreprocessingError
        If a scan hardly overlaps the first, or they have no common place.

    """
    first = start_volume(scans[0], time, part, color=color)
    volumes = [first]
    for scan, name in zip(scans[1:], names[1:], strict=True):
        try:
            pair = (name, names[0])
            volumes.append(_brought(scan, scans[0], first, pair, color=color))
        except PreprocessingError as error:
            error.source = error.source or (
                str(scan.sources[0]) if scan.sources else None
            )
            raise
    return volumes


def _brought(
    scan: Scan, leader: Scan, first: Prepared, names: tuple[str, str], *, color: bool
) -> Prepared:
    """Return a scan's values on the grid of a volume made of another scan."""
    notes = _agreement(scan, leader, names)
    values, warnings = _finite(scan, 0, _turning(scan, 0), color=color)
    same = Grid(scan.grid_shape, scan.affine).same_as(first.grid)
    if not same:
        outside = background(scan, values)
        values = resample(values, scan.affine, first.grid, outside=outside)
    notes = [*notes, *(f"{names[0]}: {w}" for w in warnings)]
    return replace(first, values=values, warnings=tuple(notes))


def _agreement(scan: Scan, leader: Scan, names: tuple[str, str]) -> list[str]:
    """Refuse a scan that shares no place with the leader; return what is odd."""
    one, other = names
    if not (scan.oriented and leader.oriented):
        if scan.grid_shape != leader.grid_shape:
            raise PreprocessingError(
                f"{one} cannot be brought onto {other}: the files do not say how they "
                "lie, and their sizes differ",
                remedy="Give scans with orientation, or on one grid",
            )
        return []
    share = overlap(orthogonal_grid(leader), Grid(scan.grid_shape, scan.affine))
    percent = f"{100 * share:.0f} %"
    if share < _LEAST_OVERLAP:
        raise PreprocessingError(
            f"{one} hardly overlaps {other}: it covers {percent} of it",
            remedy="Give registered scans of the same part of one patient",
        )
    notes = []
    if share < _ENOUGH_OVERLAP:
        notes.append(f"{one} covers only {percent} of {other}; the rest is background")
    frames = [s.meta.get("frame_of_reference_uid") for s in (scan, leader)]
    if all(frames) and frames[0] != frames[1]:
        notes.append(
            f"{one} and {other} name different frames of reference: are they registered"
        )
    return notes


def overlap(grid: Grid, other: Grid) -> float:
    """Return which share of a grid lies inside another, sampled at regular points."""
    along = [np.linspace(-0.5, n - 0.5, 2 * _SAMPLES + 1)[1::2] for n in grid.shape]
    index = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3)
    found: FloatArray = to_index(other.affine, to_world(grid.affine, index))
    inside = (found >= -0.5) & (found <= np.array(other.shape) - 0.5)
    return float(inside.all(axis=1).mean())


def one_volume(volumes: Sequence[Prepared], names: Sequence[str]) -> Prepared:
    """Return the channels as one volume ``(x, y, z[, channel])``."""
    first = volumes[0]
    if len(volumes) == 1:
        return first
    warnings = list(first.warnings)
    for volume, name in zip(volumes, names, strict=True):
        warnings += volume.warnings
        if not np.ptp(volume.values, axis=(0, 1, 2)).any():
            warnings.append(f"{name} is the same everywhere in what the network sees")
    for (a, one), (b, other) in combinations(zip(names, volumes, strict=True), 2):
        if np.array_equal(one.values, other.values):
            warnings.append(f"{a} and {b} are the same image")
    channels = [
        v.values if v.values.ndim == 4 else v.values[..., None] for v in volumes
    ]
    values = np.concatenate(channels, axis=3)
    return replace(first, values=values, warnings=tuple(dict.fromkeys(warnings)))


def background(
    scan: Scan, values: NDArray[np.float32] | None = None, *, color: bool = False
) -> float:
    """Return what lies around the body: the lowest value, in CT at least air's.

    CT scanners fill the corners outside their circle with less than air has. With
    `color` it is the lowest value of all channels, else that of the brightness.
    """
    if values is None:
        values = _finite(scan, 0, _turning(scan, 0), color=color)[0]
    lowest = float(values.min())
    return max(lowest, _AIR_HU) if scan.modality == "CT" else lowest
