"""The peak of a saliency map in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.geometry import to_index, to_world

_BRAIN = ("head", "brain")
# Sides that differ by less than a tenth are told together: noise decides between them.
_NEARLY = 0.9


def describe_place(saliency: Saliency, body_part: str = "brain") -> str:
    """Say where the evidence is strongest, in the patient's directions.

    Parameters
    ----------
    saliency
        Map whose peak is described against the middle of the region the network saw.
    body_part
        What the scan shows; the sides of a head are called hemispheres.

    Returns
    -------
    str
        For example "right hemisphere, 24 mm from the midline of the head box, 12 mm
        above its centre (± 12 mm)". The last number is half a cell of the map: no
        place is known better than that.

    """
    if saliency.is_empty:
        return f"nowhere: nothing in the scan speaks {saliency.claim}"
    if not saliency.oriented:
        return "at a place without a name: the scan's orientation is not known"
    shape, affine = saliency.extent
    center = to_world(affine, (np.array(shape) - 1) / 2)
    right, _, up = (float(v) for v in np.array(saliency.peak_mm) - center)
    # Half the width of a cell along the patient's axes, oblique cells included.
    half_x, _, half_z = np.abs(saliency.affine[:3, :3]).sum(axis=1) / 2
    in_head = is_head(body_part)
    box = "head box" if in_head else "region seen"
    noun = "hemisphere" if in_head else "half"
    sideways = _side(right, float(half_x), noun, box)
    if _is_two_sided(saliency, center):
        sideways += f" (the other {noun} hardly less)"
    return f"{sideways}, {_level(up)} (± {round(max(half_x, half_z))} mm)"


def describe_offset(saliency: Saliency, center_mm: Sequence[float]) -> str:
    """Say where the evidence is strongest, seen from the marked place of a region.

    A region has no midline of the body and no hemispheres.

    Parameters
    ----------
    saliency
        Map of a region.
    center_mm
        The place that was marked, RAS+ mm.

    Returns
    -------
    str
        For example "3 mm right of the marked place, 5 mm behind it (± 4 mm)". The last
        number is half a cell of the map.

    """
    if saliency.is_empty:
        return f"nowhere: nothing in the region speaks {saliency.claim}"
    if not saliency.oriented:
        return "at a place without a name: the scan's orientation is not known"
    offset = np.subtract(saliency.peak_mm, center_mm)
    half = float(np.abs(saliency.affine[:3, :3]).sum(axis=1).max()) / 2
    ways = (("right of", "left of"), ("in front of", "behind"), ("above", "below"))
    parts = [
        f"{round(abs(mm))} mm {words[int(mm < 0)]}"
        for mm, words in zip(offset.tolist(), ways, strict=True)
        if round(abs(mm)) > 0
    ]
    if not parts:
        return f"at the marked place (± {round(half)} mm)"
    first, *rest = parts
    return (
        ", ".join([f"{first} the marked place", *(f"{part} it" for part in rest)])
        + f" (± {round(half)} mm)"
    )


def is_head(body_part: str) -> bool:
    """Tell whether a part of the body has hemispheres."""
    return any(word in body_part.lower() for word in _BRAIN)


def _is_two_sided(saliency: Saliency, center: NDArray[np.float64]) -> bool:
    """Tell whether the mirror image of the peak is nearly as bright as the peak."""
    peak = np.array(saliency.peak_mm)
    mirrored = peak.copy()
    mirrored[0] = 2 * center[0] - peak[0]
    cell = np.rint(to_index(saliency.affine, mirrored)).astype(int)
    strength = saliency.strength
    here = np.unravel_index(int(strength.argmax()), strength.shape)
    inside = ((cell >= 0) & (cell < strength.shape)).all()
    if not inside or tuple(cell) == tuple(here):
        return False
    return bool(strength[tuple(cell)] >= _NEARLY * strength.max())


def _side(right: float, half_cell: float, noun: str, box: str) -> str:
    if abs(right) < half_cell / 2:
        return f"at the midline of the {box}"
    side = "right" if right > 0 else "left"
    return f"{side} {noun}, {round(abs(right))} mm from the midline of the {box}"


def _level(up: float) -> str:
    if round(abs(up)) == 0:
        return "level with its centre"
    return f"{round(abs(up))} mm {'above' if up > 0 else 'below'} its centre"
