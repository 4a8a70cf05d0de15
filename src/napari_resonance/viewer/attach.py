"""Gives a viewer what every scan in it needs: the viewer frame and the canvas text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_resonance.viewer.canvas_text import CanvasText
from napari_resonance.viewer.frame_keeper import FrameKeeper

if TYPE_CHECKING:
    import napari

_ATTACHED: WeakKeyDictionary[Any, tuple[FrameKeeper, CanvasText]] = WeakKeyDictionary()


def real_viewer(viewer: Any) -> Any:
    """Return the viewer itself where napari hands panels a proxy of it."""
    return getattr(viewer, "__wrapped__", viewer)


def attach(viewer: napari.viewer.Viewer) -> FrameKeeper:
    """Return the keeper of a viewer's frame; the first call for a viewer makes it."""
    viewer = real_viewer(viewer)
    if viewer not in _ATTACHED:
        keeper = FrameKeeper(viewer)
        _ATTACHED[viewer] = (keeper, CanvasText(viewer, keeper))
    return _ATTACHED[viewer][0]
