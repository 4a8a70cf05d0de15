"""How well maps point at a place that is known, where masks exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.errors import SaliencyError
from napari_resonance.geometry import FloatArray, Grid, resample, to_index, to_world

Array = NDArray[np.float32]

SHARES = tuple(n / 20 for n in range(1, 20))
"""Thresholds that are tried, as shares of a map's strongest evidence."""


@dataclass(frozen=True, eq=False)
class Mask:
    """Where the thing that decides is.

    Parameters
    ----------
    inside
        bool ``(i, j, k)``.
    affine
        4×4, its index to RAS+ mm.

    Raises
    ------
    SaliencyError
        If nothing is inside.

    """

    inside: NDArray[np.bool_]
    affine: FloatArray

    def __post_init__(self) -> None:
        """Refuse a mask of nothing."""
        if not self.inside.any():
            raise SaliencyError(
                "the mask is empty: there is no place to find",
                remedy="Leave scans without the finding out",
            )

    @property
    def share(self) -> float:
        """Share of its grid that is inside: the mass that a map without idea has."""
        return float(self.inside.mean())


def points_at(saliency: Saliency, mask: Mask) -> bool:
    """Tell whether the peak lies in the mask (pointing game; Zhang et al., ECCV 2016).

    A peak is known to half a cell of the map: a mask that its cell touches counts.
    """
    if saliency.is_empty:
        return False
    return bool(_touched(saliency, mask).flat[int(np.argmax(saliency.strength))])


def chance_of_pointing(saliency: Saliency, mask: Mask) -> float:
    """Return how often a peak in any cell of the map would lie in the mask, 0 to 1.

    What `points_at` is to be compared with: wide cells touch a mask easily.
    """
    return float(_touched(saliency, mask).mean())


def _touched(saliency: Saliency, mask: Mask) -> NDArray[np.bool_]:
    """Return which cells of a map the mask touches."""
    places = to_index(saliency.affine, to_world(mask.affine, np.argwhere(mask.inside)))
    # Half a cell, or half a voxel of the mask where that is wider.
    scale = np.linalg.inv(saliency.affine[:3, :3]) @ mask.affine[:3, :3]
    reach = np.maximum(0.5, np.abs(scale).sum(axis=1) / 2) + 1e-6
    touched = np.zeros(saliency.values.shape, np.bool_)
    lows = np.ceil(places - reach).astype(int).clip(0)
    highs = np.floor(places + reach).astype(int).clip(-1) + 1
    for low, high in zip(lows, highs, strict=True):
        touched[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return touched


def mass_inside(saliency: Saliency, mask: Mask) -> float:
    """Return the share of the shown evidence that lies in the mask, 0 to 1.

    Without any idea of the place it is `Mask.share`.
    """
    values = strength_on(saliency, mask)
    total = float(values.sum(dtype=np.float64))
    inside = float(values[mask.inside].sum(dtype=np.float64))
    return inside / total if total > 0 else 0.0


def overlap(saliency: Saliency, mask: Mask, share: float) -> float:
    """Return intersection over union of the mask and the evidence above a threshold.

    Parameters
    ----------
    saliency, mask
        Map and truth.
    share
        Threshold, as a share of the strongest evidence. Choose it on other scans than
        those that are scored (`best_share`).

    """
    values = strength_on(saliency, mask)
    if values.max() <= 0:
        return 0.0
    above = values >= share * values.max()
    return float((above & mask.inside).sum() / (above | mask.inside).sum())


def best_share(pairs: Sequence[tuple[Saliency, Mask]]) -> float:
    """Return the threshold of `SHARES` with the largest mean overlap.

    Parameters
    ----------
    pairs
        Maps and masks of validation scans.

    Raises
    ------
    SaliencyError
        If there is none.

    """
    if not pairs:
        raise SaliencyError(
            "a threshold cannot be chosen without a scan",
            remedy="Set validation scans with a mask aside",
        )
    means = [np.mean([overlap(*pair, share) for pair in pairs]) for share in SHARES]
    return SHARES[int(np.argmax(means))]


def strength_on(saliency: Saliency, mask: Mask) -> Array:
    """Return how strong the shown evidence is on the mask's voxels, through affines.

    Averaged over a voxel where the map is finer than the mask.
    """
    x, y, z = mask.inside.shape
    return resample(saliency.strength, saliency.affine, Grid((x, y, z), mask.affine))
