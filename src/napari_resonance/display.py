"""Which values of a scan are drawn black and white, in grey and in colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.scan import Scan


def display_range(scan: Scan, values: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the values drawn black and white.

    The window the file asks for (PS3.3 C.11.2.1.2) where it meets the values, -160 to
    240 HU for a CT without one, else the 0.5th to 99.5th percentile.
    """
    shown = np.concatenate([v[np.isfinite(v)].ravel() for v in values])
    if not shown.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(shown, (0.5, 99.5)))
    window = stored_window(scan)
    if window is not None and window[0] < high and window[1] > low:
        return window
    if scan.modality == "CT":
        return -160.0, 240.0
    return low, high if high > low else low + 1.0


def stored_window(scan: Scan) -> tuple[float, float] | None:
    """Return the ends of the first window that the file asks for, if any."""
    center, width = (_first(scan.meta.get(f"window_{n}")) for n in ("center", "width"))
    if center is None or width is None or not width > 0:
        return None
    return center - width / 2, center + width / 2


def full_color(scan: Scan) -> float:
    """Return the value of full red, green or blue of a colour scan; black is 0.

    Of a file with more than 8 bits a colour what its bits can hold, else 255.
    """
    stored = scan.voxels.dtype
    if stored.kind != "u" or stored.itemsize == 1:
        return 255.0
    return 2.0 ** int(scan.meta.get("bits_stored") or 8 * stored.itemsize) - 1


def is_inverted(scan: Scan) -> bool:
    """Tell whether low values are meant to be white."""
    return scan.meta.get("photometric_interpretation") == "MONOCHROME1"


def _first(value: Any) -> float | None:
    numbers = np.atleast_1d(np.asarray(value if value is not None else [], np.float64))
    return float(numbers[0]) if numbers.size and np.isfinite(numbers[0]) else None
