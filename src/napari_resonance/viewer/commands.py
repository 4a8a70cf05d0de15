"""Commands of napari's menus and command palette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import napari

PLUGIN = "napari-resonance"
PANEL = "Classify"
SERIES = "Series"


def open_folder(viewer: napari.viewer.Viewer) -> None:
    """Ask for a folder and open the scans in it."""
    panel_of(viewer).drop_area.choose_folder()


def open_files(viewer: napari.viewer.Viewer) -> None:
    """Ask for files, whatever their names, and open the scans in them."""
    panel_of(viewer).drop_area.choose_files()


def panel_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the Classify panel of a viewer's window, opened if it was not."""
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
    return panel


def series_panel_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the Series panel of a viewer's window, in front, opened if it was not."""
    dock, panel = viewer.window.add_plugin_dock_widget(PLUGIN, SERIES, tabify=True)
    dock.show()
    dock.raise_()
    return panel


def return_to_panel(viewer: napari.viewer.Viewer) -> None:
    """Bring the Classify panel to the front, if it is open."""
    if any(name.startswith(PANEL) for name in viewer.window.dock_widgets):
        dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
        dock.raise_()
