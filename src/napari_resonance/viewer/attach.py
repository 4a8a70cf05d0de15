"""Gives a viewer what every scan in it needs: the viewer frame and the canvas text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_resonance.viewer.canvas_text import CanvasText
from napari_resonance.viewer.cursor_text import CursorText
from napari_resonance.viewer.frame_keeper import FrameKeeper
from napari_resonance.viewer.shortcuts import bind_shortcuts
from napari_resonance.viewer.window_tool import WindowTool

if TYPE_CHECKING:
    import napari


@dataclass(frozen=True, eq=False)
class _Attached:
    keeper: FrameKeeper
    canvas_text: CanvasText
    window_tool: WindowTool
    cursor_text: CursorText


_ATTACHED: WeakKeyDictionary[Any, _Attached] = WeakKeyDictionary()


def real_viewer(viewer: Any) -> Any:
    """Return the viewer itself where napari hands panels a proxy of it."""
    return getattr(viewer, "__wrapped__", viewer)


def attach(viewer: napari.viewer.Viewer) -> FrameKeeper:
    """Return the keeper of a viewer's frame; the first call for a viewer makes it."""
    return _attached(viewer).keeper


def window_tool_of(viewer: napari.viewer.Viewer) -> WindowTool:
    """Return what changes the contrast of a viewer's scans."""
    return _attached(viewer).window_tool


def _attached(viewer: Any) -> _Attached:
    viewer = real_viewer(viewer)
    if viewer not in _ATTACHED:
        bind_shortcuts(viewer)
        keeper = FrameKeeper(viewer)
        _ATTACHED[viewer] = _Attached(
            keeper,
            CanvasText(viewer, keeper),
            WindowTool(viewer, keeper),
            CursorText(viewer, keeper),
        )
    return _ATTACHED[viewer]
