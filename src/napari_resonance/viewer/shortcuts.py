"""Keys over the canvas for what the panels do; napari drops those of a manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_resonance.viewer import commands
from napari_resonance.viewer.keys import bind_key


@dataclass(frozen=True)
class Shortcut:
    """A key as napari writes it, what it does in words, and the command."""

    key: str
    text: str
    act: Callable[[Any], object]

    @property
    def shown(self) -> str:
        """The key as people write it: ``"Alt+R"``."""
        return self.key.replace("-", "+")


SHORTCUTS = (
    Shortcut("Alt-R", "Classify the scan", commands.run),
    Shortcut("Alt-A", "Classify all open scans", commands.run_all),
    Shortcut("Alt-X", "Cancel", commands.cancel),
    Shortcut("Alt-O", "Show or hide the map", commands.toggle_map),
    Shortcut("Alt-N", "Next scan", commands.next_scan),
    Shortcut("Alt-B", "Previous scan", commands.previous_scan),
    Shortcut("Alt-J", "Next place of the map", commands.next_finding),
    Shortcut("Alt-K", "Previous place of the map", commands.previous_finding),
    Shortcut("Alt-M", "Show or close the other two planes", commands.show_planes),
)

# Bound by the window tool, the mouse and napari itself.
_OTHERS = (
    ("Alt+1 to Alt+6", "Contrast windows, in their order"),
    ("Right drag", "Width and centre of the contrast window"),
    ("Arrows, wheel", "Next and previous slice"),
    ("Ctrl+Y", "2D and 3D"),
)


def bind_shortcuts(viewer: Any) -> None:
    """Bind all of them to a viewer."""
    for shortcut in SHORTCUTS:
        bind_key(viewer, shortcut.key, shortcut.act)


def shortcuts_text() -> str:
    """Return all keys with what they do, one a line."""
    own = tuple((s.shown, s.text) for s in SHORTCUTS)
    return "\n".join(f"{key}: {text}" for key, text in own + _OTHERS)
