"""What a panel does as its dock comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_resonance.viewer.dock_join import DockJoin


class DockEnd(QObject):
    """Deletes a panel when napari takes it out of its dock, where it would be kept.

    When it comes into one, it joins those of the other panels.
    """

    def __init__(self, panel: QWidget, *stops: Callable[[], object]) -> None:
        super().__init__(panel)
        self._panel, self._stops = panel, stops
        panel.installEventFilter(self)
        DockJoin(panel)

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802  (Qt's name)
        """Stop the panel's work once it has no parent any more."""
        if event.type() == QEvent.Type.ParentChange and self._panel.parent() is None:
            for stop in self._stops:
                stop()
            self._panel.deleteLater()
        return False
