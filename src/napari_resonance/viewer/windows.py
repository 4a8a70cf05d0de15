"""Windows: which values are drawn from black to white, by centre and width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Centre and width in HU, as radiologists use them.
_CT = {
    "Brain": (40.0, 80.0),
    "Lung": (-600.0, 1500.0),
    "Bone": (400.0, 1800.0),
    "Soft tissue": (40.0, 400.0),
}
# Of values without a scale of their own, the shares that become black and white.
_PERCENTILES = {"Normal": (0.5, 99.5), "High contrast": (10.0, 95.0), "Full": (0, 100)}

# The drag across this many pixels changes the width by as much as it was.
_PIXELS = 250
# Narrower than this share of the centre's size rounding would show.
_NARROWEST = 1e-4


@dataclass(frozen=True)
class Window:
    """Values drawn from black to white.

    Parameters
    ----------
    name
        What its button says.
    center, width
        Middle and difference of the two ends, in the scan's physical unit.

    """

    name: str
    center: float
    width: float

    @classmethod
    def between(cls, low: float, high: float, name: str = "") -> Window:
        """Return the window with these ends."""
        return cls(name, (low + high) / 2, high - low)

    @property
    def limits(self) -> tuple[float, float]:
        """The values drawn black and white."""
        return self.center - self.width / 2, self.center + self.width / 2

    def dragged(self, right: float, down: float) -> Window:
        """Return the window after a drag by so many pixels.

        To the right it gets wider, downwards its centre rises and the picture darkens.
        """
        step = self.width / _PIXELS
        smallest = max(abs(self.center), self.width) * _NARROWEST
        width = max(self.width + right * step, smallest)
        return Window("", self.center + down * step, width)


def windows_of(
    modality: str, meta: Mapping[str, Any], values: NDArray[np.float32]
) -> tuple[Window, ...]:
    """Return the windows to offer for a scan.

    Parameters
    ----------
    modality
        ``"CT"`` gets windows in HU, all others shares of their values.
    meta
        Facts of the scan, which may name windows (PS3.3 C.11.2.1.2).
    values
        Some of the scan's physical values.

    """
    stored = _stored(meta)
    if modality == "CT":
        usual = tuple(Window(name, *window) for name, window in _CT.items())
        return stored + usual
    finite = values[np.isfinite(values)]
    if not finite.size:
        return stored
    found = []
    for name, shares in _PERCENTILES.items():
        low, high = (float(v) for v in np.percentile(finite, shares))
        if high > low:
            found.append(Window.between(low, high, name))
    return stored + tuple(found)


def unit_of(modality: str, meta: Mapping[str, Any]) -> str:
    """Return the unit of a scan's values; empty where they have none."""
    if modality == "CT":
        return "HU"
    units = {"BQML": "Bq/ml", "GML": "g/ml", "HU": "HU"}
    return units.get(str(meta.get("units") or meta.get("rescale_type") or ""), "")


def number(value: float) -> str:
    """Return a value as people read it: no digits beyond a tenth of a percent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.4g}"


def _stored(meta: Mapping[str, Any]) -> tuple[Window, ...]:
    pairs = (np.atleast_1d(meta.get(f"window_{n}", ())) for n in ("center", "width"))
    centers, widths = (np.asarray(p, np.float64) for p in pairs)
    return tuple(
        Window("As stored" if not n else f"Stored {n + 1}", float(c), float(w))
        for n, (c, w) in enumerate(zip(centers[:2], widths[:2], strict=False))
        if np.isfinite([c, w]).all() and w > 0
    )
