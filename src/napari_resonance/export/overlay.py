"""Colours of a picture: grey levels of a scan and the evidence laid over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.display import full_color, is_inverted

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Saliency
    from napari_resonance.scan import Scan

# Perceptually even, readable with every colour blindness and in grey; its dark end
# would hide anatomy and is left out.
_COLOR_MAP = "inferno"
_DARKEST = 0.3
# Evidence against a label is blue, from weak to strong; beside it the other side begins
# with red, for blue and violet look alike to many.
_BLUES = np.array([(0.13, 0.27, 0.62), (0.16, 0.55, 0.95), (0.62, 0.86, 1.0)])
_REDDEST = 0.45
_MOST_OPAQUE = 0.6

_BEYOND = (0.07, 0.07, 0.08)  # outside of the scan, told apart from black voxels


@dataclass(frozen=True, eq=False)
class Overlay:
    """How evidence becomes colour: nothing at 0, full colour at `top`.

    Parameters
    ----------
    top
        The strongest evidence that is shown, in the map's own units.
    sign
        Which evidence that is: "for", "against" or "both".

    """

    top: float
    sign: str = "for"

    @classmethod
    def of(cls, saliency: Saliency | None) -> Overlay | None:
        """Return the scale of a map; None without a map or any evidence in it."""
        if saliency is None:
            return None
        strength = saliency.strength
        top = float(np.max(strength, initial=0, where=strength > 0))
        return cls(top, saliency.sign) if np.isfinite(top) and top > 0 else None

    @property
    def bottom(self) -> float:
        """The lower end of the colours: 0, or as far below it as `top` is above."""
        return -self.top if self.sign == "both" else 0.0

    def colors(
        self, values: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return RGB ``(..., 3)`` and opacity ``(..., 1)`` of values, all in 0–1."""
        part = np.clip(np.nan_to_num(values) / self.top, self.bottom / self.top, 1)
        opacity = _MOST_OPAQUE * np.abs(part)[..., None]
        return evidence_colors(part, self.sign), opacity.astype(np.float32)


def evidence_colors(part: NDArray[Any], sign: str) -> NDArray[np.float32]:
    """Return RGB ``(..., 3)`` of shown evidence.

    Parameters
    ----------
    part
        Shares of the strongest evidence: 0 to 1, or -1 to 1 of both signs.
    sign
        "for", "against" or "both".

    """
    from matplotlib import colormaps

    darkest = _REDDEST if sign == "both" else _DARKEST
    warm = colormaps[_COLOR_MAP](darkest + (1 - darkest) * np.clip(part, 0, 1))
    strength, stops = np.abs(part), np.linspace(0, 1, len(_BLUES))
    blue = np.stack([np.interp(strength, stops, c) for c in _BLUES.T], axis=-1)
    is_against = (part < 0) if sign == "both" else np.full(part.shape, sign != "for")
    rgb = np.where(is_against[..., None], blue, warm[..., :3])
    colors: NDArray[np.float32] = rgb.astype(np.float32)
    return colors


def grey_levels(
    values: NDArray[np.float32],
    covered: NDArray[np.bool_],
    scan: Scan,
    limits: tuple[float, float],
) -> NDArray[np.float32]:
    """Return RGB ``(rows, columns, 3)`` of a plane; MONOCHROME1 is shown inverted."""
    if scan.color:
        image = np.clip(np.nan_to_num(values) / full_color(scan), 0, 1)
    else:
        low, high = limits
        grey = np.clip((np.nan_to_num(values) - low) / (high - low), 0, 1)
        if is_inverted(scan):
            grey = 1 - grey
        image = np.repeat(grey[..., None], 3, axis=-1)
    return np.where(covered[..., None], image, _BEYOND).astype(np.float32)


def blended(
    image: NDArray[np.float32], evidence: NDArray[np.float32], overlay: Overlay
) -> NDArray[np.float32]:
    """Lay evidence ``(rows, columns)`` over an image ``(rows, columns, 3)``."""
    rgb, opacity = overlay.colors(evidence)
    return image * (1 - opacity) + rgb * opacity
