"""Which scan is shown, and its maps with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.records import (
    LayerRecord,
    is_scan,
    maps_of,
    record_of,
)

if TYPE_CHECKING:
    import napari

# Maps to be shown once their scan is: they were when it was left, or are new.
_PUT_AWAY: WeakSet[Any] = WeakSet()


def show_only(viewer: napari.viewer.Viewer, layer: Any) -> None:
    """Show one scan with the maps that it had, hide the others, and select it."""
    record = record_of(layer)
    if record is not None:
        hide_other_scans(viewer, record)
        # Before panels are told of the scan: what they offer depends on its maps.
        _bring_maps_back(viewer, record)
    # Selected first: the view turns to it before napari draws it.
    viewer.layers.selection.active = layer
    set_visible(layer, True)


def hide_other_scans(viewer: napari.viewer.Viewer, record: LayerRecord) -> None:
    """Hide all scans and maps but those of one scan, until they are asked for."""
    keeper = attach(viewer)
    for layer in viewer.layers:
        shown = record_of(layer)
        if shown is not None and shown.scan is not record.scan:
            keeper.forget(layer)
            if shown.role == "saliency" and layer.visible:
                put_away(layer)
            set_visible(layer, False)


def _bring_maps_back(viewer: napari.viewer.Viewer, record: LayerRecord) -> None:
    """Show the maps that were shown when their scan was left for another one."""
    for layer, _ in maps_of(viewer.layers, record.scan):
        if layer in _PUT_AWAY:
            _PUT_AWAY.discard(layer)
            set_visible(layer, True)


def set_visible(layer: Any, visible: bool) -> None:
    """Show or hide a layer; napari draws anew even where nothing changes."""
    if layer.visible != visible:
        layer.visible = visible


def put_away(layer: Any) -> None:
    """Hide a map until its scan is shown the next time."""
    _PUT_AWAY.add(layer)
    set_visible(layer, False)


def hide_map(layer: Any) -> None:
    """Hide a map until it is asked for itself."""
    _PUT_AWAY.discard(layer)
    set_visible(layer, False)


def toggle_map(viewer: napari.viewer.Viewer) -> None:
    """Hide the maps of the scan that is shown, or show that of its answer again."""
    current = attach(viewer).current
    if current is None:
        return
    maps = [layer for layer, _ in maps_of(viewer.layers, current.scan)]
    if any(layer.visible for layer in maps):
        for layer in maps:
            set_visible(layer, False)
    elif maps:
        # The latest is on top.
        set_visible(maps[-1], True)


def step_scan(viewer: napari.viewer.Viewer, step: int) -> None:
    """Show the scan after (`step` 1) or before (-1) the one that is shown."""
    scans = [layer for layer in viewer.layers if is_scan(layer)]
    current = attach(viewer).current
    if current is None or not scans:
        return
    shown = [record.scan for layer in scans if (record := record_of(layer))]
    show_only(viewer, scans[(shown.index(current.scan) + step) % len(scans)])
