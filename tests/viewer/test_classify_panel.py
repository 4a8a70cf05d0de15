"""The Classify panel in a real window, opened through the manifest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication
from support.answers import map_with_peak_at, prediction
from support.bundles import spot_bundle
from support.phantoms import phantom, write_dicom_series, write_nifti

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.errors import CancelledError, UnsuitableScanError
from napari_resonance.geometry import to_world
from napari_resonance.viewer import classify_panel
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.classification import classified
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.viewer_actions import add_scans

TIMEOUT = 60_000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spot_bundle(tmp_path_factory.mktemp("models") / "spot")


@pytest.fixture
def panel(viewer: Any, qtbot: Any) -> Iterator[Any]:
    """Return the panel, idle, in the window of `viewer`."""
    panel = open_panel(viewer, qtbot)
    yield panel
    wait_for_threads(qtbot)


def open_panel(viewer: Any, qtbot: Any) -> Any:
    _, panel = viewer.window.add_plugin_dock_widget("napari-resonance", "Classify")
    qtbot.waitUntil(lambda: not panel.runner.is_busy, timeout=TIMEOUT)
    return panel


def wait_for_threads(qtbot: Any) -> None:
    qtbot.waitUntil(
        lambda: (
            not [t for t in threading.enumerate() if t.name.startswith("resonance")]
        ),
        timeout=TIMEOUT,
    )


def add_phantom(viewer: Any, name: str = "oblique") -> Any:
    (layer,) = add_scans(viewer, [scan_layer(phantom(name)[0])])
    return layer


class SlowWork:
    """Stands for `classify`: waits until it is let go, or asked to stop."""

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()
        self.thread = 0
        self.result: Callable[[Any], Any] = lambda options: classified(
            scan := options.scan(), prediction(map_with_peak_at(scan, np.zeros(3)))
        )

    def __call__(self, options: Any, progress: Any, should_stop: Any) -> Any:
        self.thread = threading.get_ident()
        progress(1, 3, "running the network")
        self.started.set()
        while not self.go_on.wait(0.005):
            if should_stop():
                raise CancelledError("stopped")
        return self.result(options)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, panel: Any, bundle: Path) -> SlowWork:
    """Replace the classification by one that the test lets go."""
    work = SlowWork()
    monkeypatch.setattr(classify_panel, "classify", work)
    panel.model_picker.add_model(load_bundle(bundle))
    return work


def press_run(panel: Any) -> None:
    panel.run_row.run_button.click()


def wait_idle(panel: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not panel.runner.is_busy, timeout=TIMEOUT)


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
    assert panel.result.isVisibleTo(panel)
    assert panel.result.label.text().startswith("spot")
    answer = record_of(image).prediction
    assert answer.label == "spot"
    assert viewer.canvas.overlays["resonance_answer"].text.startswith("spot")
    overlay = viewer.layers["Grad-CAM for spot"]
    assert overlay.visible
    # The peak's cell is the one that holds the bright voxel.
    index = np.unravel_index(int(overlay.data.argmax()), overlay.data.shape)
    there = np.array(overlay.data_to_world(index))
    wanted = to_world(attach(viewer).frame.from_ras, mm)
    cell = np.abs(np.diag(np.asarray(overlay.affine))[:3])
    assert (np.abs(there - wanted) <= 0.75 * cell).all()
    # And the sliders stand there.
    step = np.abs(np.diag(np.asarray(image.affine))[:3])
    assert (np.abs(np.array(viewer.dims.point) - there) <= step).all()
    assert viewer.layers.selection.active is image


def test_another_class_can_be_explained(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path
) -> None:
    add_phantom(viewer)
    panel.model_picker.add_model(load_bundle(bundle))
    press_run(panel)
    wait_idle(panel, qtbot)
    panel.model_picker.target_box.setCurrentText("nothing")
    press_run(panel)
    wait_idle(panel, qtbot)
    # This network has no weights for it, so there is nothing to show.
    assert [layer.visible for layer in viewer.layers] == [True, False]
    assert panel.result.place.text() == "Nothing in the scan speaks for nothing."
    panel.model_picker.target_box.setCurrentText("spot")
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
    assert panel.result.isVisibleTo(panel)


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
    assert not panel.result.isVisibleTo(panel)


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
    assert panel.result.isVisibleTo(panel)


def test_a_fault_of_the_program_is_a_sentence_too(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    slow.result = lambda options: 1 // 0
    slow.go_on.set()
    add_phantom(viewer)
    press_run(panel)
    wait_idle(panel, qtbot)
    assert "ZeroDivisionError" in panel.message.sentence()
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


def test_a_study_folder_opens_in_the_background(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    write_dicom_series(phantom("oblique")[0], tmp_path / "study" / "a", SeriesNumber=1)
    write_dicom_series(phantom("sagittal")[0], tmp_path / "study" / "b", SeriesNumber=2)
    (tmp_path / "study" / "letter.txt").write_text("not a scan")
    panel.drop_area.dropped.emit([tmp_path / "study"])
    assert panel.runner.is_busy
    wait_idle(panel, qtbot)
    assert sorted(layer.name for layer in viewer.layers) == [
        "MR · oblique axial",
        "MR · sagittal",
    ]
    assert [layer.visible for layer in viewer.layers] == [True, False]
    assert panel.message.sentence().startswith("2 scans opened.")
    assert panel.scan_picker.box.count() == 2
    assert panel.scan_picker.layer is viewer.layers[0]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing.nii", None, "missing.nii"),
        ("text.dcm", b"I am not a scan", "text.dcm"),
        ("short.nii.gz", b"\x1f\x8b\x08\x00", "short.nii.gz"),
        ("empty", "folder", "no scan was found"),
    ],
)
def test_what_cannot_be_opened_is_a_sentence(
    panel: Any, qtbot: Any, tmp_path: Path, name: str, content: Any, expected: str
) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    panel.open_paths([path])
    wait_idle(panel, qtbot)
    assert expected in panel.message.sentence()
    assert panel.run_row.run_button.isEnabled()


def test_a_broken_model_folder_is_a_sentence(
    panel: Any, qtbot: Any, tmp_path: Path, bundle: Path
) -> None:
    panel.model_picker.folder_chosen.emit(tmp_path)
    wait_idle(panel, qtbot)
    assert str(tmp_path) in panel.message.sentence()
    panel.model_picker.folder_chosen.emit(bundle)
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    assert panel.model_picker.model.path == bundle
    assert panel.model_picker.target_box.count() == 3


def test_a_turned_scan_can_be_resampled_to_the_view(
    viewer: Any, panel: Any, qtbot: Any
) -> None:
    layers = [scan_layer(phantom(n, study="1")[0]) for n in ("straight", "oblique")]
    one, two = add_scans(viewer, layers)
    two.visible = True
    viewer.layers.selection.active = two
    assert attach(viewer).hidden_layers() == [one]
    assert panel.hidden_row.isVisibleTo(panel)
    panel.hidden_row.button.click()
    wait_idle(panel, qtbot)
    added = viewer.layers[-1]
    assert added.name == "MR · axial, resampled"
    assert added.visible
    assert two.visible
    assert added.data.shape == two.data.shape


def test_a_plain_image_is_asked_what_it_is(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path
) -> None:
    scan, _ = phantom("straight")
    data = np.asarray(scan.voxels).T
    plain = viewer.add_image(data, scale=(2.5, 1.3, 0.9), name="from elsewhere")
    assert panel.scan_picker.orientation.isVisibleTo(panel)
    panel.scan_picker.modality.setCurrentText("MR")
    panel.scan_picker.orientation.setCurrentText("Axes in NIfTI order (x, y, z)")
    index = panel.scan_picker.orientation.findData("SPL")
    panel.scan_picker.orientation.setCurrentIndex(index)
    panel.model_picker.add_model(load_bundle(bundle))
    press_run(panel)
    wait_idle(panel, qtbot)
    assert not plain.visible
    image = panel.scan_picker.layer
    assert record_of(image).scan.orientation == "LPS"
    assert record_of(image).scan.modality == "MR"
    assert np.allclose(record_of(image).scan.spacing, (0.9, 1.3, 2.5))
    assert viewer.layers["Grad-CAM for spot"].visible
    assert not panel.scan_picker.orientation.isVisibleTo(panel)


def test_the_answer_follows_the_scan_that_is_picked(
    viewer: Any, panel: Any, qtbot: Any, slow: SlowWork
) -> None:
    one, two = add_scans(
        viewer, [scan_layer(phantom(n)[0]) for n in ("oblique", "flipped")]
    )
    slow.go_on.set()
    press_run(panel)
    wait_idle(panel, qtbot)
    assert panel.result.isVisibleTo(panel)
    panel.scan_picker.box.setCurrentIndex(1)
    panel.scan_picker.box.activated.emit(1)
    assert two.visible
    assert not one.visible
    assert not panel.result.isVisibleTo(panel)
    viewer.layers.selection.active = one
    assert panel.scan_picker.layer is one
    assert panel.result.isVisibleTo(panel)


def test_a_nifti_can_be_dropped(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    scan, mm = phantom("oblique")
    path = write_nifti(scan, tmp_path / "brain.nii.gz")
    panel.drop_area.dropped.emit([path])
    wait_idle(panel, qtbot)
    (layer,) = viewer.layers
    index = np.unravel_index(int(layer.data.argmax()), layer.data.shape)
    there = attach(viewer).frame.from_ras[:3, :3].T @ layer.data_to_world(index)
    assert np.allclose(there, mm, atol=1e-3)
    assert panel.message.sentence() == ""


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
    assert panel.saliency_controls.isHidden()
