"""The Classify panel in a real window, opened through the manifest."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication
from support.bundles import tiny_bundle
from support.panels import (
    TIMEOUT,
    SlowWork,
    add_phantom,
    open_panel,
    press_run,
    wait_for_threads,
    wait_idle,
)
from support.phantoms import phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import UnsuitableScanError
from napari_resonance.geometry import to_world
from napari_resonance.scan import Scan
from napari_resonance.viewer import classify_panel
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.classification import classified
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.viewer_actions import add_scans


def test_run_without_a_scan_says_so(panel: Any) -> None:
    press_run(panel)
    assert panel.message.sentence() == classify_panel.NO_SCAN
    assert not panel.runner.is_busy


def test_run_without_a_model_says_so(viewer: Any, panel: Any) -> None:
    add_phantom(viewer)
    panel.model_picker.box.clear()
    press_run(panel)
    assert panel.message.sentence() == classify_panel.NO_MODEL


@pytest.mark.parametrize("name", ["oblique", "sheared", "sagittal"])
def test_the_button_leads_to_answer_and_map(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path, name: str
) -> None:
    scan, mm = phantom(name)
    (image,) = add_scans(viewer, [scan_layer(scan)])
    panel.model_picker.add_model(load_bundle(bundle))
    press_run(panel)
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    assert panel.view.result.isVisibleTo(panel)
    assert panel.view.result.label.text().startswith("spot")
    answer = record_of(image).prediction
    assert answer.label == "spot"
    assert viewer.canvas.overlays["resonance_answer"].text.startswith("spot")
    overlay = viewer.layers["Grad-CAM for spot"]
    assert overlay.visible
    # The peak's cell is the one that holds the bright voxel.
    index = np.unravel_index(int(overlay.data.argmax()), overlay.data.shape)
    there = np.array(overlay.data_to_world(index))
    frame = attach(viewer).frame
    assert np.allclose(there, to_world(frame.from_ras, answer.saliency.peak_mm))
    wanted = to_world(frame.from_ras, mm)
    cell = np.abs(frame.axes @ answer.saliency.affine[:3, :3]).max(axis=1)
    assert (np.abs(there - wanted) <= 0.75 * cell).all()
    # And the sliders stand there.
    step = np.abs(np.diag(np.asarray(image.affine))[:3])
    assert (np.abs(np.array(viewer.dims.point) - there) <= step).all()
    assert viewer.layers.selection.active is image


@pytest.mark.parametrize("plain", [False, True])
def test_a_model_of_colours_is_asked_about_a_photograph(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path, plain: bool
) -> None:
    folder = tiny_bundle(tmp_path / "m", dimensions=2, color=True, modality=())
    colors = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    scan = Scan(colors.transpose(1, 0, 2)[:, :, np.newaxis], np.eye(4), color=True)
    if plain:
        viewer.add_image(colors, rgb=True)
    else:
        add_scans(viewer, [scan_layer(scan)])
    panel.model_picker.add_model(load_bundle(folder))
    press_run(panel)
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    expected = load_classifier(folder, "cpu").classify(scan)
    answer = record_of(panel.scan_picker.layer).prediction
    assert answer.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    assert any(layer.name.startswith("Grad-CAM") for layer in viewer.layers)


def test_another_class_can_be_explained(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path
) -> None:
    add_phantom(viewer)
    panel.model_picker.add_model(load_bundle(bundle))
    press_run(panel)
    wait_idle(panel, qtbot)
    panel.explain_row.target_box.setCurrentText("nothing")
    press_run(panel)
    wait_idle(panel, qtbot)
    # This network has no weights for it, so there is nothing to show.
    assert [layer.visible for layer in viewer.layers] == [True, False]
    assert panel.view.result.place.text() == "Nothing in the scan speaks for nothing."
    panel.explain_row.target_box.setCurrentText("spot")
    press_run(panel)
    wait_idle(panel, qtbot)
    assert [layer.visible for layer in viewer.layers] == [True, True]


def test_work_runs_beside_the_window(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    add_phantom(viewer)
    press_run(panel)
    slow.started.wait()
    assert slow.thread != threading.get_ident()
    assert not panel.run_row.run_button.isEnabled()
    assert panel.run_row.cancel_button.isEnabled()
    qtbot.waitUntil(
        lambda: panel.run_row.text.text() == "Running the network…", timeout=TIMEOUT
    )
    assert (panel.run_row.bar.value(), panel.run_row.bar.maximum()) == (1, 3)
    slow.go_on.set()
    wait_idle(panel, qtbot)
    assert panel.run_row.run_button.isEnabled()
    assert panel.view.result.isVisibleTo(panel)


def test_the_window_is_never_held(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    """Measure how long our code keeps the window's thread computing, from tick to tick.

    Processor time of that thread, not wall time, which other programs can stretch. What
    napari does to draw new layers is not ours, so the beat ends with the work.
    """
    add_phantom(viewer)
    ticks: list[float] = []
    heart = QTimer()
    heart.setInterval(5)
    heart.timeout.connect(lambda: ticks.append(time.thread_time()))
    heart.start()
    press_run(panel)
    qtbot.waitUntil(lambda: len(ticks) > 40 and slow.started.is_set(), timeout=TIMEOUT)
    panel.run_row.cancel_button.click()
    wait_idle(panel, qtbot)
    heart.stop()
    assert np.diff(ticks).max() < 0.1


def test_cancel_frees_the_panel_at_once(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    add_phantom(viewer)
    press_run(panel)
    slow.started.wait()
    begin = time.perf_counter()
    panel.run_row.cancel_button.click()
    assert time.perf_counter() - begin < 1
    assert panel.run_row.run_button.isEnabled()
    slow.go_on.set()
    wait_for_threads(qtbot)
    QApplication.processEvents()
    assert len(viewer.layers) == 1
    assert not panel.view.result.isVisibleTo(panel)


def test_failed_work_is_a_sentence_and_the_panel_stays_usable(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    def refuse(options: Any) -> None:
        raise UnsuitableScanError("tiny was made for CT", remedy="Choose another model")

    add_phantom(viewer)
    slow.result, usual = refuse, slow.result
    slow.go_on.set()
    press_run(panel)
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == "tiny was made for CT. Choose another model."
    assert panel.run_row.run_button.isEnabled()
    slow.result = usual
    press_run(panel)
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    assert panel.view.result.isVisibleTo(panel)


def test_a_fault_of_the_program_is_a_sentence_too(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    slow.result = lambda options: 1 // 0
    slow.go_on.set()
    add_phantom(viewer)
    press_run(panel)
    wait_idle(panel, qtbot)
    assert "ZeroDivisionError" in panel.message.sentence()
    assert "1 // 0" in panel.message.details.text().replace("\u200b", "")
    assert panel.message.copy_button.isVisibleTo(panel)
    assert panel.run_row.run_button.isEnabled()


def test_a_scan_closed_during_work_loses_its_result(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    add_phantom(viewer)
    press_run(panel)
    slow.started.wait()
    viewer.layers.clear()
    slow.go_on.set()
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == classify_panel.SCAN_CLOSED
    assert len(viewer.layers) == 0


@pytest.mark.parametrize("how", ["dock", "window"])
def test_closing_during_work_leaves_nothing(
    make_viewer: Any,
    qtbot: Any,
    bundle: Path,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = set(QApplication.topLevelWidgets())
    viewer = make_viewer()
    windows = set(QApplication.topLevelWidgets())
    panel = open_panel(viewer, qtbot)
    work = SlowWork()
    monkeypatch.setattr(classify_panel, "classify", work)
    panel.model_picker.add_model(load_bundle(bundle))
    add_phantom(viewer)
    press_run(panel)
    work.started.wait()
    if how == "dock":
        # What a click on the cross of the dock does.
        panel.parent().destroyOnClose()
        left = windows
    else:
        viewer.close()
        left = before
    wait_for_threads(qtbot)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    # Lists that drop down are windows too, but with a parent.
    kept = [w for w in QApplication.topLevelWidgets() if w.parent() is None]
    assert [w for w in kept if w not in left] == []
    assert not work.go_on.is_set()
    if how == "dock":
        # Nobody listens any more: the viewer goes on without the panel.
        add_phantom(viewer, "flipped")
        viewer.dims.ndisplay = 3
        assert open_panel(viewer, qtbot) is not panel


def test_the_answer_follows_the_scan_that_is_picked(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    one, two = add_scans(
        viewer, [scan_layer(phantom(n)[0]) for n in ("oblique", "flipped")]
    )
    slow.go_on.set()
    press_run(panel)
    wait_idle(panel, qtbot)
    assert panel.view.result.isVisibleTo(panel)
    panel.scan_picker.box.setCurrentIndex(1)
    panel.scan_picker.box.activated.emit(1)
    assert two.visible
    assert not one.visible
    assert not panel.view.result.isVisibleTo(panel)
    viewer.layers.selection.active = one
    assert panel.scan_picker.layer is one
    assert panel.view.result.isVisibleTo(panel)


def test_a_map_of_nothing_moves_nothing(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    add_phantom(viewer)
    full = slow.result

    def empty(options: Any) -> Any:
        answer = full(options).prediction
        nothing = replace(answer.saliency, values=0 * answer.saliency.values)
        return classified(options.scan(), replace(answer, saliency=nothing))

    slow.go_on.set()
    press_run(panel)
    wait_idle(panel, qtbot)
    assert len(viewer.layers) == 2
    slow.result = empty
    viewer.dims.point = viewer.layers[0].data_to_world((3, 4, 5))
    before = viewer.dims.point
    press_run(panel)
    wait_idle(panel, qtbot)
    assert [layer.visible for layer in viewer.layers] == [True, False]
    assert viewer.dims.point == pytest.approx(before)
    assert panel.view.saliency_controls.isHidden()


def test_nothing_is_cut_off_at_the_edge_of_the_dock(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    long = "a_name_without_any_gap_in_it_that_is_far_too_long_for_a_dock.nii"
    add_phantom(viewer).name = long
    panel.model_picker.box.addItem(long)
    panel.message.show_error(f"/{long}/{long}: is not a scan.")
    slow.go_on.set()
    press_run(panel)
    wait_idle(panel, qtbot)
    content = panel.run_row.parentWidget()
    assert content.minimumSizeHint().width() <= panel.minimumWidth() - 20


def test_an_empty_window_asks_for_a_scan_only(viewer: Any, panel: Any) -> None:
    later = (panel.explain_row, panel.planes_button, panel.view.trust)
    assert not any(widget.isVisibleTo(panel) for widget in later)
    assert panel.drop_area.hint.isVisibleTo(panel)
    layer = add_phantom(viewer)
    assert panel.explain_row.isVisibleTo(panel)
    assert panel.planes_button.isVisibleTo(panel)
    # The hint makes room for what was opened.
    assert not panel.drop_area.hint.isVisibleTo(panel)
    viewer.layers.remove(layer)
    assert panel.drop_area.hint.isVisibleTo(panel)
