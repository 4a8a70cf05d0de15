"""Keeps every layer of a viewer in the frame of the scan that is selected."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

import numpy as np
from numpy.typing import ArrayLike
from psygnal import Signal

from napari_resonance.geometry import FloatArray, spacing_of, to_index, to_world
from napari_resonance.viewer.fitting import fit_to_view
from napari_resonance.viewer.frame import ViewerFrame, embedded
from napari_resonance.viewer.records import LayerRecord, record_of, same_space

if TYPE_CHECKING:
    import napari


# Slices this much thicker than their pixels are looked at one by one; volumes of nearly
# equal sides are shown axially, whichever way they were stored.
_THICK = 1.5


class FrameKeeper:
    """Expresses the layers' affines anew when another scan is selected.

    Nothing is resampled. Layers that are not parallel to the frame are hidden while the
    viewer shows 2D slices, where napari would draw them in the wrong place.
    """

    changed = Signal()
    """The frame, or what is hidden in it, changed."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = ref(viewer)
        self._current: Any = None
        self._hidden: WeakSet[Any] = WeakSet()
        self.frame: ViewerFrame | None = None
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.dims.events.ndisplay.connect(self._express_all)
        # Coming back from 3D, napari slices a layer before any plugin can hide it.
        warnings.filterwarnings("ignore", message="Non-orthogonal slicing")
        for layer in (*viewer.layers, viewer.layers.selection.active):
            self._follow(layer)

    @property
    def current(self) -> LayerRecord | None:
        """The record of the layer whose scan the frame belongs to."""
        layer = None if self._current is None else self._current()
        return None if layer is None else record_of(layer)

    def hidden_layers(self) -> list[Any]:
        """Return the layers hidden because they are not parallel to the frame."""
        viewer = self._viewer()
        layers = [] if viewer is None else viewer.layers
        return [layer for layer in layers if layer in self._hidden]

    def forget(self, layer: Any) -> None:
        """Leave a layer hidden, also when it fits the view again."""
        self._hidden.discard(layer)

    def can_resample(self, layer: Any) -> bool:
        """Tell whether the files place a layer in the same space as the view."""
        record, current = record_of(layer), self.current
        return (
            record is not None
            and current is not None
            and record.role == "scan"
            and same_space(record.scan, current.scan)
        )

    @property
    def place_mm(self) -> FloatArray | None:
        """The RAS+ mm where the sliders stand; None without a scan."""
        viewer = self._viewer()
        if viewer is None or self.frame is None:
            return None
        return to_world(self.frame.to_ras, viewer.dims.point[-3:])

    def go_to(self, position_mm: ArrayLike) -> None:
        """Move the sliders to a place in RAS+ mm, or the nearest that the scan has.

        A map may reach beyond its scan, where there is nothing to look at.
        """
        viewer = self._viewer()
        layer = None if self._current is None else self._current()
        record = record_of(layer)
        if viewer is None or self.frame is None or layer is None or record is None:
            return
        last = np.array(record.spatial_shape(layer.data), np.intp) - 1
        index = np.clip(to_index(record.affine, position_mm), 0, last)
        place = to_world(record.affine, index)
        point = to_world(self.frame.from_ras, place)
        viewer.dims.point = (*viewer.dims.point[:-3], *(float(p) for p in point))

    def _on_inserted(self, event: Any) -> None:
        layer = event.value
        record = record_of(layer)
        if record is None:
            return
        if record.value_range is not None:
            layer.contrast_limits_range = record.value_range
        if self.frame is None:
            self._follow(layer)
        else:
            self._express_all()

    def _on_removed(self, event: Any) -> None:
        viewer = self._viewer()
        self._hidden.discard(event.value)
        if viewer is None or not any(record_of(layer) for layer in viewer.layers):
            self.frame = self._current = None
        self.changed.emit()

    def _on_active(self, event: Any) -> None:
        if event.value is not None:
            self._follow(event.value)

    def _follow(self, layer: Any) -> None:
        """Take the frame of a layer of ours and stay at the same place in it."""
        layer = getattr(layer, "__wrapped__", layer)
        record = record_of(layer)
        if record is None or record.role == "mark":
            return
        old, before, self._current = self.frame, self.current, ref(layer)
        frame = ViewerFrame.of(record.affine, oriented=record.scan.oriented)
        if old is not None and _same(frame, old):
            other = before is None or before.scan is not record.scan
            if other and not _holds(record, layer, self._place_mm(old)):
                self._go_to_middle(layer, record)
            self.changed.emit()
            return
        place = None if old is None else self._place_mm(old)
        self.frame = frame
        self._express_all()
        if old is None:
            self._turn_to_acquired_plane(layer, record)
        self._return_to(place, layer, record)

    def _express_all(self) -> None:
        viewer = self._viewer()
        if viewer is None or self.frame is None:
            return
        flat = viewer.dims.ndisplay == 2
        # Hidden ones first: napari slices each visible layer at every change.
        for layer in viewer.layers:
            record = record_of(layer)
            if record is not None:
                parallel = self.frame.is_parallel(
                    record.affine, oriented=record.scan.oriented
                )
                self._show(layer, not flat or parallel)
        for layer in viewer.layers:
            record = record_of(layer)
            if record is not None:
                self._express(layer, record)
        self.changed.emit()

    def _show(self, layer: Any, fits: bool) -> None:
        if not fits and layer.visible:
            layer.visible = False
            self._hidden.add(layer)
        elif fits and layer in self._hidden:
            # Its affine is set before it is shown again.
            self._express(layer, record_of(layer))
            self._hidden.discard(layer)
            layer.visible = True

    def _express(self, layer: Any, record: LayerRecord | None) -> None:
        if record is None or self.frame is None:
            return
        shape = record.spatial_shape(layer.data)
        affine = embedded(self.frame.express(record.affine, shape), layer.ndim)
        if not np.allclose(np.asarray(layer.affine), affine, rtol=0, atol=1e-9):
            layer.affine = affine

    def _place_mm(self, frame: ViewerFrame) -> FloatArray | None:
        """Return the RAS+ mm where sliders and camera stand, in a frame."""
        viewer = self._viewer()
        if viewer is None or viewer.dims.ndim < 3:
            return None
        point = np.array(viewer.dims.point, np.float64)
        shown = list(viewer.dims.displayed)
        point[shown] = viewer.scene.camera.center[-len(shown) :]
        return to_index(frame.from_ras, point[-3:])

    def _turn_to_acquired_plane(self, layer: Any, record: LayerRecord) -> None:
        """Show the first scan in the plane of its slices where these are thick."""
        viewer = self._viewer()
        steps = np.array(spacing_of(record.affine))
        thick = int(steps.argmax())
        others = [axis for axis in range(3) if axis != thick]
        if viewer is None or steps[thick] < _THICK * steps[others].max():
            return
        extra = layer.ndim - 3
        order = (*range(extra), *(extra + axis for axis in (thick, *others)))
        if layer.ndim == viewer.dims.ndim and record.scan.grid_shape[2] > 1:
            viewer.dims.order = order

    def _return_to(self, place: Any, layer: Any, record: LayerRecord) -> None:
        """Stay at a place of the patient, or go to the middle of the layer."""
        viewer = self._viewer()
        if viewer is None or self.frame is None:
            return
        if _holds(record, layer, place):
            self.go_to(place)
            point = to_world(self.frame.from_ras, place)
            shown = np.array(viewer.dims.displayed) - (viewer.dims.ndim - 3)
            viewer.scene.camera.center = tuple(float(p) for p in point[shown])
            return
        self._go_to_middle(layer, record)

    def _go_to_middle(self, layer: Any, record: LayerRecord) -> None:
        """Show the middle of a layer that does not reach to where the view is."""
        viewer = self._viewer()
        shape = np.array(record.spatial_shape(layer.data))
        self.go_to(to_world(record.affine, (shape - 1) // 2))
        if viewer is not None:
            fit_to_view(viewer, layer)


def _holds(record: LayerRecord, layer: Any, place: Any) -> bool:
    """Tell whether a layer reaches to a place in RAS+ mm; no place is not held."""
    if place is None:
        return False
    index = to_index(record.affine, place)
    last = np.array(record.spatial_shape(layer.data)) - 1
    return bool((index > -0.5).all() and (index < last + 0.5).all())


def _same(one: ViewerFrame, other: ViewerFrame) -> bool:
    return one.oriented == other.oriented and np.allclose(one.axes, other.axes)
