"""Scans of many bits as the pictures of 8 bits that some networks were trained on.

Photographs, ultrasound and exported radiographs are pictures: 0 is black and 255 white.
A network of such pictures is shown any other grey scan as its display would show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.display import display_range, is_inverted, stored_window
from napari_resonance.scan import Scan

WHITE = 255
"""Of a picture of 8 bits."""

# Enough voxels for steady percentiles, few enough to take no time.
_SAMPLED = 500_000


def as_pictures(
    scans: Sequence[Scan], names: Sequence[str], time: int = 0, *, color: bool
) -> tuple[list[Scan], tuple[str, ...]]:
    """Return the scans of a case as pictures, and what was done to them.

    HU stay as they are unless the network looks at colour: they have a scale of their
    own, which a network of grey images may have been trained on.

    Parameters
    ----------
    scans, names
        And what they are called in sentences; empty where there is but one.
    time
        Which volume of the first, if that is a time series.
    color
        Whether the network looks at colour.

    """
    shown: list[Scan] = []
    notes: list[str] = []
    for n, (scan, name) in enumerate(zip(scans, names, strict=True)):
        picture, told = scan, tuple[str, ...]()
        if color or scan.modality != "CT":
            picture, told = as_picture(scan, 0 if n else time)
        shown.append(picture)
        notes += [f"{name}: {note}" if name else note for note in told]
    return shown, tuple(notes)


def as_picture(scan: Scan, time: int = 0) -> tuple[Scan, tuple[str, ...]]:
    """Return a grey scan with values from black (0) to white (255), and what was done.

    Values beyond the ends of its window are beyond 0 and 255, and are to be cut. Colour
    scans and those that are pictures of 8 bits already are returned as they are.

    Parameters
    ----------
    scan
        Any scan.
    time
        Which volume of a time series decides.

    Returns
    -------
    Scan
        By the look-up table of the file (PS3.3 C.11.2), else by its window, the usual
        one of a CT, or the 0.5th to 99.5th percentile of the values; with
        ``MONOCHROME1``, turned about.
    tuple of str
        A sentence where anything was changed.

    """
    stored = scan.stored(time)
    if scan.color or _is_picture(scan, stored):
        return scan, ()
    values = _sample(stored) * scan.slope + scan.intercept
    table = _table(scan)
    if table is not None and stored_window(scan) is None:
        return _through(scan, *table)
    low, high = display_range(scan, [values])
    note = (
        f"its values from {low:.4g} (black) to {high:.4g} (white) were taken as those "
        "of a picture of 8 bits, as the model was trained on"
    )
    if scan.meta.get("voi_lut_function") == "SIGMOID":
        return _sigmoid(scan, low, high), (note,)
    scale = WHITE / (high - low)
    slope, intercept = scan.slope * scale, (scan.intercept - low) * scale
    if is_inverted(scan):
        slope, intercept = -slope, WHITE - intercept
    return _upright(scan, slope=slope, intercept=intercept), (note,)


def _is_picture(scan: Scan, stored: NDArray[Any]) -> bool:
    """Tell whether values are grey levels of 8 bits as they are."""
    plain = (scan.slope, scan.intercept) == (1.0, 0.0)
    bits = int(scan.meta.get("bits_stored") or 0)
    if plain and stored.dtype in (np.uint8, np.bool_):
        return True
    finite = stored[np.isfinite(stored)] if stored.dtype.kind == "f" else stored
    if not finite.size:
        return True  # refused later, as any scan without values
    ends = [
        float(end) * scan.slope + scan.intercept for end in (finite.min(), finite.max())
    ]
    if min(ends) < 0 or max(ends) > WHITE + 0.01:
        return False
    # So few levels of a file that has room for more: its window tells what they are.
    deep = bits > 8 and stored_window(scan) is not None
    physical = _sample(stored) * scan.slope + scan.intercept
    fractions = max(ends) <= 1 and bool((physical != np.rint(physical)).any())
    return not (deep or fractions)


def _sample(stored: NDArray[Any]) -> NDArray[np.float64]:
    """Return finite values spread over a volume."""
    step = max(1, round((stored.size / _SAMPLED) ** (1 / 3)))
    # Of a single slice no voxel is left out along its thickness.
    steps = tuple(slice(None, None, min(step, n)) for n in stored.shape)
    sample = np.asarray(stored[steps], np.float64).ravel()
    return sample[np.isfinite(sample)]


def _table(scan: Scan) -> tuple[NDArray[np.float64], int, int] | None:
    """Return entries of the look-up table, value of the first, and white."""
    entries = scan.meta.get("voi_lut")
    bits = int(scan.meta.get("voi_lut_bits") or 0)
    if not entries or not 0 < bits <= 16:
        return None
    first = int(scan.meta.get("voi_lut_first_value") or 0)
    return np.asarray(entries, np.float64), first, 2**bits - 1


def _through(
    scan: Scan, entries: NDArray[np.float64], first: int, white: int
) -> tuple[Scan, tuple[str, ...]]:
    values = _values(scan)
    place = np.clip(np.nan_to_num(np.rint(values - first)), 0, len(entries) - 1)
    grey = (entries * WHITE / white).astype(np.float32)[place.astype(np.int32)]
    note = (
        "its values were led through the look-up table of the file to those of a "
        "picture of 8 bits, as the model was trained on"
    )
    return _drawn(scan, grey), (note,)


def _sigmoid(scan: Scan, low: float, high: float) -> Scan:
    """Return a scan drawn by the curve of PS3.3 C.11.2.1.3.1."""
    center, width = (low + high) / 2, high - low
    bent = np.clip(-4 * (_values(scan) - center) / width, -80, 80)
    return _drawn(scan, np.float32(WHITE) / (1 + np.exp(bent)))


def _values(scan: Scan) -> NDArray[np.float32]:
    values = np.asarray(scan.voxels) * np.float64(scan.slope) + scan.intercept
    return values.astype(np.float32)


def _drawn(scan: Scan, grey: NDArray[np.float32]) -> Scan:
    drawn = WHITE - grey if is_inverted(scan) else grey
    return _upright(scan, voxels=drawn, slope=1.0, intercept=0.0)


def _upright(scan: Scan, **changes: object) -> Scan:
    """Return a scan with other values, of which low ones are black."""
    meta = {**scan.meta, "photometric_interpretation": "MONOCHROME2"}
    return replace(scan, meta=meta, **changes)  # type: ignore[arg-type]
