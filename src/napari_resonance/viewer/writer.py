"""napari's way out: File > Save Selected Layers as NIfTI, at the true place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.errors import ExportError
from napari_resonance.geometry import FloatArray
from napari_resonance.scan import Scan
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.frame import reversed_axes
from napari_resonance.viewer.records import KEY, LayerRecord

if TYPE_CHECKING:
    from napari_resonance.viewer.frame import ViewerFrame


def write_nifti(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one image or labels layer.

    A scan of ours is written as it was stored, with its answers in a file beside it,
    a saliency map on its own grid. What was
    drawn or opened by others, such as labels on a scan, lies where it lies in the view;
    without a scan in the view it has spacings, but no orientation.

    Parameters
    ----------
    path
        Ends in ``.nii`` or ``.nii.gz``.
    data
        The layer's data.
    meta
        The layer's settings, as napari gives them.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    ExportError
        If NIfTI cannot hold the layer, or the file cannot be written.

    """
    from napari import current_viewer

    from napari_resonance.export.nifti import write_saliency, write_scan
    from napari_resonance.viewer.kept_answers import save_answers

    record = meta.get("metadata", {}).get(KEY)
    if not isinstance(record, LayerRecord):
        viewer = current_viewer()
        frame = None if viewer is None else attach(viewer).frame
        write_scan(scan_of(data, meta, frame), path)
    elif record.role == "scan":
        write_scan(record.scan, path)
        save_answers(record.runs, Path(path))
    elif record.prediction is not None and record.prediction.saliency is not None:
        write_saliency(record.prediction.saliency, path)
    else:
        raise ExportError("this layer has nothing that could be written", source=path)
    return [path]


def scan_of(data: Any, meta: dict[str, Any], frame: ViewerFrame | None) -> Scan:
    """Return a layer without a scan behind it as one.

    Parameters
    ----------
    data
        ``(y, x)``, ``(z, y, x)`` or ``(t, z, y, x)``.
    meta
        The layer's settings.
    frame
        What the world's z, y and x are in the patient; None if nobody knows.

    Raises
    ------
    ExportError
        If it is in colour, has more axes, or shows several resolutions.

    """
    if meta.get("rgb") or getattr(data, "ndim", 0) not in (2, 3, 4):
        raise ExportError(
            "only grey images and labels of 2 to 4 axes can be written as NIfTI"
        )
    voxels = np.asarray(data)
    to_world = _to_world(meta, voxels.ndim)
    if voxels.ndim == 2:
        voxels = voxels[None]
    if voxels.dtype.name in ("int64", "uint64") and voxels.max() < np.iinfo("i4").max:
        # Most readers of NIfTI know no integers of 64 bits.
        voxels = voxels.astype(np.int32)
    to_ras: FloatArray = np.eye(4)
    if frame is not None:
        to_ras[:3, :3] = frame.axes.T
    else:
        to_ras[:3, :3] = to_ras[:3, 2::-1]
    affine = reversed_axes(to_ras @ to_world)
    return Scan(voxels.T, affine, oriented=frame is not None and frame.oriented)


def _to_world(meta: dict[str, Any], ndim: int) -> Any:
    """Return the 4×4 affine from index (z, y, x) to napari's world."""
    from napari.utils.transforms import Affine

    names = ("scale", "translate", "rotate", "shear")
    own = {name: meta[name] for name in names if meta.get(name) is not None}
    matrix = Affine(ndim=ndim, **own).affine_matrix
    if meta.get("affine") is not None:
        matrix = np.asarray(meta["affine"]) @ matrix
    n = min(ndim, 3)
    whole = np.eye(4)
    whole[-n - 1 :, -n - 1 :] = matrix[-n - 1 :, -n - 1 :]
    return whole
