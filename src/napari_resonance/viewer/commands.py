"""Commands of napari's menus and command palette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import napari

    from napari_resonance.classifier.bundle import Bundle

PLUGIN = "napari-resonance"
PANEL = "Classify"
SERIES = "Series"
PLANES = "Three planes"
FINETUNE = "Fine-tune"
SCORE = "Score"


def open_folder(viewer: napari.viewer.Viewer) -> None:
    """Ask for a folder and open the scans in it."""
    panel_of(viewer).drop_area.choose_folder()


def open_files(viewer: napari.viewer.Viewer) -> None:
    """Ask for files, whatever their names, and open the scans in them."""
    panel_of(viewer).drop_area.choose_files()


def run(viewer: napari.viewer.Viewer) -> None:
    """Classify the scan that is chosen in the panel."""
    panel_of(viewer).run()


def run_all(viewer: napari.viewer.Viewer) -> None:
    """Classify all open scans."""
    panel_of(viewer).run_all()


def cancel(viewer: napari.viewer.Viewer) -> None:
    """Free the panel and drop what it is working on."""
    panel_of(viewer).runner.cancel()


def toggle_map(viewer: napari.viewer.Viewer) -> None:
    """Hide the map of the scan that is shown, or show it again."""
    from napari_resonance.viewer import showing

    showing.toggle_map(viewer)


def next_scan(viewer: napari.viewer.Viewer) -> None:
    """Show the next open scan."""
    from napari_resonance.viewer.showing import step_scan

    step_scan(viewer, 1)


def previous_scan(viewer: napari.viewer.Viewer) -> None:
    """Show the open scan before this one."""
    from napari_resonance.viewer.showing import step_scan

    step_scan(viewer, -1)


def next_finding(viewer: napari.viewer.Viewer) -> None:
    """Go to the next place that the map points to."""
    from napari_resonance.viewer.viewer_actions import step_finding

    step_finding(viewer, 1)


def previous_finding(viewer: napari.viewer.Viewer) -> None:
    """Go to the place before this one."""
    from napari_resonance.viewer.viewer_actions import step_finding

    step_finding(viewer, -1)


def panel_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the Classify panel of a viewer's window, opened if it was not."""
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
    return panel


def series_panel_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the Series panel of a viewer's window, in front, opened if it was not."""
    return _in_front(viewer, SERIES)


def finetune_panel_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the Fine-tune panel of a viewer's window, in front."""
    return _in_front(viewer, FINETUNE)


def score_panel_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the Score panel of a viewer's window, in front."""
    return _in_front(viewer, SCORE)


def use_model(viewer: napari.viewer.Viewer, model: Bundle) -> None:
    """Choose a model in the Classify panel, and bring that to the front."""
    _in_front(viewer, PANEL).model_picker.adopt_model(model)


def _in_front(viewer: napari.viewer.Viewer, name: str) -> Any:
    dock, panel = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    dock.show()
    dock.raise_()
    return panel


def show_planes(viewer: napari.viewer.Viewer) -> Any:
    """Show the other two planes below the canvas, or close them if they are shown."""
    from napari_resonance.viewer.three_planes import ThreePlanes

    shown = viewer.window.dock_widgets.get(PLANES)
    if shown is not None:
        viewer.window.remove_dock_widget(shown)
        return None
    planes = ThreePlanes(viewer)
    viewer.window.add_dock_widget(planes, name=PLANES, area="bottom")
    planes.leave_sides()
    return planes


def return_to_panel(viewer: napari.viewer.Viewer) -> None:
    """Bring the Classify panel to the front, if it is open."""
    if any(name.startswith(PANEL) for name in viewer.window.dock_widgets):
        dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
        dock.raise_()
