"""Window and level: presets, the right drag on the canvas, and what is read out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication
from support.panels import add_phantom
from support.phantoms import color_phantom, phantom

from napari_resonance.geometry import to_world
from napari_resonance.viewer.attach import attach, window_tool_of
from napari_resonance.viewer.cursor_text import place_text
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.viewer_actions import add_scans
from napari_resonance.viewer.window_row import WindowRow
from napari_resonance.viewer.windows import Window, unit_of, windows_of

CT = {"modality": "CT", "slope": 2.0, "intercept": -1000.0}
HUNDRED = np.arange(101, dtype=np.float32)


def drag(viewer: Any, qtbot: Any, right: int, down: int) -> None:
    """Press the right button on the real canvas, move, and let it go."""
    canvas = viewer.window._qt_viewer.canvas.native
    start = QPointF(canvas.width() / 2, canvas.height() / 2)
    end = start + QPointF(right, down)
    kinds = QEvent.Type
    held, none = Qt.MouseButton.RightButton, Qt.MouseButton.NoButton
    for kind, place, button, buttons in (
        (kinds.MouseButtonPress, start, held, held),
        (kinds.MouseMove, (start + end) / 2, none, held),
        (kinds.MouseMove, end, none, held),
        (kinds.MouseButtonRelease, end, held, none),
    ):
        event = QMouseEvent(
            kind,
            place,
            canvas.mapToGlobal(place),
            button,
            buttons,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(canvas, event)
        qtbot.wait(30)


def add_ct(viewer: Any, **meta: Any) -> Any:
    (layer,) = add_scans(viewer, [scan_layer(phantom(**CT, meta=meta)[0])])
    return layer


def test_ct_is_offered_windows_in_hu() -> None:
    names = [w.name for w in windows_of("CT", {}, HUNDRED)]
    assert names == ["Brain", "Lung", "Bone", "Soft tissue"]
    stored = {"window_center": (50.0, -500.0), "window_width": (350.0, 1400.0)}
    first, second, *_ = windows_of("CT", stored, HUNDRED)
    assert first == Window("As stored", 50, 350)
    assert second == Window("Stored 2", -500, 1400)
    assert first.limits == (-125, 225)


def test_mr_is_offered_shares_of_its_values() -> None:
    windows = windows_of("MR", {}, HUNDRED)
    assert [w.limits for w in windows] == [(0.5, 99.5), (10, 95), (0, 100)]
    assert windows_of("MR", {}, np.zeros(5, np.float32)) == ()
    odd = {"window_center": float("nan"), "window_width": 3.0}
    assert windows_of("MR", odd, np.full(5, np.nan, np.float32)) == ()


def test_a_drag_right_widens_and_a_drag_down_darkens() -> None:
    window = Window("", 40, 80).dragged(right=250, down=125)
    assert (window.center, window.width) == (80, 160)
    assert Window("", 40, 80).dragged(right=-9999, down=0).width > 0


@pytest.mark.parametrize(
    ("modality", "meta", "unit"),
    [("CT", {}, "HU"), ("PT", {"units": "BQML"}, "Bq/ml"), ("MR", {}, "")],
)
def test_units(modality: str, meta: dict[str, str], unit: str) -> None:
    assert unit_of(modality, meta) == unit


def test_a_right_drag_changes_the_contrast_and_does_not_zoom(
    make_viewer: Any, qtbot: Any
) -> None:
    viewer = make_viewer(show=True)
    layer = add_ct(viewer)
    window_tool_of(viewer).apply(Window("", 40, 100))
    zoom, center = viewer.scene.camera.zoom, viewer.scene.camera.center
    drag(viewer, qtbot, right=125, down=50)
    assert np.allclose(layer.contrast_limits, (60 - 75, 60 + 75))
    assert viewer.scene.camera.zoom == zoom
    assert viewer.scene.camera.center == center
    assert viewer.scene.camera.mouse_pan
    overlay = viewer.canvas.overlays["resonance_window"]
    assert overlay.visible
    assert overlay.text == "C 60\nW 150 HU"


def test_other_layers_keep_the_zoom_of_the_right_drag(
    make_viewer: Any, qtbot: Any
) -> None:
    viewer = make_viewer(show=True)
    layer = add_ct(viewer)
    limits, zoom = tuple(layer.contrast_limits), viewer.scene.camera.zoom
    points = viewer.add_points(np.zeros((1, 3)))
    viewer.layers.selection.active = points
    drag(viewer, qtbot, right=0, down=-60)
    assert tuple(layer.contrast_limits) == limits
    assert viewer.scene.camera.zoom != zoom
    assert not viewer.canvas.overlays["resonance_window"].visible


def test_buttons_and_keys_set_windows(viewer: Any, qtbot: Any) -> None:
    layer = add_ct(viewer)
    row = WindowRow(window_tool_of(viewer))
    viewer.window.add_dock_widget(row)
    assert [b.text() for b in row.buttons] == ["Brain", "Lung", "Bone", "Soft tissue"]
    row.buttons[1].click()
    assert tuple(layer.contrast_limits) == (-1350, 150)
    assert row.text.text() == "Window  C -600  W 1500 HU"
    alt = Qt.KeyboardModifier.AltModifier
    qtbot.keyClick(viewer.window._qt_viewer, Qt.Key.Key_1, alt)
    assert tuple(layer.contrast_limits) == (0, 80)


def test_the_row_follows_the_scan(viewer: Any) -> None:
    row = WindowRow(window_tool_of(viewer))
    assert row.isHidden()
    viewer.window.add_dock_widget(row)
    add_ct(viewer)
    add_phantom(viewer, "straight")
    assert [b.text() for b in row.buttons] == ["Normal", "High contrast", "Full"]
    assert "HU" not in row.text.text()
    add_scans(viewer, [scan_layer(color_phantom()[0])])
    assert row.isHidden()
    viewer.layers.clear()
    assert row.text.text() == "Window"


def test_the_status_bar_says_place_and_value(viewer: Any) -> None:
    scan, mm = phantom("oblique", **CT)
    (layer,) = add_scans(viewer, [scan_layer(scan)])
    keeper = attach(viewer)
    keeper.go_to(mm)
    viewer.mouse_over_canvas = True
    viewer.cursor.position = tuple(to_world(keeper.frame.from_ras, mm))
    viewer.update_status_from_cursor()
    value = float(layer.data.max())
    assert viewer.status == f"{layer.name}  ·  {place_text(mm)}  ·  {value:.0f} HU"
    viewer.status = "Ready"
    assert viewer.status == "Ready"


def test_places_are_said_by_the_side_of_the_body() -> None:
    assert place_text(np.array([12, -3.5, -40.06])) == "R 12.0  P 3.5  I 40.1 mm"
