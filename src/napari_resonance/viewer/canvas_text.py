"""What the canvas says: the answer, and where its edges look in the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from napari_resonance.export.wording import certainty, percent, title_of, unit_of
from napari_resonance.viewer.records import LayerRecord, maps_of

if TYPE_CHECKING:
    from napari_resonance.viewer.frame_keeper import FrameKeeper

# Name of the overlay, where it stands, size of its letters in points.
_OVERLAYS = {
    "resonance_answer": ("top_left", 12),
    "resonance_notice": ("bottom_left", 9),
    "resonance_left": ("middle_left", 14),
    "resonance_right": ("middle_right", 14),
    "resonance_top": ("top_center", 14),
    "resonance_bottom": ("bottom_center", 14),
}


# Short, because a narrow canvas has the letter of its lower edge beside it.
_NOTICE = "Research use only"


class CanvasText:
    """Keeps the text on a viewer's canvas in step with frame, axes and answer.

    Parameters
    ----------
    viewer
        napari's viewer, or a model of one.
    keeper
        Of the frame that the letters are about.
    says_answer
        Whether answer and notice are written too, or letters alone.

    """

    def __init__(
        self, viewer: Any, keeper: FrameKeeper, *, says_answer: bool = True
    ) -> None:
        from napari.components.overlays import TextOverlay

        self._viewer = ref(viewer)
        self._keeper = keeper
        self._says_answer = says_answer
        for name, (position, size) in _OVERLAYS.items():
            overlay = TextOverlay(position=position, font_size=size)
            viewer.canvas.overlays[name] = overlay
        keeper.changed.connect(self.update)
        viewer.dims.events.order.connect(self.update)
        viewer.dims.events.ndisplay.connect(self.update)
        viewer.scene.camera.events.orientation.connect(self.update)
        self.update()

    def update(self) -> None:
        """Write anew what the canvas says."""
        viewer = self._viewer()
        if viewer is None:
            return
        record = self._keeper.current
        said = {}
        if self._says_answer:
            has_map = record is not None and bool(maps_of(viewer.layers, record.scan))
            said["resonance_answer"] = answer_text(record, has_map=has_map)
            said["resonance_notice"] = "" if record is None else _NOTICE
        said |= dict.fromkeys((n for n in _OVERLAYS if n not in said), "")
        said |= self._letters(viewer)
        for name, text in said.items():
            overlay = viewer.canvas.overlays[name]
            overlay.text = text
            overlay.visible = bool(text)
        # Scans are read on black, also where the window around them is light.
        viewer.canvas.background_color_override = None if record is None else "black"
        # Without a scan it would count pixels.
        viewer.canvas.overlays.scale_bar.visible = record is not None
        # In 3D the sides of the canvas have no names: the axes do, and turn with it.
        axes = viewer.canvas.overlays.axes
        frame = self._keeper.frame
        known = frame is not None and frame.oriented
        axes.visible = viewer.dims.ndisplay == 3 and known

    def end(self) -> None:
        """Stop following the frame."""
        self._keeper.changed.disconnect(self.update)

    def _letters(self, viewer: Any) -> dict[str, str]:
        frame = self._keeper.frame
        if frame is None or viewer.dims.ndisplay != 2 or viewer.dims.ndim < 3:
            return {}
        down, right = (d - (viewer.dims.ndim - 3) for d in viewer.dims.displayed)
        if min(down, right) < 0:
            return {}
        vertical, horizontal = frame.ends_of(down), frame.ends_of(right)
        if vertical is None or horizontal is None:
            return {}
        up_or_down, left_or_right = viewer.scene.camera.orientation2d
        if up_or_down != "down":
            vertical = vertical[::-1]
        if left_or_right != "right":
            horizontal = horizontal[::-1]
        return {
            "resonance_left": horizontal[0],
            "resonance_right": horizontal[1],
            "resonance_top": vertical[0],
            "resonance_bottom": vertical[1],
        }


def answer_text(record: LayerRecord | None, *, has_map: bool = True) -> str:
    """Return the answer for the scan that is shown, in a few lines.

    Of the map they speak only where there is a layer of it: it may have been removed,
    and answers of many plain images come without.
    """
    if record is None or record.prediction is None:
        return ""
    prediction = record.prediction
    lines = [
        f"{prediction.label}  {percent(prediction.probability)}",
        certainty(prediction),
    ]
    if prediction.called not in (None, prediction.label):
        # Or else who looks at the scan alone takes the likelier label for the answer.
        lines.insert(1, f"called {prediction.called}")
    if prediction.saliency is not None and has_map:
        lines.append(title_of(prediction.saliency))
        # What the numbers of the legend beside it count.
        lines.append(f"evidence per {unit_of(prediction.saliency)}")
    return "\n".join(lines)
