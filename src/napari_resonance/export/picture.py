"""A prediction as one picture: the scan, where the network looked, what it said."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.display import display_range
from napari_resonance.export import legend
from napari_resonance.export.atomic import replacing
from napari_resonance.export.overlay import Overlay, blended, grey_levels
from napari_resonance.export.planes import (
    Plane,
    center_of,
    inside,
    planes_through,
    sample_saliency,
    sample_scan,
)
from napari_resonance.export.scripts import any_script

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.scan import Scan

DPI = 100
LONGEST_PX = {1: 760, 3: 560}  # by the number of planes
LEGEND_PX = (500, 540)  # width and height that the words need
MARGIN_PX = 14
FOOT_PX = 52
LEAST_PX = (270, 120)  # what name and letters of a plane need, were it a thin strip

_CROSS = "#59d8e6"
_NICE_MM = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class _Box:
    """Pixels of the picture, counted from its top left corner."""

    left: int
    top: int
    width: int
    height: int


@any_script()
def write_picture(
    scan: Scan, prediction: Prediction, path: str | PathLike[str]
) -> None:
    """Write a PNG: planes through the peak of the saliency, and the answer in words.

    A volume is shown in three orthogonal planes along its own axes, at one scale in
    true millimetres, a single image in its own plane; without saliency they go through
    the centre. Body planes are drawn in radiological convention. Nothing that names
    the patient is shown, the file name neither.

    Parameters
    ----------
    scan
        The scan that was classified.
    prediction
        The answer; what the sign of its saliency, if any, chooses is laid over it.
    path
        The PNG file; an existing one is replaced.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    from matplotlib.figure import Figure

    overlay = Overlay.of(prediction.saliency)
    point = center_of(scan)
    if prediction.saliency is not None and overlay is not None:
        point = inside(scan, prediction.saliency.peak_mm)
    planes = planes_through(scan, point, LONGEST_PX[1 if 1 in scan.grid_shape else 3])
    boxes, words, size = _layout(planes)
    figure = Figure(
        figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor=legend.BACKGROUND
    )
    images = _drawn(scan, prediction, planes, overlay)
    for plane, (image, evidence), box in zip(planes, images, boxes, strict=True):
        axes = _axes(figure, box, size)
        axes.imshow(image, interpolation="nearest", aspect="auto")
        _outline(axes, evidence, overlay)
        _annotate(axes, plane)
    _scale_bar(figure.axes[0], planes[0], scan)
    facts = legend.Facts(scan, prediction, point, overlay)
    legend.draw(_axes(figure, words, size), facts)
    legend.draw_foot(figure, size, legend.describe_scan(scan, planes))
    with replacing(path) as temporary:
        figure.savefig(
            temporary, format="png", metadata={"Software": "napari-resonance"}
        )


def thumbnail(scan: Scan, prediction: Prediction, longest_px: int) -> bytes:
    """Return a small PNG: the first plane through the peak of the map, no words.

    Parameters
    ----------
    scan, prediction
        As `write_picture` takes them.
    longest_px
        Of the picture's sides.

    """
    from matplotlib.image import imsave

    overlay = Overlay.of(prediction.saliency)
    point = center_of(scan)
    if prediction.saliency is not None and overlay is not None:
        point = inside(scan, prediction.saliency.peak_mm)
    planes = planes_through(scan, point, longest_px)[:1]
    ((image, _),) = _drawn(scan, prediction, planes, overlay)
    file = io.BytesIO()
    software = {"Software": "napari-resonance"}
    imsave(file, np.clip(image, 0, 1), format="png", metadata=software)
    return file.getvalue()


def _drawn(
    scan: Scan,
    prediction: Prediction,
    planes: Sequence[Plane],
    overlay: Overlay | None,
) -> list[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
    """Return RGB ``(rows, columns, 3)`` in 0–1 and the evidence for each plane."""
    sampled = [sample_scan(scan, plane) for plane in planes]
    limits = display_range(scan, [values[covered] for values, covered in sampled])
    images: list[tuple[NDArray[np.float32], NDArray[np.float32] | None]] = []
    for plane, (values, covered) in zip(planes, sampled, strict=True):
        image = grey_levels(values, covered, scan, limits)
        evidence = None
        if overlay is not None and prediction.saliency is not None:
            raw, seen = sample_saliency(prediction.saliency, plane)
            evidence = np.where(seen & covered, raw, 0).astype(np.float32)
            image = blended(image, evidence, overlay)
        images.append((image, evidence))
    return images


def _layout(
    planes: Sequence[Plane],
) -> tuple[list[_Box], _Box, tuple[int, int]]:
    """Place planes and words; return their boxes and the size of the picture.

    Coronal and axial plane stand above each other, coronal and sagittal side by side,
    so that the cross-hair continues from one into the next. The words fill the corner.
    """
    sizes = [
        (max(plane.size[0], LEAST_PX[0]), max(plane.size[1], LEAST_PX[1]))
        for plane in planes
    ]
    if len(planes) == 1:
        columns = (sizes[0][0], LEGEND_PX[0])
        rows = [max(sizes[0][1], LEGEND_PX[1])]
        cells = [(0, 0)]
    else:
        axial, coronal, sagittal = sizes
        columns = (axial[0], max(sagittal[0], LEGEND_PX[0]))
        rows = [coronal[1], max(axial[1], LEGEND_PX[1])]
        cells = [(0, 1), (0, 0), (1, 0)]
    lefts = (MARGIN_PX, 2 * MARGIN_PX + columns[0])
    tops = (MARGIN_PX, 2 * MARGIN_PX + rows[0])
    boxes = [
        _Box(lefts[column], tops[row], *size)
        for (column, row), size in zip(cells, sizes, strict=True)
    ]
    words = _Box(lefts[1], tops[len(rows) - 1], columns[1], rows[-1])
    total = lefts[1] + columns[1] + MARGIN_PX
    return boxes, words, (total, words.top + words.height + FOOT_PX)


def _axes(figure: Figure, box: _Box, size: tuple[int, int]) -> Axes:
    """Return axes without frame that cover exactly the pixels of a box."""
    width, height = size
    bottom = height - box.top - box.height
    place = (box.left / width, bottom / height, box.width / width, box.height / height)
    axes = figure.add_axes(place)
    axes.set_axis_off()
    return axes


def _outline(
    axes: Axes, evidence: NDArray[np.float32] | None, overlay: Overlay | None
) -> None:
    """Draw a line round the evidence above half of the strongest."""
    if evidence is None or overlay is None or min(evidence.shape) < 2:
        return
    half = overlay.top / 2
    strength = np.abs(evidence)
    if strength.min() < half < strength.max():
        width, color = legend.HALF_LINE
        axes.contour(strength, [half], colors=color, linewidths=width, alpha=0.8)


def _annotate(axes: Axes, plane: Plane) -> None:
    """Draw cross-hair, orientation letters and the name of the plane."""
    width, height = plane.size
    column, row = plane.cross
    gap = 0.04 * max(plane.size)
    line: dict[str, Any] = {"color": _CROSS, "linewidth": 0.8, "alpha": 0.75}
    axes.hlines(row, -0.5, max(column - gap, -0.5), **line)
    axes.hlines(row, min(column + gap, width - 0.5), width - 0.5, **line)
    axes.vlines(column, -0.5, max(row - gap, -0.5), **line)
    axes.vlines(column, min(row + gap, height - 0.5), height - 0.5, **line)
    _fit(axes, plane)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    legend.say(
        axes, left + 8, top + 8, plane.name, size=10, color=legend.DIM, edge=True
    )
    middle = (left + right) / 2, (top + bottom) / 2
    places = (
        (left + 10, middle[1], "left", "center"),
        (right - 10, middle[1], "right", "center"),
        (middle[0], top + 10, "center", "top"),
        (middle[0], bottom - 10, "center", "bottom"),
    )
    for letter, (x, y, ha, va) in zip(plane.letters or (), places, strict=False):
        legend.say(axes, x, y, letter, size=13, weight="bold", ha=ha, va=va, edge=True)


def _fit(axes: Axes, plane: Plane) -> None:
    """Show one pixel of the plane on one of the picture, a thin strip in the middle."""
    box = axes.get_window_extent()
    spare = [round(box.width) - plane.size[0], round(box.height) - plane.size[1]]
    left, top = (-0.5 - n // 2 for n in spare)
    axes.set_xlim(left, left + round(box.width))
    axes.set_ylim(top + round(box.height), top)


def _scale_bar(axes: Axes, plane: Plane, scan: Scan) -> None:
    """Draw a length of round millimetres; not where the file gives no geometry."""
    if not scan.oriented:
        return
    (left, right), bottom = axes.get_xlim(), axes.get_ylim()[0]
    step = float(np.linalg.norm(plane.grid.affine[:3, 0]))
    fitting = [mm for mm in _NICE_MM if mm / step <= (right - left) / 3]
    length = (fitting or _NICE_MM)[-1 if fitting else 0]
    start = left + 12
    line: dict[str, Any] = {"color": legend.TEXT, "linewidth": 2.5}
    axes.hlines(bottom - 14, start, start + length / step, **line)
    text: dict[str, Any] = {"size": 9, "va": "bottom", "edge": True}
    legend.say(axes, start, bottom - 20, f"{length} mm", **text)
