"""Places that are marked in the viewer, as regions of the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.geometry import FloatArray, reorient, to_world, unshear
from napari_resonance.scan import Scan
from napari_resonance.viewer.records import KEY, LayerRecord, record_of

if TYPE_CHECKING:
    from napari_resonance.preprocessing import Recipe
    from napari_resonance.viewer.frame import ViewerFrame
    from napari_resonance.viewer.layers import LayerData

Millimetres = tuple[float, float, float]

PLACES, BOX = "Marked places", "Marked box"


@dataclass(frozen=True)
class Region:
    """Where a model shall look.

    Parameters
    ----------
    center_mm
        Its middle, RAS+ mm.
    box_mm
        Its size along the axes of the network's grid; None for the model's own.

    """

    center_mm: Millimetres
    box_mm: Millimetres | None = None


def mark_layer(scan: Scan, frame: ViewerFrame, ndim: int, kind: str) -> LayerData:
    """Return an empty layer to mark places of a scan in.

    Parameters
    ----------
    scan
        What is marked.
    frame
        The viewer's frame; the layer follows it from then on.
    ndim
        Axes of the viewer: 3, or 4 with time.
    kind
        ``"points"`` or ``"shapes"``.

    """
    record = LayerRecord(scan, frame.to_ras, "mark")
    settings: dict[str, Any] = {
        "name": PLACES if kind == "points" else BOX,
        "ndim": ndim,
        "units": ("s",) * (ndim - 3) + ("mm",) * 3,
        "metadata": {KEY: record},
    }
    if kind == "points":
        settings |= {"size": 6.0, "symbol": "cross", "face_color": "#59d8e6"}
    else:
        look = {"edge_color": "#59d8e6", "face_color": "transparent"}
        settings |= look | {"edge_width": 1.0}
    return None, settings, kind


def region_in(layer: Any, recipe: Recipe) -> Region | None:
    """Return the region that a layer of marks names: its last point, or its last box.

    A box is drawn on one slice; it is as deep as its longer side.

    Parameters
    ----------
    layer
        Points or Shapes layer made by `mark_layer`.
    recipe
        Of the model, whose axes the size of the box is counted along.

    """
    record = record_of(layer)
    if record is None or record.role != "mark" or not len(layer.data):
        return None
    corners = np.atleast_2d(np.asarray(layer.data[-1], np.float64))[:, -3:]
    center = _millimetres(to_world(record.affine, corners.mean(axis=0)))
    if len(corners) == 1:
        return Region(center)
    sides = np.ptp(corners, axis=0)
    sides[sides.argmin()] = sides.max()
    along = np.abs(_network_axes(record.scan, recipe).T @ record.affine[:3, :3])
    return Region(center, _millimetres(sides[along.argmax(axis=1)]))


def _network_axes(scan: Scan, recipe: Recipe) -> FloatArray:
    """Return 3×3: the directions of the network's axes in its columns."""
    voxels = np.zeros((1, 1, 1), np.uint8)
    probe = unshear(Scan(voxels, scan.affine, oriented=scan.oriented))
    affine = probe.affine
    code = dict(recipe.steps).get("orient", {}).get("code")
    if code and scan.oriented:
        _, affine = reorient(probe.voxels, affine, code)
    axes: FloatArray = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return axes


def _millimetres(values: FloatArray) -> Millimetres:
    x, y, z = (float(v) for v in values)
    return x, y, z
