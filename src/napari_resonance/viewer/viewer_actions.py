"""What the panel does to the viewer: add scans, show or keep a result, move in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.geometry import to_index, to_world
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.findings import findings_of, next_place
from napari_resonance.viewer.fitting import fit_to_view
from napari_resonance.viewer.layers import LayerData
from napari_resonance.viewer.records import KEY, Run, maps_of, record_of
from napari_resonance.viewer.showing import (
    hide_map,
    hide_other_scans,
    put_away,
    show_only,
)

if TYPE_CHECKING:
    import napari

    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.viewer.classification import Classified
    from napari_resonance.viewer.frame_keeper import FrameKeeper
    from napari_resonance.viewer.measuring import Measured


def add_scans(viewer: napari.viewer.Viewer, layers: Sequence[LayerData]) -> list[Any]:
    """Add the layers of scans; the first is shown and selected, the others hidden."""
    attach(viewer)
    added: list[Any] = []
    for data in layers:
        if not added:
            hide_other_scans(viewer, data[1]["metadata"][KEY])
        added.append(add_layer(viewer, data, visible=not added))
    if added:
        show_only(viewer, added[0])
        fit_to_view(viewer, added[0])
    return added


def add_layer(
    viewer: napari.viewer.Viewer, data: LayerData, *, visible: bool = True
) -> Any:
    """Add one layer from its data."""
    from napari.layers import Layer

    values, settings, kind = data
    return viewer.add_layer(Layer.create(values, settings | {"visible": visible}, kind))


def show_result(viewer: napari.viewer.Viewer, result: Classified, picked: Any) -> bool:
    """Add the map of a result above its scan and go to its peak.

    Parameters
    ----------
    viewer
        Where the scan is shown.
    result
        The answer and its layers.
    picked
        The layer that was classified; a plain image is hidden and replaced by a layer
        that lies where it should.

    Returns
    -------
    bool
        False where the scan was closed in the meantime, so that nothing was shown.

    """
    if picked not in viewer.layers:
        return False
    if result.scan_layer is not None:
        picked.visible = False
        picked = add_layer(viewer, result.scan_layer)
    keep_answer(picked, result)
    keeper = attach(viewer)
    show_only(viewer, picked)
    _add_map(viewer, result, picked)
    viewer.layers.selection.active = picked
    go_to_peak(keeper, result.prediction)
    keeper.changed.emit()
    return True


def keep_result(viewer: napari.viewer.Viewer, result: Classified, layer: Any) -> None:
    """Keep the answer for a scan that is not shown; its map is there once it is.

    Parameters
    ----------
    viewer
        Which has the scan.
    result
        The answer and its layers.
    layer
        Of the scan; a plain image keeps its answer alone.

    """
    keep_answer(layer, result)
    if result.scan_layer is not None:
        return
    selected = viewer.layers.selection.active
    shown = _add_map(viewer, result, layer, visible=False)
    if shown is not None:
        put_away(shown)
    viewer.layers.selection.active = selected


def _add_map(
    viewer: napari.viewer.Viewer,
    result: Classified,
    scan: Any,
    *,
    visible: bool = True,
) -> Any | None:
    """Add the map of a result, if it has one, in the place of those before it."""
    _make_room(viewer, result)
    if result.saliency is None:
        return None
    shown = add_layer(viewer, result.saliency, visible=visible)
    shown.colorbar.visible = True
    # napari numbers a name that the map of another scan has already.
    if shown.name != result.saliency[1]["name"]:
        shown.name = f"{result.saliency[1]['name']} · {scan.name}"
    return shown


def keep_answer(layer: Any, result: Classified) -> None:
    """Write an answer into the record of its scan's layer.

    An answer with another map takes the place of the one it was made from.
    """
    record = record_of(layer)
    if record is None:
        return
    runs = list(record.runs)
    shown = [run for run in runs if run.prediction is result.prediction]
    if not shown:
        if runs and result.asked is not None and result.asked is record.asked:
            runs.pop()
        ended = datetime.now().isoformat(timespec="milliseconds")
        runs.append(Run(result.prediction, result.place, ended))
    layer.metadata[KEY] = replace(
        record,
        prediction=result.prediction,
        place=result.place,
        runs=tuple(runs),
        asked=result.asked or record.asked,
    )


def keep_measured(layer: Any, measured: Measured) -> None:
    """Write what was measured of an answer's map into its scan's record."""
    record = record_of(layer)
    if record is None:
        return
    runs = tuple(
        replace(run, prediction=measured.prediction, residual=measured.residual)
        if run.prediction is measured.before
        else run
        for run in record.runs
    )
    shown = record.prediction
    if shown is measured.before:
        shown = measured.prediction
    layer.metadata[KEY] = replace(record, prediction=shown, runs=runs)


def go_to_slice(keeper: FrameKeeper, prediction: Prediction | None, k: int) -> None:
    """Move to slice `k` of the network's input, at the place in it where one is."""
    saliency = None if prediction is None else prediction.saliency
    if saliency is not None:
        affine = saliency.extent[1]
        here = keeper.place_mm
        index = np.zeros(3) if here is None else to_index(affine, here)
        keeper.go_to(to_world(affine, (*index[:2], k)))


def saliency_of(viewer: napari.viewer.Viewer, layer: Any) -> Any | None:
    """Return the topmost map that is shown for a scan's layer."""
    record = record_of(layer)
    maps = [] if record is None else maps_of(viewer.layers, record.scan)
    return next((other for other, _ in reversed(maps) if other.visible), None)


def go_to_peak(keeper: FrameKeeper, prediction: Prediction | None) -> None:
    """Move the sliders to where an answer's map is highest, if it has a peak."""
    saliency = None if prediction is None else prediction.saliency
    if saliency is not None and not saliency.is_empty:
        keeper.go_to(saliency.peak_mm)


def step_finding(viewer: napari.viewer.Viewer, step: int) -> None:
    """Go to the next or previous place that the map of the shown scan points to."""
    keeper = attach(viewer)
    record = keeper.current
    here = keeper.place_mm
    if record is None or here is None or record.prediction is None:
        return
    place = next_place(findings_of(record.prediction.saliency), here, step)
    if place is not None:
        keeper.go_to(place)


def _make_room(viewer: napari.viewer.Viewer, result: Classified) -> None:
    """Hide earlier maps of a scan, and remove the one that a new one replaces."""
    replaces = result.saliency is not None
    for layer, record in maps_of(viewer.layers, result.scan):
        if replaces and _same_map(record.prediction, result.prediction):
            viewer.layers.remove(layer)
        else:
            hide_map(layer)


def _same_map(one: Prediction | None, other: Prediction) -> bool:
    """Tell whether the maps of two answers were made alike; names may be numbered."""
    maps = [None if p is None else p.saliency for p in (one, other)]
    kinds = [None if m is None else (m.method, m.layer, m.claim) for m in maps]
    return kinds[0] is not None and kinds[0] == kinds[1]
