"""Images that other programs put into the viewer: asked what they are, then scans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_resonance.errors import GeometryError
from napari_resonance.geometry import FloatArray
from napari_resonance.scan import Scan
from napari_resonance.viewer.frame import reversed_axes

MODALITIES = ("", "MR", "CT", "DX", "CR", "MG", "US", "PT", "NM", "XA")
"""DICOM codes that the panel offers, "" for a modality that is not known."""

ORIENTATIONS = {
    "Axial slices, from feet to head": "SPL",
    "Axial slices, from head to feet": "IPL",
    "Coronal slices, from front to back": "PIL",
    "Sagittal slices, from right to left": "LIP",
    "Axes in NIfTI order (x, y, z)": "RAS",
    "Not known": "",
}
"""What is offered: in words, and where the data's z, y and x grow to."""

_DIRECTIONS = {
    "R": (1, 0, 0),
    "L": (-1, 0, 0),
    "A": (0, 1, 0),
    "P": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}


@dataclass(frozen=True)
class PlainAnswers:
    """What the user says of a plain image: modality, and letters or ""."""

    modality: str = ""
    letters: str = ""


def scan_from_layer(layer: Any, answers: PlainAnswers) -> Scan:
    """Return the scan that a plain image layer shows.

    Voxel sizes come from the layer; its units are taken for mm where it has none.
    Colours in numbers from 0 to 1 become 8 bits.

    Parameters
    ----------
    layer
        napari image layer: ``(y, x)``, ``(z, y, x)`` or ``(t, z, y, x)``, grey or RGB.
    answers
        What the layer does not say.

    Raises
    ------
    GeometryError
        If the layer has other axes.

    """
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.ndim not in (2, 3, 4) or (layer.rgb and layer.ndim == 4):
        raise GeometryError(
            f"an image with {layer.ndim} axes is not a scan",
            remedy="Choose an image with 2, 3 or 4 axes",
        )
    if layer.rgb:
        data = data[..., :3]
        if data.dtype.kind == "f":  # napari's colours in numbers from 0 to 1
            data = (data.clip(0, 1) * 255).round().astype(np.uint8)
    if layer.ndim == 2:
        data = data[np.newaxis]
    voxels = data.transpose(2, 1, 0, 3) if layer.rgb else data.T
    world = _data_to_world(layer)
    oriented = bool(answers.letters)
    if oriented:
        affine = np.eye(4)
        affine[:3, :3] = _axes(answers.letters) @ world[:3, :3]
        affine[:3, 3] = _axes(answers.letters) @ world[:3, 3]
        affine = reversed_axes(affine)
    else:
        affine = np.diag([*np.linalg.norm(world[:3, :3], axis=0)[::-1], 1.0])
    return Scan(
        voxels=voxels,
        affine=affine,
        modality=answers.modality,
        color=bool(layer.rgb),
        oriented=oriented,
        warnings=("modality and orientation were given by hand",),
        meta={"series_description": layer.name},
    )


def _axes(letters: str) -> FloatArray:
    return np.array([_DIRECTIONS[c] for c in letters], np.float64).T


def _data_to_world(layer: Any) -> FloatArray:
    """Return 4×4: data index (z, y, x) to the layer's own world, in mm."""
    ndim = layer.ndim
    origin = np.array(layer.data_to_world((0,) * ndim))
    columns = [np.array(layer.data_to_world(tuple(e))) - origin for e in np.eye(ndim)]
    kept = min(ndim, 3)
    world = np.eye(4)
    start = 3 - kept
    linear = np.column_stack(columns)[-kept:, -kept:]
    to_mm = np.array([_mm(unit) for unit in layer.units[-kept:]])
    world[start:3, start:3] = to_mm[:, np.newaxis] * linear
    world[start:3, 3] = to_mm * origin[-kept:]
    return world


def _mm(unit: Any) -> float:
    if not unit.is_compatible_with("mm"):
        return 1.0
    return float((1 * unit).to("mm").magnitude)
