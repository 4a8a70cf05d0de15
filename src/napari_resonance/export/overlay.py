"""Colours of a picture: grey levels of a scan and the evidence laid over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Saliency
    from napari_resonance.scan import Scan

# Perceptually even, readable with every colour blindness and in grey; its dark end
# would hide anatomy and is left out.
_COLOR_MAP = "inferno"
_DARKEST = 0.3
_MOST_OPAQUE = 0.6

_BEYOND = (0.07, 0.07, 0.08)  # outside of the scan, told apart from black voxels


@dataclass(frozen=True, eq=False)
class Overlay:
    """How evidence becomes colour: nothing at 0, full colour at `top`.

    Parameters
    ----------
    top
        The largest value of the map, in its own units.

    """

    top: float

    @classmethod
    def of(cls, saliency: Saliency | None) -> Overlay | None:
        """Return the scale of a map; None without a map or any evidence in it."""
        if saliency is None:
            return None
        top = float(np.max(saliency.values, initial=0, where=saliency.values > 0))
        return cls(top) if np.isfinite(top) and top > 0 else None

    def colors(
        self, values: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return RGB ``(..., 3)`` and opacity ``(..., 1)`` of values, all in 0–1."""
        from matplotlib import colormaps

        part = np.clip(np.nan_to_num(values) / self.top, 0, 1)
        rgb = colormaps[_COLOR_MAP](_DARKEST + (1 - _DARKEST) * part)[..., :3]
        opacity = _MOST_OPAQUE * part[..., None]
        return rgb.astype(np.float32), opacity.astype(np.float32)


def grey_levels(
    values: NDArray[np.float32],
    covered: NDArray[np.bool_],
    scan: Scan,
    limits: tuple[float, float],
) -> NDArray[np.float32]:
    """Return RGB ``(rows, columns, 3)`` of a plane; MONOCHROME1 is shown inverted."""
    if scan.color:
        white = 255 if scan.voxels.dtype == np.uint8 else float(values.max() or 1)
        image = np.clip(values / white, 0, 1)
    else:
        low, high = limits
        grey = np.clip((np.nan_to_num(values) - low) / (high - low), 0, 1)
        if scan.meta.get("photometric_interpretation") == "MONOCHROME1":
            grey = 1 - grey
        image = np.repeat(grey[..., None], 3, axis=-1)
    return np.where(covered[..., None], image, _BEYOND).astype(np.float32)


def blended(
    image: NDArray[np.float32], evidence: NDArray[np.float32], overlay: Overlay
) -> NDArray[np.float32]:
    """Lay evidence ``(rows, columns)`` over an image ``(rows, columns, 3)``."""
    rgb, opacity = overlay.colors(evidence)
    return image * (1 - opacity) + rgb * opacity
