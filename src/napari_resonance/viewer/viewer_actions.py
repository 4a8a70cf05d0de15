"""What the panel does to the viewer: add scans, show a result, show one scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from napari_resonance.geometry import to_index, to_world
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.findings import findings_of, next_place
from napari_resonance.viewer.fitting import fit_to_view
from napari_resonance.viewer.layers import LayerData
from napari_resonance.viewer.records import KEY, LayerRecord, Run, is_scan, record_of

if TYPE_CHECKING:
    import napari

    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.viewer.classification import Classified
    from napari_resonance.viewer.frame_keeper import FrameKeeper
    from napari_resonance.viewer.measuring import Measured

# Maps that were shown when their scan was hidden with them.
_PUT_AWAY: WeakSet[Any] = WeakSet()


def add_scans(viewer: napari.viewer.Viewer, layers: Sequence[LayerData]) -> list[Any]:
    """Add the layers of scans; the first is shown and selected, the others hidden."""
    attach(viewer)
    added: list[Any] = []
    for data in layers:
        if not added:
            _hide_other_scans(viewer, data[1]["metadata"][KEY])
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


def show_only(viewer: napari.viewer.Viewer, layer: Any) -> None:
    """Show one scan with the maps that it had, hide the others, and select it."""
    record = record_of(layer)
    if record is not None:
        _hide_other_scans(viewer, record)
    # Selected first: the view turns to it before napari draws it.
    viewer.layers.selection.active = layer
    _set_visible(layer, True)
    if record is not None:
        _bring_maps_back(viewer, record)


def _hide_other_scans(viewer: napari.viewer.Viewer, record: LayerRecord) -> None:
    """Hide all scans and maps but those of one scan, until they are asked for."""
    keeper = attach(viewer)
    for layer in viewer.layers:
        shown = record_of(layer)
        if shown is not None and shown.scan is not record.scan:
            if shown.role == "saliency" and layer.visible:
                _PUT_AWAY.add(layer)
            keeper.forget(layer)
            _set_visible(layer, False)


def _bring_maps_back(viewer: napari.viewer.Viewer, record: LayerRecord) -> None:
    """Show the maps that were shown when their scan was left for another one."""
    for layer in list(viewer.layers):
        shown = record_of(layer)
        if shown is not None and shown.scan is record.scan and layer in _PUT_AWAY:
            _PUT_AWAY.discard(layer)
            _set_visible(layer, True)


def _set_visible(layer: Any, visible: bool) -> None:
    # napari draws anew even where nothing changes.
    if layer.visible != visible:
        layer.visible = visible


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
    _make_room(viewer, result)
    if result.saliency is not None:
        shown = add_layer(viewer, result.saliency)
        shown.colorbar.visible = True
        # napari numbers a name that the map of another scan has already.
        if shown.name != result.saliency[1]["name"]:
            shown.name = f"{result.saliency[1]['name']} · {picked.name}"
        viewer.layers.selection.active = picked
    go_to_peak(keeper, result.prediction)
    keeper.changed.emit()
    return True


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
    for other in reversed(viewer.layers):
        shown = record_of(other)
        if (
            record is not None
            and shown is not None
            and shown.role == "saliency"
            and shown.scan is record.scan
            and other.visible
        ):
            return other
    return None


def go_to_peak(keeper: FrameKeeper, prediction: Prediction | None) -> None:
    """Move the sliders to where an answer's map is highest, if it has a peak."""
    saliency = None if prediction is None else prediction.saliency
    if saliency is not None and not saliency.is_empty:
        keeper.go_to(saliency.peak_mm)


def toggle_map(viewer: napari.viewer.Viewer) -> None:
    """Hide the maps of the scan that is shown, or show that of its answer again."""
    current = attach(viewer).current
    if current is None:
        return
    records = [(layer, record_of(layer)) for layer in viewer.layers]
    maps = [
        (layer, record)
        for layer, record in records
        if record is not None
        and record.role == "saliency"
        and record.scan is current.scan
    ]
    if any(layer.visible for layer, _ in maps):
        for layer, _ in maps:
            _set_visible(layer, False)
    elif maps:
        # The latest is on top.
        _set_visible(maps[-1][0], True)


def step_scan(viewer: napari.viewer.Viewer, step: int) -> None:
    """Show the scan after (`step` 1) or before (-1) the one that is shown."""
    scans = [layer for layer in viewer.layers if is_scan(layer)]
    current = attach(viewer).current
    if current is None or not scans:
        return
    shown = [record.scan for layer in scans if (record := record_of(layer))]
    show_only(viewer, scans[(shown.index(current.scan) + step) % len(scans)])


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
    for layer in list(viewer.layers):
        record = record_of(layer)
        if (
            record is None
            or record.role != "saliency"
            or record.scan is not result.scan
        ):
            continue
        if replaces and _same_map(record.prediction, result.prediction):
            viewer.layers.remove(layer)
        else:
            layer.visible = False


def _same_map(one: Prediction | None, other: Prediction) -> bool:
    """Tell whether the maps of two answers were made alike; names may be numbered."""
    maps = [None if p is None else p.saliency for p in (one, other)]
    kinds = [None if m is None else (m.method, m.layer, m.claim) for m in maps]
    return kinds[0] is not None and kinds[0] == kinds[1]
