"""Panels that napari's menu opens lie over one another as tabs."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QDockWidget, QMainWindow

PANELS = ("Classify", "Series", "Score")


def open_by_menu(viewer: Any, name: str) -> Any:
    return viewer.window.add_plugin_dock_widget("napari-resonance", name)


def test_each_panel_becomes_a_tab(viewer: Any, qtbot: Any) -> None:
    docks: list[Any] = []
    viewer.window.set_geometry(0, 0, 1280, 800)
    for name in PANELS:
        docks.append(open_by_menu(viewer, name)[0])
        qtbot.wait(50)
    main = docks[0].window()
    assert isinstance(main, QMainWindow)
    others = {dock for dock in main.tabifiedDockWidgets(docks[0]) if dock in docks}
    assert others == set(docks[1:])
    assert viewer.window.geometry()[2:] == (1280, 800)


def test_a_panel_that_was_taken_out_is_left_there(viewer: Any, qtbot: Any) -> None:
    out, _ = open_by_menu(viewer, "Classify")
    qtbot.wait(20)
    out.setFloating(True)
    beside, _ = open_by_menu(viewer, "Series")
    qtbot.wait(20)
    assert isinstance(beside, QDockWidget)
    assert out.isFloating()
    assert not beside.isFloating()
