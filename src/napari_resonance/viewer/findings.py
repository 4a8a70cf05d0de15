"""The places that a map points to, to go from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_resonance.geometry import FloatArray, to_world

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Saliency

# Weaker places than this share of the peak are not worth a stop.
_LEAST = 0.5


def findings_of(saliency: Saliency | None) -> FloatArray:
    """Return the local maxima of the evidence that is shown, the strongest first.

    Returns
    -------
    ndarray
        float64 ``(N, 3)``, RAS+ mm of cells that no neighbour exceeds and that reach
        half of the peak; ``(0, 3)`` without evidence.

    """
    if saliency is None or saliency.is_empty:
        return np.zeros((0, 3))
    from scipy.ndimage import maximum_filter

    strength = saliency.strength
    highest = strength == maximum_filter(strength, size=3, mode="nearest")
    found = np.argwhere(highest & (strength >= _LEAST * strength.max()))
    order = np.argsort(-strength[tuple(found.T)], kind="stable")
    places: FloatArray = to_world(saliency.affine, found[order])
    return places


def next_place(places: FloatArray, here: FloatArray, step: int) -> FloatArray | None:
    """Return the place after (`step` 1) or before (-1) the one that is nearest.

    None where there is no place.
    """
    if not len(places):
        return None
    nearest = int(np.linalg.norm(places - here, axis=1).argmin())
    place: FloatArray = places[(nearest + step) % len(places)]
    return place
