"""Lays the panels over one another as tabs."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

_OURS = "resonance_panel"


def join_docks(panel: QWidget) -> None:
    """Put a new panel before those that are open, as soon as it has its dock.

    napari's menu puts each below the last, where none of them has room. Docks that the
    user has taken elsewhere are left there.
    """
    timer = QTimer(panel)
    timer.setSingleShot(True)
    timer.timeout.connect(partial(_join, panel))
    timer.start(0)


def _join(panel: QWidget) -> None:
    dock, window = _dock_of(panel), panel.window()
    if dock is None or not isinstance(window, QMainWindow):
        return
    dock.setProperty(_OURS, True)
    area = window.dockWidgetArea(dock)
    for other in window.findChildren(QDockWidget):
        is_beside = window.dockWidgetArea(other) == area and not other.isFloating()
        if other is dock or not other.property(_OURS) or not is_beside:
            continue
        if dock not in window.tabifiedDockWidgets(other):
            window.tabifyDockWidget(other, dock)
        dock.raise_()
        return


def _dock_of(panel: QWidget) -> QDockWidget | None:
    parent = panel.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent
