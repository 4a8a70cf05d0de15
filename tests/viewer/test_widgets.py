"""The small widgets of the panel, one by one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from qtpy.QtWidgets import QFileDialog, QLabel, QProgressBar, QVBoxLayout, QWidget
from support.answers import map_with_peak_at, prediction
from support.bundles import tiny_bundle
from support.phantoms import phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.prediction import OutOfDistribution
from napari_resonance.saliency.question import ExplainOptions
from napari_resonance.viewer.classification import find_choices
from napari_resonance.viewer.devices import find_devices
from napari_resonance.viewer.drop_area import DropArea
from napari_resonance.viewer.explain_row import ExplainRow
from napari_resonance.viewer.fold import Fold, text_label
from napari_resonance.viewer.layers import saliency_layer, scan_layer
from napari_resonance.viewer.map_colors import (
    set_style,
    set_threshold,
    style_of,
    threshold_of,
)
from napari_resonance.viewer.message import Message
from napari_resonance.viewer.model_picker import ModelPicker
from napari_resonance.viewer.probability_bars import ProbabilityBars
from napari_resonance.viewer.result_view import ResultView
from napari_resonance.viewer.run_row import RunRow
from napari_resonance.viewer.saliency_controls import SaliencyControls
from napari_resonance.viewer.scan_picker import ScanPicker
from napari_resonance.viewer.viewer_actions import add_layer, add_scans


def mime(*urls: QUrl) -> QMimeData:
    data = QMimeData()
    data.setUrls(list(urls))
    return data


def test_files_and_folders_are_dropped(qtbot: Any, tmp_path: Path) -> None:
    area = DropArea()
    qtbot.addWidget(area)
    data = mime(QUrl.fromLocalFile(str(tmp_path)), QUrl("https://example.org/a.dcm"))
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    keys = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), copy, data, left, keys)
    area.dragEnterEvent(enter)
    assert enter.isAccepted()
    with qtbot.waitSignal(area.dropped) as blocker:
        area.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, keys))
    assert blocker.args == [[tmp_path]]


def test_text_is_not_accepted(qtbot: Any) -> None:
    area = DropArea()
    qtbot.addWidget(area)
    data = QMimeData()
    data.setText("hello")
    event = QDragEnterEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    event.ignore()
    area.dragEnterEvent(event)
    assert not event.isAccepted()


def test_the_buttons_ask_for_files_and_folders(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    area = DropArea()
    qtbot.addWidget(area)
    chosen: list[Any] = []
    area.dropped.connect(chosen.append)
    answers = {"getExistingDirectory": "", "getOpenFileNames": ([], "")}
    for name in ("getExistingDirectory", "getOpenFileNames"):
        monkeypatch.setattr(QFileDialog, name, lambda *_, name=name: answers[name])
    area.folder_button.click()
    area.files_button.click()
    assert chosen == []
    answers["getExistingDirectory"] = str(tmp_path)
    answers["getOpenFileNames"] = ([str(tmp_path / "a.nii")], "")
    area.folder_button.click()
    area.files_button.click()
    assert chosen == [[tmp_path], [tmp_path / "a.nii"]]


def test_a_message_is_there_only_while_it_says_something(qtbot: Any) -> None:
    message = Message()
    qtbot.addWidget(message)
    assert message.isHidden()
    message.show_error("a/b_c.nii: is <b>broken</b>.")
    assert not message.isHidden()
    assert message.sentence() == "a/b_c.nii: is <b>broken</b>."
    message.clear_message()
    assert message.isHidden()


def test_a_fault_has_details_to_copy(qtbot: Any) -> None:
    message = Message()
    qtbot.addWidget(message)
    message.show_error("It failed.", "Traceback: /a/b_c.py")
    assert not message.fold.isHidden()
    message.copy_button.click()
    copied = QGuiApplication.clipboard().text()
    assert copied == "It failed.\n\nTraceback: /a/b_c.py"
    message.show_note("Done.")
    assert message.fold.isHidden()
    assert message.copy_button.isHidden()


def test_a_long_path_does_not_widen_the_panel(qtbot: Any) -> None:
    message = Message()
    qtbot.addWidget(message)
    message.show_note("/".join(["a_long_name_of_a_folder"] * 20))
    assert message.minimumSizeHint().width() < 250


def test_there_is_one_bar_for_each_class(qtbot: Any) -> None:
    bars = ProbabilityBars()
    qtbot.addWidget(bars)
    bars.show_probabilities({"x": 1.0})
    bars.show_probabilities({"T1w": 0.7, "T2w": 0.3})
    shown = [bar for bar in bars.findChildren(QProgressBar) if not bar.isHidden()]
    assert [bar.value() for bar in shown] == [700, 300]
    texts = [
        label.text() for label in bars.findChildren(QLabel) if not label.isHidden()
    ]
    assert texts == ["T1w", "70.0 %", "T2w", "30.0 %"]


@pytest.mark.parametrize(
    ("fields", "badge", "reason"),
    [
        ({}, "Sure", ""),
        (
            {"sure": False, "prediction_set": ("a", "b")},
            "Unsure",
            "It could also be b.",
        ),
        (
            {
                "sure": False,
                "out_of_distribution": OutOfDistribution(2, True, "this is no head"),
            },
            "Unlike its training data",
            "This is no head.",
        ),
    ],
)
def test_how_sure_is_said_in_words(
    qtbot: Any, fields: dict[str, Any], badge: str, reason: str
) -> None:
    view = ResultView()
    qtbot.addWidget(view)
    assert view.isHidden()
    view.show_prediction(prediction(**fields))
    assert view.label.text() == "a  91.0 %"
    assert view.badge.text() == badge
    assert view.reason.text() == reason
    assert view.reason.isHidden() is not bool(reason)
    several = fields.get("prediction_set")
    assert view.set.text() == ("Prediction set: a, b." if several else "")
    view.show_prediction(None)
    assert view.isHidden()


def test_place_and_notes_are_said(qtbot: Any) -> None:
    scan, mm = phantom()
    view = ResultView()
    qtbot.addWidget(view)
    notes = tuple(f"note {n}" for n in range(5))
    answer = prediction(map_with_peak_at(scan, mm), warnings=notes)
    view.show_prediction(answer, "right hemisphere")
    assert view.place.text() == "Peak of the map: right hemisphere."
    assert view.notes.text().splitlines()[-1] == "and 2 more notes"
    assert "weights 01234567" in view.origin.text()
    with qtbot.waitSignal(view.peak_wanted):
        view.peak_button.click()
    view.show_prediction(prediction())
    assert view.peak_button.isHidden()


def test_a_map_of_nothing_is_said_to_be_one(qtbot: Any) -> None:
    scan, mm = phantom()
    empty = map_with_peak_at(scan, mm)
    empty = replace(empty, values=0 * empty.values)
    view = ResultView()
    qtbot.addWidget(view)
    view.show_prediction(prediction(empty))
    assert view.place.text() == "Nothing in the scan speaks for a."
    assert view.peak_button.isHidden()


def test_run_or_cancel_never_both(qtbot: Any) -> None:
    row = RunRow("Classify", "Classify the scan")
    qtbot.addWidget(row)
    assert (row.run_button.isEnabled(), row.cancel_button.isEnabled()) == (True, False)
    row.set_busy(True)
    row.show_progress(1, 4, "reading")
    assert (row.run_button.isEnabled(), row.cancel_button.isEnabled()) == (False, True)
    assert row.text.text() == "Reading…"
    row.set_busy(False)
    assert row.bar.isHidden()


def test_a_model_comes_with_its_card(qtbot: Any, bundle: Path) -> None:
    picker = ModelPicker()
    qtbot.addWidget(picker)
    assert picker.model is None
    assert picker.device_picker.device == "auto"
    assert picker.card.isHidden()
    chosen: list[Any] = []
    picker.changed.connect(chosen.append)
    own = load_bundle("mr-sequence")
    picker.set_models((own, load_bundle(bundle)))
    picker.device_picker.set_devices(find_devices())
    assert picker.model is own
    assert picker.about.text() == own.card.task
    text = picker.card.label.text()
    assert "Scans: 3D, MR, head" in text
    assert "28 volumes of 8 patients" in text
    assert "Accuracy left out patient as acquired: 0.976 (0.926 to 1)" in text
    assert "Licence: CC-BY-4.0" in text
    picker.device_picker.device_box.setCurrentIndex(
        picker.device_picker.device_box.findData("cpu")
    )
    assert picker.device_picker.device == "cpu"
    assert picker.device_picker.device_box.currentText().endswith("GB free")
    picker.box.setCurrentIndex(1)
    assert chosen[-1].path == bundle
    picker.box.setCurrentIndex(-1)
    assert chosen[-1] is None
    assert picker.card.isHidden()


def test_a_model_that_was_trained_again_takes_its_place(
    qtbot: Any, tmp_path: Path
) -> None:
    picker = ModelPicker()
    qtbot.addWidget(picker)
    picker.add_model(load_bundle(tiny_bundle(tmp_path / "m")))
    shutil.rmtree(tmp_path / "m")
    again = load_bundle(tiny_bundle(tmp_path / "m", labels=("x", "y")))
    with qtbot.waitSignal(picker.changed):
        picker.add_model(again)
    assert picker.box.count() == 1
    assert picker.model is again


def test_another_map_can_be_asked_for(qtbot: Any) -> None:
    row = ExplainRow()
    qtbot.addWidget(row)
    row.follow_model(("a", "b"))
    row.target_box.setCurrentText("b")
    row.against_box.setCurrentText("a")
    row.method_box.setCurrentText("Gradient × input")
    row.sign_box.setCurrentText("For and against")
    wanted = ExplainOptions("gradient-x-input", "b", "a", "both", force=True)
    assert row.options(force=True) == wanted
    with qtbot.waitSignal(row.changed):
        row.method_box.activated.emit(0)
    row.follow_model(())
    assert (row.options().target, row.options().against) == (None, None)


def test_the_processor_is_always_offered() -> None:
    said: list[Any] = []
    choices = find_choices(lambda *values: said.append(values), lambda: False)
    assert {"auto", "cpu"} <= {device.name for device in choices.devices}
    assert choices.devices[0].text.startswith("Automatic (")
    assert said


def test_sliders_move_the_map(viewer: Any, qtbot: Any) -> None:
    scan, mm = phantom()
    data = saliency_layer(scan, prediction(map_with_peak_at(scan, mm)))
    layer = add_layer(viewer, data)
    controls = SaliencyControls()
    assert controls.isHidden()
    viewer.window.add_dock_widget(controls)
    controls.follow(layer)
    assert not controls.isHidden()
    assert (controls.threshold.value(), controls.opacity.value()) == (50, 60)
    controls.threshold.setValue(60)
    controls.opacity.setValue(40)
    assert layer.contrast_limits == pytest.approx((1.5, 2.5))
    assert layer.opacity == pytest.approx(0.4)
    controls.follow(None)
    controls.threshold.setValue(10)
    assert layer.contrast_limits == pytest.approx((1.5, 2.5))


def test_bars_have_their_height_at_once(qtbot: Any) -> None:
    bars = ProbabilityBars()
    qtbot.addWidget(bars)
    bars.show()
    bars.show_probabilities({"a": 0.7, "b": 0.2, "c": 0.1})
    # Nothing has come round to Qt in between: a layout made now has to know it.
    assert bars.sizeHint().height() >= 3 * QLabel("a").sizeHint().height()


def test_thresholds_leave_no_colour_maps_behind(viewer: Any) -> None:
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    def ours() -> list[str]:
        return [name for name in AVAILABLE_COLORMAPS if name.startswith("saliency")]

    scan, mm = phantom()
    two_sided = replace(map_with_peak_at(scan, mm), sign="both")
    layer = add_layer(viewer, saliency_layer(scan, prediction(two_sided)))
    for share in (0.2, 0.4, 0.6):
        set_threshold(layer, 2.5, share)
        assert threshold_of(layer, 2.5) == pytest.approx(share, abs=0.01)
        set_style(layer, 2.5, "contour")
        assert style_of(layer) == "contour"
        set_style(layer, 2.5, "wash")
    assert sorted(n for n in ours() if "both" in n) == [
        "saliency both",
        "saliency both contour",
    ]
    # A second map has the same name and keeps its own colours.
    other = add_layer(viewer, saliency_layer(scan, prediction(two_sided)))
    assert layer.colormap.name == other.colormap.name == "saliency both"
    assert threshold_of(layer, 2.5) == pytest.approx(0.6, abs=0.01)
    assert threshold_of(other, 2.5) == pytest.approx(0.5, abs=0.01)


def test_why_a_scan_is_not_taken_can_be_read_to_its_end(
    viewer: Any, qtbot: Any
) -> None:
    picker = ScanPicker(viewer)
    picker.follow_model(load_bundle("mr-sequence").card)
    add_scans(viewer, [scan_layer(replace(phantom()[0], modality="CT"))])
    picker.resize(230, picker.layout().heightForWidth(230))
    picker.show()
    qtbot.waitUntil(picker.why_not.isVisible)
    for label in (picker.facts, picker.why_not):
        assert label.height() >= label.heightForWidth(label.width())
    picker.deleteLater()
    qtbot.wait(10)


def test_what_comes_into_an_open_fold_is_not_cut(qtbot: Any) -> None:
    window = QWidget()
    text = text_label()
    fold = Fold("More", text)
    column = QVBoxLayout(window)
    column.addWidget(fold)
    column.addStretch()
    qtbot.addWidget(window)
    window.resize(200, 600)
    window.show()
    qtbot.mouseClick(fold.toggleButton(), Qt.MouseButton.LeftButton)
    text.setText("\n".join("what was measured" for _ in range(10)))
    qtbot.waitUntil(lambda: text.height() >= text.sizeHint().height())
    qtbot.mouseClick(fold.toggleButton(), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: text.height() == 0)


def test_the_list_of_scans_follows_the_viewer(viewer: Any, qtbot: Any) -> None:
    import numpy as np

    picker = ScanPicker(viewer)
    viewer.window.add_dock_widget(picker)
    assert picker.layer is None
    assert not picker.box.isEnabled()
    one = viewer.add_image(np.zeros((4, 5, 6)), name="one")
    viewer.add_points(np.zeros((2, 3)))
    viewer.add_labels(np.zeros((4, 5, 6), np.uint8))
    two = viewer.add_image(np.zeros((4, 5, 6)), name="two")
    assert picker.box.count() == 2
    assert picker.layer is two
    viewer.layers.selection.active = one
    assert picker.layer is one
    one.name = "first"
    assert picker.box.currentText() == "first"
    with qtbot.waitSignal(picker.chosen_here) as blocker:
        picker.box.setCurrentIndex(1)
        picker.box.activated.emit(1)
    assert blocker.args == [two]
    viewer.layers.remove(two)
    assert picker.layer is one
