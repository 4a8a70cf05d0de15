"""Lays the panels over one another as tabs."""

from __future__ import annotations

from qtpy.QtCore import QObject, QSize, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QWidget

_OURS = "resonance_panel"


class DockJoin(QObject):
    """Puts a new panel before those that are open, as soon as it has its dock.

    napari's menu puts each below the last, where none of them has room. Docks that the
    user has taken elsewhere are left there, and the window is as large as before: it
    grows where panels do not fit below each other.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._sizes: dict[int, QSize] = {}
        for window in QApplication.topLevelWidgets():
            if isinstance(window, QMainWindow):
                self._sizes[id(window)] = window.size()
        # Methods of a QObject, which Qt lets go of with it: nothing here may keep a
        # panel or a window alive.
        self._join_soon, self._resize_soon = QTimer(self), QTimer(self)
        for timer, act in (
            (self._join_soon, self._join),
            (self._resize_soon, self._resize),
        ):
            timer.setSingleShot(True)
            timer.timeout.connect(act)
        self._join_soon.start(0)

    def _join(self) -> None:
        dock, window = self._dock(), self._window()
        if dock is None or window is None:
            return
        dock.setProperty(_OURS, True)
        area = window.dockWidgetArea(dock)
        for other in window.findChildren(QDockWidget):
            is_beside = window.dockWidgetArea(other) == area and not other.isFloating()
            if other is dock or not other.property(_OURS) or not is_beside:
                continue
            if dock not in window.tabifiedDockWidgets(other):
                window.tabifyDockWidget(other, dock)
                # Once it knows that it needs less room.
                self._resize_soon.start(0)
            dock.raise_()
            return

    def _resize(self) -> None:
        window = self._window()
        size = self._sizes.get(id(window))
        if window is not None and size is not None and not window.isMaximized():
            window.resize(size)

    def _window(self) -> QMainWindow | None:
        panel = self.parent()
        window = panel.window() if isinstance(panel, QWidget) else None
        return window if isinstance(window, QMainWindow) else None

    def _dock(self) -> QDockWidget | None:
        parent = self.parent()
        while parent is not None and not isinstance(parent, QDockWidget):
            parent = parent.parent()
        return parent
