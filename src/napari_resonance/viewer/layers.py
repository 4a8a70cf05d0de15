"""Scan and Saliency -> napari layers: data, affine, units, contrast and colours.

Nothing here touches a viewer, so all of it may run in a worker.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.display import display_range, full_color, is_inverted
from napari_resonance.errors import GeometryError
from napari_resonance.export.wording import title_of
from napari_resonance.geometry import FloatArray, Grid, resample, unshear
from napari_resonance.scan import Scan
from napari_resonance.viewer.frame import (
    ViewerFrame,
    embedded,
    frame_of_scan,
    reversed_axes,
)
from napari_resonance.viewer.map_colors import DEFAULT_THRESHOLD, saliency_colormap
from napari_resonance.viewer.map_grid import drawing_grid
from napari_resonance.viewer.naming import axis_labels, scan_name
from napari_resonance.viewer.records import KEY, LayerRecord
from napari_resonance.viewer.windows import Window, windows_of

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction

LayerData = tuple[Any, dict[str, Any], str]

DEFAULT_OPACITY = 0.6

# Enough voxels for a steady 99.5th percentile, few enough to take no time.
_SAMPLED_VOXELS = 500_000
_SAMPLED_PLANES = 5


def scan_layer(scan: Scan) -> LayerData:
    """Return the layer that shows a scan, in the frame of the scan itself.

    A sheared scan is shown resampled onto right angles; every other one is a view of
    its own voxels, in physical values.
    """
    shown = unshear(scan)
    frame = frame_of_scan(shown.affine, oriented=shown.oriented)
    data, affine = _placed(_physical(shown), shown.affine, frame)
    if shown.n_times > 1:
        data = data.transpose(3, 0, 1, 2)
    if _is_lazy(data):
        import dask

        # Its steps joined once, which else is done again for every plane shown.
        (data,) = dask.optimize(data)  # type: ignore[attr-defined, no-untyped-call]
    settings = {"name": scan_name(scan), "rgb": scan.color, "interpolation2d": "linear"}
    span = None
    windows: tuple[Window, ...] = ()
    if not scan.color:
        sampled = _sampled(data)
        span = _span(sampled)
        windows = windows_of(scan.modality, scan.meta, sampled)
        settings["contrast_limits"] = display_range(scan, [sampled])
        settings["colormap"] = "gray_r" if is_inverted(scan) else "gray"
    record = LayerRecord(scan, affine, value_range=span, windows=windows)
    return data, settings | _place_settings(data, record, frame), "image"


def saliency_layer(scan: Scan, prediction: Prediction) -> LayerData:
    """Return the layer that shows where the network looked.

    Drawn on its own cells, divided, with linear interpolation between their centres;
    at the centres are the map's own values. Nothing is drawn where the network saw
    nothing.

    Raises
    ------
    GeometryError
        If the prediction has no saliency map.

    """
    saliency = prediction.saliency
    if saliency is None:
        raise GeometryError("the prediction carries no saliency map")
    straight = _right_angled(scan.affine)
    grid = drawing_grid(saliency, straight)
    values = resample(saliency.shown, saliency.affine, grid, antialias=False)
    shown = unshear(Scan(values, grid.affine, oriented=scan.oriented))
    frame = frame_of_scan(straight, oriented=scan.oriented)
    data, affine = _placed(np.asarray(shown.voxels), shown.affine, frame)
    peak = float(np.abs(data).max()) or 1.0
    both = saliency.sign == "both"
    settings = {
        "name": title_of(saliency),
        "colormap": saliency_colormap(saliency.sign),
        "contrast_limits": (-peak if both else DEFAULT_THRESHOLD * peak, peak),
        "opacity": DEFAULT_OPACITY,
        "blending": "translucent_no_depth",
        "interpolation2d": "linear",
    }
    lowest = -peak if both else 0.0
    record = LayerRecord(scan, affine, "saliency", (lowest, peak), prediction)
    return data, settings | _place_settings(data, record, frame), "image"


def resampled_layer(record: LayerRecord, view: Scan) -> LayerData:
    """Return a scan's layer resampled once onto the grid of the scan that is viewed.

    Of a time series the first volume. Values outside the scan are its lowest; outside
    of colours it is black.
    """
    straight = unshear(view)
    target = Grid(straight.grid_shape, straight.affine)
    values = record.scan.values()
    if record.scan.color:
        values *= np.float32(255 / full_color(record.scan))
    lowest = 0.0 if record.scan.color else float(np.nanmin(values))
    moved = resample(values, record.scan.affine, target, outside=lowest)
    scan = replace(
        record.scan,
        voxels=np.asfortranarray(moved),
        affine=target.affine,
        slope=1.0,
        intercept=0.0,
        warnings=(*record.scan.warnings, "resampled to the view of another scan"),
    )
    data, settings, kind = scan_layer(scan)
    return data, settings | {"name": f"{scan_name(record.scan)}, resampled"}, kind


def _placed(
    array: NDArray[Any], affine: FloatArray, frame: ViewerFrame
) -> tuple[NDArray[Any], FloatArray]:
    """Return data ``(z, y, x, ...)`` along the frame, and their affine to RAS+ mm."""
    view, placed = frame.upright(array, affine)
    rest = tuple(range(3, view.ndim))
    return view.transpose((2, 1, 0, *rest)), reversed_axes(placed)


def _place_settings(
    data: NDArray[Any], record: LayerRecord, frame: ViewerFrame
) -> dict[str, Any]:
    ndim = data.ndim - int(record.is_color)
    spatial = record.spatial_shape(data)
    return {
        "affine": embedded(frame.express(record.affine, spatial), ndim),
        # One layer without units would switch them off for all.
        "units": ("s",) * (ndim - 3) + ("mm",) * 3,
        "axis_labels": ("time",) * (ndim - 3) + axis_labels(frame),
        "metadata": {KEY: record},
    }


def _right_angled(affine: FloatArray) -> FloatArray:
    probe = Scan(np.zeros((1, 1, 1), np.uint8), affine)
    return unshear(probe).affine


def _physical(scan: Scan) -> Any:
    """Return voxels in physical values, as whole numbers where they are whole."""
    voxels = _drawable(scan.voxels)
    white = full_color(scan) if scan.color else 0.0
    if scan.color and (white > 255 or voxels.dtype.kind == "f"):
        # napari takes 16 bits for all used, of which a file may use 12.
        return np.rint((voxels * (255 / white)).clip(0, 255)).astype(np.uint8)
    if scan.color or (scan.slope == 1 and scan.intercept == 0):
        return voxels
    # The ends of lazy ones, which tell how many bits hold them, are not known.
    whole = not _is_lazy(voxels)
    whole = whole and scan.slope.is_integer() and scan.intercept.is_integer()
    if voxels.dtype.kind in "iu" and voxels.dtype.itemsize <= 2 and whole:
        return _whole_values(voxels, int(scan.slope), int(scan.intercept))
    values = voxels * np.float32(scan.slope) + np.float32(scan.intercept)
    return values.astype(np.float32)


def _drawable(voxels: Any) -> Any:
    """Return voxels of a type that OpenGL textures can be made of."""
    if voxels.dtype.kind == "b":
        return voxels.astype(np.uint8)
    if voxels.dtype == np.float16:
        return voxels.astype(np.float32)
    if not voxels.dtype.isnative:
        return voxels.astype(voxels.dtype.newbyteorder("="))
    return voxels


def _whole_values(voxels: Any, slope: int, intercept: int) -> Any:
    """Return slope × stored + intercept, in 16 bits where they hold it."""
    ends = [slope * int(end()) + intercept for end in (voxels.min, voxels.max)]
    limits = np.iinfo(np.int16)
    numbers = (slope, intercept, *ends)
    fits = limits.min <= min(numbers) and max(numbers) <= limits.max
    # Steps between may wrap around in 16 bits; the sum is right again.
    values = voxels.astype(np.int16 if fits else np.int32)
    values *= slope
    values += intercept
    return values


def _sampled(data: Any) -> NDArray[np.float32]:
    if _is_lazy(data):
        # A few planes, of the first time point, are all that is read for it.
        while data.ndim > 3:
            data = data[0]
        planes = np.unique(np.linspace(0, len(data) - 1, _SAMPLED_PLANES).astype(int))
        return np.asarray([np.asarray(data[k]) for k in planes], np.float32)
    step = max(1, round((data.size / _SAMPLED_VOXELS) ** (1 / 3)))
    return np.asarray(data[..., ::step, ::step, ::step], np.float32)


def _is_lazy(data: Any) -> bool:
    """Tell whether an array is computed when asked for."""
    return hasattr(data, "dask")


def _span(values: NDArray[np.float32]) -> tuple[float, float] | None:
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() == finite.max():
        return None
    return float(finite.min()), float(finite.max())
