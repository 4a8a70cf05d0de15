"""Two more planes with a cross-hair, in a real window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from support.panels import (
    TIMEOUT,
    add_phantom,
    open_panel,
    press_run,
    wait_for_threads,
    wait_idle,
)
from support.phantoms import phantom, time_phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.geometry import to_world
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.commands import PLANES, show_planes
from napari_resonance.viewer.cross_hair import NAME
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.viewer_actions import add_scans


def click(model: Any, point: Any, mode: str = "") -> None:
    """Do on a viewer's model what a click on its canvas does."""
    from types import SimpleNamespace

    event = SimpleNamespace(
        button=1, modifiers=(), pos=(50, 60), position=tuple(point), type="mouse_press"
    )
    for callback in model.mouse_drag_callbacks:
        steps = callback(model, event)
        if steps is not None and next(steps, "end") != "end":
            event.type = "mouse_release"
            next(steps, None)


def crossing(layer: Any) -> Any:
    """Return where the six lines of a cross-hair meet."""
    starts = layer.data[:, 0, -3:]
    return [np.median(starts[:, axis]) for axis in range(3)]


def test_a_click_in_one_plane_moves_the_others(viewer: Any) -> None:
    before = {w for w in QApplication.topLevelWidgets() if w.parent() is None}
    _, mm = phantom()
    image = add_phantom(viewer)
    frame = attach(viewer).frame
    there = to_world(frame.from_ras, mm)
    attach(viewer).go_to(mm)
    before_it = tuple(viewer.dims.point)
    planes = show_planes(viewer)
    first, second = planes.views
    # One stays where one was.
    assert tuple(viewer.dims.point) == pytest.approx(before_it)
    assert tuple(first.model.dims.point) == pytest.approx(before_it)
    # The canvas shows thick axial slices; the others cut along y and x.
    assert [v.model.dims.order for v in (first, second)] == [(1, 0, 2), (2, 0, 1)]
    click(viewer, there)
    step = np.abs(np.diag(np.asarray(image.affine))[:3])
    for model in (viewer, first.model, second.model):
        assert (np.abs(np.array(model.dims.point) - there) <= step / 2 + 1e-6).all()
        assert np.allclose(crossing(model.layers[NAME]), model.dims.point)
    # The voxel under the cross-hair is the bright one, in each plane.
    for view in (first, second):
        assert view.model.layers[0].get_value(view.model.dims.point, world=True) == 1000
    # Letters: coronal is seen from the front, head up; sagittal with the front left.
    texts = first.model.canvas.overlays
    assert texts["resonance_left"].text.startswith("R")
    assert texts["resonance_top"].text.startswith("S")
    assert second.model.canvas.overlays["resonance_left"].text.startswith("A")
    assert not texts.get("resonance_answer").visible
    # A click in a side plane moves the canvas too; contrast follows.
    other = there + 3 * step
    click(first.model, other)
    assert (np.abs(np.array(viewer.dims.point) - other) <= step / 2 + 1e-6).all()
    image.contrast_limits = (10, 20)
    assert first.model.layers[0].contrast_limits == [10, 20]
    # Another plane on the canvas leaves the other two to the sides.
    viewer.dims.order = (1, 0, 2)
    assert [v.model.dims.order for v in (first, second)] == [(0, 1, 2), (2, 0, 1)]
    assert viewer.layers.selection.active is image
    show_planes(viewer)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    assert PLANES not in viewer.window.dock_widgets
    assert NAME not in viewer.layers
    kept = {w for w in QApplication.topLevelWidgets() if w.parent() is None}
    assert kept <= before
    click(viewer, there)
    assert (np.abs(np.array(viewer.dims.point) - other) <= step / 2 + 1e-6).all()


def test_planes_leave_room_for_canvas_and_panel(
    make_viewer: Any, qtbot: Any, bundle: Any
) -> None:
    viewer = make_viewer(show=True)
    panel = open_panel(viewer, qtbot)
    viewer.window.set_geometry(0, 0, 1280, 800)
    add_phantom(viewer)
    panel.model_picker.add_model(load_bundle(bundle))
    press_run(panel)
    wait_idle(panel, qtbot)
    planes = show_planes(viewer)
    bars, column = panel.view.result.bars, panel.column
    qtbot.waitUntil(lambda: planes.height() > 100, timeout=TIMEOUT)
    assert planes.height() <= 0.4 * 800
    assert bars.height() >= bars.sizeHint().height() > 0
    # The answer stands in the window without scrolling.
    below = bars.mapTo(column.viewport(), bars.rect().bottomLeft()).y()
    assert column.verticalScrollBar().value() == 0
    assert below < column.viewport().height()
    # What few read or change stands below it.
    picker = panel.model_picker
    for fold in (picker.card, picker.device_picker):
        assert fold.mapTo(column.viewport(), fold.rect().topLeft()).y() > below
    show_planes(viewer)
    wait_for_threads(qtbot)


def test_planes_wait_for_a_scan_and_take_a_series_of_volumes(viewer: Any) -> None:
    planes = show_planes(viewer)
    assert planes.views == []
    assert planes.empty.isVisibleTo(planes)
    scan, mm = time_phantom()
    add_scans(viewer, [scan_layer(scan)])
    first, second = planes.views
    assert first.model.dims.order == (0, 2, 1, 3)
    there = (1.0, *to_world(attach(viewer).frame.from_ras, mm))
    click(second.model, there)
    assert viewer.dims.point[0] == pytest.approx(1.0)
    assert first.model.layers[0].get_value(first.model.dims.point, world=True) == 2000
    viewer.layers.clear()
    assert len(first.model.layers) == 0
    show_planes(viewer)


def _fitted(model: Any) -> float:
    """Return the zoom at which a canvas shows all, and leave it as it is."""
    camera = model.scene.camera
    zoom, center = camera.zoom, camera.center
    with model.events.reset_view.blocker(), camera.events.blocker():
        model.fit_to_view()
        found = float(camera.zoom)
        camera.zoom, camera.center = zoom, center
    return found


def _picture(canvas: Any) -> Any:
    QApplication.processEvents()
    return canvas.screenshot(flash=False)


def test_canvases_are_zoomed_together(make_viewer: Any, qtbot: Any) -> None:
    viewer = make_viewer(show=True)
    viewer.window.set_geometry(0, 0, 1000, 800)
    image = add_phantom(viewer)
    planes = show_planes(viewer)
    models = [viewer, *(view.model for view in planes.views)]
    cameras = [model.scene.camera for model in models]

    def factors() -> list[float]:
        return [m.scene.camera.zoom / _fitted(m) for m in models]

    qtbot.waitUntil(lambda: factors() == pytest.approx([1, 1, 1]), timeout=TIMEOUT)
    qtbot.wait(200)
    viewer.scene.camera.zoom *= 3
    assert factors() == pytest.approx([3, 3, 3])
    # The scale bars leave room for the letters of the edges.
    for view in planes.views:
        zoom = view.model.scene.camera.zoom
        length = view.model.canvas.overlays.scale_bar.length
        assert 0 < length * zoom <= view.canvas.width() / 4
        assert view.cross_hair.layer.edge_width * zoom == pytest.approx(2)
        # And are drawn as long as that: drawing them anew changes nothing.
        shown = _picture(view.canvas)
        bar = view.model.canvas.overlays.scale_bar
        bar.events.font_size.emit(bar.font_size)
        assert np.array_equal(_picture(view.canvas), shown)
    # The others go on showing the place where the slices cross.
    for model, camera in zip(models[1:], cameras[1:], strict=True):
        there = [model.dims.point[axis] for axis in model.dims.displayed]
        assert camera.center[-2:] == pytest.approx(tuple(there))
    # One of them enlarges the canvas and the other one too.
    cameras[1].zoom *= 2
    assert factors() == pytest.approx([6, 6, 6])
    # A click near the edge of the scan leads all canvases there.
    low, high = np.asarray(image.extent.world)
    click(models[2], low + 0.1 * (high - low))
    for model, camera in zip(models, cameras, strict=True):
        there = np.array([model.dims.point[axis] for axis in model.dims.displayed])
        half = np.array(model.canvas.size) / camera.zoom / 2
        assert (np.abs(there - np.array(camera.center[-2:])) <= half).all()
    # A side view of another size keeps the factor.
    planes.views[0].resize(planes.views[0].width(), 150)
    qtbot.wait(200)
    assert factors()[1:] == pytest.approx([6, 6])
    # Home shows all again, on all canvases; so does another plane.
    viewer.fit_to_view()
    assert factors() == pytest.approx([1, 1, 1])
    viewer.scene.camera.zoom *= 2
    viewer.dims.order = (1, 0, 2)
    # The canvas's own fit differs by a few per cent from one a moment later.
    assert factors() == pytest.approx([1, 1, 1], abs=0.1)
    show_planes(viewer)
    viewer.scene.camera.zoom *= 2
    wait_for_threads(qtbot)
