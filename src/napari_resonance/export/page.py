"""A prediction as one HTML page to scroll through: the scan, the map, the answer."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.export.cube import Cube
from napari_resonance.export.legend import describe_scan, names_a_file
from napari_resonance.export.overlay import Overlay
from napari_resonance.export.planes import center_of, inside, planes_through
from napari_resonance.export.templating import html_template, write_html
from napari_resonance.export.wording import (
    RESEARCH_USE,
    certainty,
    percent,
    place_mm,
    reservations,
    title_of,
    unit_of,
    why_unsure,
)

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.scan import Scan

# Most voxels along a side: a page of a few megabytes.
_MOST = {1: 640, 3: 160}


def write_page(
    scan: Scan,
    prediction: Prediction,
    path: str | PathLike[str],
    regions: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write an HTML file in which a scan and its map can be scrolled through.

    It holds all it needs and loads nothing; a policy in the page forbids it to. Three
    orthogonal planes follow one another, in radiological convention. Nothing that names
    the patient is in it, the file name neither; the scan's voxels are, at most 160
    along a side.

    Parameters
    ----------
    scan
        The scan that was classified.
    prediction
        The answer; its saliency, if any, can be laid over the scan.
    path
        The file; an existing one is replaced.
    regions
        Entries of ``saliency.regions.Region.to_json``, the strongest first.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    overlay = Overlay.of(prediction.saliency)
    point = center_of(scan)
    if overlay is not None and prediction.saliency is not None:
        point = inside(scan, prediction.saliency.peak_mm)
    warnings = [w for w in prediction.warnings if not names_a_file(w, scan, prediction)]
    template = html_template(
        "napari_resonance.export", "page.html", percent=percent, place=place_mm
    )
    text = template.render(
        notice=RESEARCH_USE,
        p=prediction,
        certainty=certainty(prediction),
        why=why_unsure(prediction),
        title="" if prediction.saliency is None else title_of(prediction.saliency),
        unit="" if prediction.saliency is None else unit_of(prediction.saliency),
        overlay=overlay,
        reservations=reservations(prediction),
        curves=_curves(prediction),
        regions=regions,
        oriented=scan.oriented,
        warnings=warnings,
        scan_lines=describe_scan(scan, planes_through(scan, point, 8)).split("\n"),
        data=_data(scan, prediction, overlay, point),
    )
    write_html(path, text)


def _data(
    scan: Scan,
    prediction: Prediction,
    overlay: Overlay | None,
    point: tuple[float, float, float],
) -> dict[str, Any]:
    """Return what the page's script draws from."""
    cube = Cube.around(scan, _MOST[1 if 1 in scan.grid_shape else 3])
    columns, rows, slices = cube.grid.shape
    across = math.ceil(math.sqrt(slices * rows / columns))
    evidence, colors = "", []
    if overlay is not None and prediction.saliency is not None:
        levels = cube.evidence(prediction.saliency, overlay)
        evidence = _png(_tiled(np.repeat(levels[..., None], 3, axis=-1), across))
        values = (np.arange(256) - 128) / 127 * overlay.top
        rgb, opacity = overlay.colors(values.astype(np.float32))
        lut = np.concatenate([rgb * 255, opacity * 255], axis=-1)
        colors = np.round(lut).astype(int).tolist()
    return {
        "size": [columns, rows, slices],
        "across": across,
        "planes": [{"name": name, "letters": letters} for name, letters in cube.planes],
        "affine": cube.grid.affine.tolist(),
        "oriented": scan.oriented,
        "start": cube.voxel_at(point),
        "anatomy": _png(_tiled(cube.anatomy(scan), across)),
        "evidence": evidence,
        "colors": colors,
        "top": None if overlay is None else overlay.top,
        "bottom": None if overlay is None else overlay.bottom,
    }


def _tiled(slices: NDArray[np.uint8], across: int) -> NDArray[np.uint8]:
    """Lay slices ``(slice, row, column, 3)`` beside and below each other."""
    n, rows, columns, _ = slices.shape
    down = math.ceil(n / across)
    sheet = np.zeros((down * rows, across * columns, 3), np.uint8)
    for z, image in enumerate(slices):
        y, x = divmod(z, across)
        sheet[y * rows : (y + 1) * rows, x * columns : (x + 1) * columns] = image
    return sheet


def _png(image: NDArray[np.uint8]) -> str:
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, image, format="png", metadata={"Software": "napari-resonance"})
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _curves(prediction: Prediction) -> dict[str, str]:
    """Return the points of the deletion and insertion curves, in a box of 100 × 60."""
    saliency = prediction.saliency
    measured = None if saliency is None else saliency.faithfulness
    if measured is None:
        return {}
    found = {}
    for name in ("deletion", "insertion"):
        values = measured[name]
        xs = np.linspace(0, 100, len(values))
        pairs = zip(xs, values, strict=True)
        found[name] = " ".join(f"{x:.1f},{60 - 60 * y:.1f}" for x, y in pairs)
    return found
