"""The peak of a saliency map in words."""

from __future__ import annotations

import numpy as np

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.geometry import to_world

_BRAIN = ("head", "brain")


def describe_place(saliency: Saliency, body_part: str = "brain") -> str:
    """Say where the largest value lies, in the patient's directions.

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
    if not saliency.values.max() > 0:
        return f"nowhere: nothing in the scan speaks for {saliency.target}"
    shape, affine = saliency.extent
    center = to_world(affine, (np.array(shape) - 1) / 2)
    right, _, up = (float(v) for v in np.array(saliency.peak_mm) - center)
    # Half the width of a cell along the patient's axes, oblique cells included.
    half_x, _, half_z = np.abs(saliency.affine[:3, :3]).sum(axis=1) / 2
    part = body_part.lower()
    in_head = any(word in part for word in _BRAIN)
    box = "head box" if in_head else "region seen"
    sideways = _side(right, float(half_x), "hemisphere" if in_head else "half", box)
    return f"{sideways}, {_level(up)} (± {round(max(half_x, half_z))} mm)"


def _side(right: float, half_cell: float, noun: str, box: str) -> str:
    if abs(right) < half_cell / 2:
        return f"at the midline of the {box}"
    side = "right" if right > 0 else "left"
    return f"{side} {noun}, {round(abs(right))} mm from the midline of the {box}"


def _level(up: float) -> str:
    if round(abs(up)) == 0:
        return "level with its centre"
    return f"{round(abs(up))} mm {'above' if up > 0 else 'below'} its centre"
