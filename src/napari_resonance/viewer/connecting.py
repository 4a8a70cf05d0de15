"""Connections from the viewer's events to widgets, undone when the widget goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QWidget


def connect_while_alive(
    widget: QWidget, signal: Any, slot: Callable[..., object]
) -> None:
    """Connect a napari or psygnal signal until Qt destroys the widget.

    The viewer outlives its panels, and calling a widget whose C++ half is gone raises.
    """
    signal.connect(slot)

    def disconnect() -> None:
        signal.disconnect(slot)

    widget.destroyed.connect(disconnect)
