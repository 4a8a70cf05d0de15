"""Colours of a saliency layer, and from which strength on it is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_resonance.export.overlay import evidence_colors

# Below this share of the peak a map is not drawn at first; the panel's slider moves it.
DEFAULT_THRESHOLD = 0.5

CONTOUR = "contour"

_STEPS = 256

# A fainter wash is a pale veil over bright anatomy, and so are paler colours.
_FAINTEST, _PALEST = 0.5, 0.7

# Where lines are drawn between threshold and peak, and how much of the way is one.
_LINES, _LINE = (0.0, 0.5, 0.75), 0.07


def saliency_colormap(
    sign: str = "for", threshold: float = DEFAULT_THRESHOLD, style: str = "wash"
) -> Any:
    """Return the colours of a map with an opacity that grows from the threshold on.

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
    style
        "wash" draws all above the threshold; "contour" lines at the threshold, and half
        and three quarters of the way from there to the peak.

    """
    from napari.utils.colormaps import Colormap

    if sign == "both":
        part = np.linspace(-1, 1, _STEPS)
        above = (np.abs(part) - threshold) / max(1 - threshold, 1e-6)
        rgb = evidence_colors(part, sign)
    else:
        above = np.linspace(0, 1, _STEPS)
        # The pale end would whiten the anatomy that it explains.
        rgb = evidence_colors(_PALEST * above, sign)
    alpha = np.where(above > 0, np.minimum(1, _FAINTEST + _PALEST * above), 0)
    if style == CONTOUR:
        on_line = [(above > at) & (above <= at + _LINE) for at in _LINES]
        alpha = np.where(np.any(on_line, axis=0), 1, 0)
        # The dark end of the colours would be lost on dark anatomy.
        rgb = evidence_colors(
            np.sign(part) if sign == "both" else 0.5 + above / 4, sign
        )
    colors = np.column_stack([rgb, alpha]).astype(np.float32)
    name = " ".join(["saliency", *([] if sign == "for" else [sign])])
    name += f" {CONTOUR}" if style == CONTOUR else ""
    made = Colormap(colors, name=name, display_name=name)
    _forget(made)
    return made


def _forget(colormap: Any) -> None:
    """Let napari list a colour map in place of one of its name, not beside it.

    It would give each map of another threshold a number and a line in its lists. Layers
    keep the colours that they have.
    """
    from napari.utils.colormaps import AVAILABLE_COLORMAPS
    from napari.utils.colormaps.colormap_utils import AVAILABLE_COLORMAPS_LOCK

    with AVAILABLE_COLORMAPS_LOCK:
        known = AVAILABLE_COLORMAPS.get(colormap.name)
        if known is not None and not known.same_colors(colormap):
            del AVAILABLE_COLORMAPS[colormap.name]


def style_of(layer: Any) -> str:
    """Return how a saliency layer is drawn: "wash" or "contour"."""
    return CONTOUR if CONTOUR in str(layer.colormap.name).split() else "wash"


def set_style(layer: Any, peak: float, style: str) -> None:
    """Draw a saliency layer as a wash of colour or as lines, from where it was."""
    share = threshold_of(layer, peak)
    layer.colormap = saliency_colormap(_sign_of(layer), share, style)


def threshold_of(layer: Any, peak: float) -> float:
    """Return the share of the peak below which a saliency layer draws nothing."""
    low, _ = layer.contrast_limits
    if low >= 0:
        return float(low / peak)
    alpha = layer.colormap.colors[:, 3]
    strength = np.abs(np.linspace(-1, 1, len(alpha)))
    if not (alpha > 0).any():
        return 1.0
    clear = strength[strength < strength[alpha > 0].min()]
    return float(clear.max()) if clear.size else 0.0


def set_threshold(layer: Any, peak: float, share: float) -> None:
    """Draw a saliency layer from this share of its peak on."""
    if layer.contrast_limits[0] < 0:
        layer.colormap = saliency_colormap("both", share, style_of(layer))
    else:
        layer.contrast_limits = (share * peak, peak)


def _sign_of(layer: Any) -> str:
    words = str(layer.colormap.name).split()
    signs = [word for word in words if word in ("against", "both")]
    return signs[0] if signs else "for"
