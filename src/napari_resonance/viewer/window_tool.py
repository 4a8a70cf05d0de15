"""Window and level on the canvas: right drag, keys, and a read-out of both."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from psygnal import Signal

from napari_resonance.viewer.keys import bind_key
from napari_resonance.viewer.records import LayerRecord, record_of
from napari_resonance.viewer.windows import Window, number, unit_of

if TYPE_CHECKING:
    import napari

    from napari_resonance.viewer.frame_keeper import FrameKeeper

KEYS = tuple(f"Alt-{n}" for n in range(1, 7))
OVERLAY = "resonance_window"

_RIGHT_BUTTON = 2


class WindowTool:
    """Changes the contrast of the scan that is selected, as radiologists do."""

    changed = Signal()
    """Another scan is selected, or its contrast changed."""

    def __init__(self, viewer: napari.viewer.Viewer, keeper: FrameKeeper) -> None:
        from napari.components.overlays import TextOverlay

        self._viewer = ref(viewer)
        self._followed: Any = None
        viewer.canvas.overlays[OVERLAY] = TextOverlay(
            position="bottom_left", font_size=9
        )
        viewer.mouse_drag_callbacks.append(self._drag)
        for n, key in enumerate(KEYS):
            bind_key(viewer, key, partial(self._on_key, n))
        viewer.layers.selection.events.active.connect(self._follow)
        keeper.changed.connect(self._follow)
        self._follow()

    @property
    def layer(self) -> Any | None:
        """The layer whose contrast changes: a grey scan of ours that is selected."""
        viewer = self._viewer()
        layer = None if viewer is None else viewer.layers.selection.active
        record = record_of(layer)
        grey = record is not None and record.role == "scan" and not record.is_color
        return layer if grey else None

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows that are offered for it."""
        record = record_of(self.layer)
        return () if record is None else record.windows

    def apply(self, window: Window) -> None:
        """Draw the selected scan with a window."""
        layer = self.layer
        if layer is not None:
            layer.contrast_limits = window.limits

    def text(self) -> str:
        """Return the window in words: ``"C 40  W 80 HU"``; empty without a scan."""
        layer = self.layer
        record = record_of(layer)
        if layer is None or record is None:
            return ""
        window = Window.between(*layer.contrast_limits)
        return f"C {number(window.center)}  W {number(window.width)} {_unit(record)}"

    def _on_key(self, n: int, viewer: Any) -> None:
        if n < len(self.windows):
            self.apply(self.windows[n])

    def _follow(self, event: Any = None) -> None:
        layer = self.layer
        followed = None if self._followed is None else self._followed()
        if layer is not followed:
            if followed is not None:
                followed.events.contrast_limits.disconnect(self._tell)
            if layer is not None:
                layer.events.contrast_limits.connect(self._tell)
            self._followed = None if layer is None else ref(layer)
        self._tell()

    def _tell(self, event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is not None:
            overlay = viewer.canvas.overlays[OVERLAY]
            # Two short lines, which leave room beside them for the letter of the edge.
            overlay.text = self.text().replace("  ", "\n")
            overlay.visible = bool(overlay.text)
            self.changed.emit()

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        """Follow a right drag; napari zooms with it where no scan is selected."""
        layer = self.layer
        plain = event.button == _RIGHT_BUTTON and not event.modifiers
        if layer is None or not plain or viewer.dims.ndisplay != 2:
            return
        start, window = tuple(event.pos), Window.between(*layer.contrast_limits)
        camera = viewer.scene.camera
        could_pan = camera.mouse_pan
        camera.mouse_pan = False
        try:
            yield
            while event.type == "mouse_move":
                right, down = event.pos[0] - start[0], event.pos[1] - start[1]
                layer.contrast_limits = window.dragged(right, down).limits
                yield
        finally:
            camera.mouse_pan = could_pan


def _unit(record: LayerRecord) -> str:
    return unit_of(record.scan.modality, record.scan.meta)
