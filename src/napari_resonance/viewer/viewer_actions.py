"""What the panel does to the viewer: add scans, show a result, show one scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.layers import LayerData
from napari_resonance.viewer.records import KEY, LayerRecord, record_of

if TYPE_CHECKING:
    import napari

    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.viewer.classification import Classified
    from napari_resonance.viewer.frame_keeper import FrameKeeper


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
        viewer.fit_to_view(layers=added[:1])
    return added


def add_layer(
    viewer: napari.viewer.Viewer, data: LayerData, *, visible: bool = True
) -> Any:
    """Add one layer from its data."""
    from napari.layers import Layer

    values, settings, kind = data
    return viewer.add_layer(Layer.create(values, settings | {"visible": visible}, kind))


def show_only(viewer: napari.viewer.Viewer, layer: Any) -> None:
    """Show one scan with its maps, hide the other scans, and select it."""
    record = record_of(layer)
    if record is not None:
        _hide_other_scans(viewer, record)
    # Selected first: the view turns to it before napari draws it.
    viewer.layers.selection.active = layer
    _set_visible(layer, True)


def _hide_other_scans(viewer: napari.viewer.Viewer, record: LayerRecord) -> None:
    """Hide all scans and maps but those of one scan, for good."""
    keeper = attach(viewer)
    for layer in viewer.layers:
        shown = record_of(layer)
        if shown is not None and shown.scan is not record.scan:
            keeper.forget(layer)
            _set_visible(layer, False)


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
    record = record_of(picked)
    if record is not None:
        picked.metadata[KEY] = replace(
            record, prediction=result.prediction, place=result.place
        )
    keeper = attach(viewer)
    show_only(viewer, picked)
    _make_room(viewer, result)
    if result.saliency is not None:
        add_layer(viewer, result.saliency).colorbar.visible = True
        viewer.layers.selection.active = picked
    go_to_peak(keeper, result.prediction)
    keeper.changed.emit()
    return True


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


def _make_room(viewer: napari.viewer.Viewer, result: Classified) -> None:
    """Hide earlier maps of a scan, and remove the one that is made anew."""
    name = None if result.saliency is None else result.saliency[1]["name"]
    for layer in list(viewer.layers):
        record = record_of(layer)
        if (
            record is None
            or record.role != "saliency"
            or record.scan is not result.scan
        ):
            continue
        if layer.name == name:
            viewer.layers.remove(layer)
        else:
            layer.visible = False
