"""Colours of a saliency layer, and from which strength on it is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_resonance.export.overlay import evidence_colors

# Below this share of the peak a map is not drawn at first; the panel's slider moves it.
DEFAULT_THRESHOLD = 0.5

_STEPS = 256


def saliency_colormap(sign: str = "for", threshold: float = DEFAULT_THRESHOLD) -> Any:
    """Return the colours of a map with an opacity that grows from nothing.

    Perceptually uniform, readable by colour-blind people; what lies at or below the
    threshold is transparent, so that it hides no anatomy.

    Parameters
    ----------
    sign
        Which evidence the layer shows. Of "both" the colours diverge from 0, and the
        middle is transparent up to the threshold; of the others the lower contrast
        limit is the threshold.
    threshold
        Share of the strongest evidence; used with "both" only.

    """
    from napari.utils.colormaps import Colormap

    if sign == "both":
        part = np.linspace(-1, 1, _STEPS)
        above = (np.abs(part) - threshold) / max(1 - threshold, 1e-6)
        rgb = evidence_colors(part, sign)
    else:
        above = np.linspace(0, 1, _STEPS)
        # The pale end would whiten the anatomy that it explains.
        rgb = evidence_colors(above * (0.6 / 0.7), sign)
    alpha = np.where(above > 0, np.minimum(1, 0.2 + above), 0)
    colors = np.column_stack([rgb, alpha]).astype(np.float32)
    name = f"saliency {sign}" if sign != "for" else "saliency"
    return Colormap(colors, name=name, display_name=name)


def threshold_of(layer: Any, peak: float) -> float:
    """Return the share of the peak below which a saliency layer draws nothing."""
    low, _ = layer.contrast_limits
    if low >= 0:
        return float(low / peak)
    alpha = layer.colormap.colors[:, 3]
    clear = np.abs(np.linspace(-1, 1, len(alpha)))[alpha == 0]
    return float(clear.max()) if clear.size else 0.0


def set_threshold(layer: Any, peak: float, share: float) -> None:
    """Draw a saliency layer from this share of its peak on."""
    if layer.contrast_limits[0] < 0:
        layer.colormap = saliency_colormap("both", share)
    else:
        layer.contrast_limits = (share * peak, peak)
