"""The status bar under a scan: where the cursor is in the patient, and the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from napari_resonance.geometry import FloatArray, to_index
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.windows import unit_of

if TYPE_CHECKING:
    import napari

    from napari_resonance.viewer.frame_keeper import FrameKeeper


class CursorText:
    """Puts RAS+ mm and the physical value in the place of napari's read-out."""

    def __init__(self, viewer: napari.viewer.Viewer, keeper: FrameKeeper) -> None:
        self._viewer = ref(viewer)
        self._keeper = keeper
        viewer.events.status.connect(self._on_status)

    def _on_status(self, event: Any) -> None:
        viewer = self._viewer()
        # napari says where the cursor is as a mapping; all other messages are texts.
        if viewer is None or not isinstance(viewer.status, dict):
            return
        text = self._text(viewer, str(viewer.status.get("value") or ""))
        if text:
            viewer.status = text

    def _text(self, viewer: Any, value: str) -> str:
        layer, frame = viewer.layers.selection.active, self._keeper.frame
        record = record_of(layer)
        if record is None or frame is None or viewer.dims.ndisplay != 2:
            return ""
        parts = [layer.name]
        if frame.oriented:
            parts.append(
                place_text(to_index(frame.from_ras, viewer.cursor.position[-3:]))
            )
        if value:
            is_scan = record.role == "scan"
            unit = unit_of(record.scan.modality, record.scan.meta) if is_scan else ""
            parts.append(f"{value} {unit}".strip())
        return "  ·  ".join(parts)


def place_text(mm: FloatArray) -> str:
    """Return a place in RAS+ mm as people say it: ``"R 12.0  A 3.5  I 40.1 mm"``."""
    ends = zip(mm, ("RL", "AP", "SI"), strict=True)
    said = (f"{letters[0 if x >= 0 else 1]} {abs(x):.1f}" for x, letters in ends)
    return "  ".join(said) + " mm"
