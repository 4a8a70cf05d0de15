"""All open scans at once, the answers of the session, and what is written of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QMessageBox
from support.panels import press_run, wait_idle
from support.phantoms import phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.viewer import classification
from napari_resonance.viewer.exports import KINDS
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.records import KEY, maps_of, record_of
from napari_resonance.viewer.showing import show_only
from napari_resonance.viewer.viewer_actions import add_scans, keep_result, saliency_of


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often a network is asked."""
    from napari_resonance.classifier.predict import Classifier

    asked: list[int] = []
    ask = Classifier.ask

    def counting(self: Any, *args: Any, **settings: Any) -> Any:
        asked.append(1)
        return ask(self, *args, **settings)

    monkeypatch.setattr(Classifier, "ask", counting)
    return asked


@pytest.fixture
def dialogs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """Answer the dialogs: warnings as told, files in a folder, without the ending."""
    told = SimpleNamespace(folder=tmp_path, asked=[], agree=False)
    button = QMessageBox.StandardButton

    def warn(parent: Any, title: str, text: str, *_: Any) -> Any:
        told.asked.append(text)
        return button.Ok if told.agree else button.Cancel

    def choose(parent: Any, title: str, start: str, filter_: str) -> Any:
        return str(tmp_path / "out"), filter_

    monkeypatch.setattr(QMessageBox, "warning", warn)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: button.Yes)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    return told


def test_answers_are_listed_shown_again_and_written(
    viewer: Any,
    panel: Any,
    qtbot: Any,
    bundle: Path,
    forwards: list[int],
    dialogs: SimpleNamespace,
) -> None:
    made = [phantom(n, modality="US")[0] for n in ("straight", "flipped")]
    blank = phantom("sagittal", slope=0.0)[0]
    blank = type(blank)(blank.stored() * 0, blank.affine, modality="MR")
    one, two, _ = add_scans(viewer, [scan_layer(scan) for scan in [*made, blank]])
    panel.model_picker.add_model(load_bundle(bundle))
    box = panel.answers
    assert not box.list.isVisibleTo(panel)
    assert panel.run_row.several_button.text() == "All (3)"
    panel.run_row.several_button.click()
    qtbot.waitUntil(lambda: "failed" in panel.message.sentence(), timeout=240_000)
    said = panel.message.sentence()
    assert said.startswith("2 scans classified. 1 failed.")
    assert "blank" in said
    assert [layer for layer, _ in box.list.runs()] == [two, one]
    assert len(forwards) == 3
    assert panel.view.result.isVisibleTo(panel)
    _see_each_map(panel, viewer, one, two)
    # The second is seen by a click, with its map.
    box.list.itemClicked.emit(box.list.topLevelItem(0), 0)
    wait_idle(panel, qtbot)
    assert viewer.layers.selection.active is two
    assert saliency_of(viewer, two).visible
    assert not saliency_of(viewer, one)
    assert len(box.list.runs()) == 2
    # Another map of the same answer asks the network nothing.
    panel.explain_row.sign_box.setCurrentText("Against the class")
    panel.explain_row.changed.emit()
    wait_idle(panel, qtbot)
    assert record_of(two).prediction.saliency.sign == "against"
    # Nothing speaks against it, and the earlier map is not shown for that.
    assert saliency_of(viewer, two) is None
    assert len(forwards) == 3
    assert len(box.list.runs()) == 2
    press_run(panel)
    wait_idle(panel, qtbot)
    assert len(forwards) == 3
    panel.explain_row.sign_box.setCurrentText("For the class")
    panel.explain_row.changed.emit()
    wait_idle(panel, qtbot)
    _write_everything(panel, qtbot, dialogs)
    viewer.layers.remove(two)
    assert [layer for layer, _ in box.list.runs()] == [one]


def _see_each_map(panel: Any, viewer: Any, shown: Any, other: Any) -> None:
    """Show the other scan, which has its map unasked, and come back."""
    assert viewer.layers.selection.active is shown
    show_only(viewer, other)
    assert saliency_of(viewer, other).visible
    assert not saliency_of(viewer, shown)
    assert panel.view.saliency_controls.isVisibleTo(panel)
    show_only(viewer, shown)
    assert panel.view.saliency_controls.isVisibleTo(panel)
    assert saliency_of(viewer, shown).visible


def test_a_map_that_comes_later_is_shown_without_the_one_before_it(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path
) -> None:
    scans = [phantom(name)[0] for name in ("straight", "flipped")]
    one, two = add_scans(viewer, [scan_layer(scan) for scan in scans])
    panel.model_picker.add_model(load_bundle(bundle))
    panel.run_row.several_button.click()
    qtbot.waitUntil(lambda: "classified" in panel.message.sentence(), timeout=240_000)
    ((earlier, record),) = maps_of(viewer.layers, scans[1])
    later = replace(record.prediction.saliency, method="hirescam")
    prediction = replace(record.prediction, saliency=later)
    values, settings, kind = earlier.as_layer_data_tuple()
    settings |= {
        "name": "HiResCAM",
        "metadata": {KEY: replace(record, prediction=prediction)},
    }
    layer = values, settings, kind
    answer = classification.Classified(scans[1], prediction, layer, None, "")
    keep_result(viewer, answer, two)
    assert viewer.layers.selection.active is one
    assert not saliency_of(viewer, two)
    show_only(viewer, two)
    assert saliency_of(viewer, two).name == "HiResCAM"
    assert not earlier.visible


def _write_everything(panel: Any, qtbot: Any, dialogs: SimpleNamespace) -> None:
    folder, asked = dialogs.folder, dialogs.asked
    row = panel.answers.export_row
    for action in row.menu.actions():
        action.trigger()
        wait_idle(panel, qtbot)
    # Refused: the pictures; written: the map and the table.
    assert sorted(path.name for path in folder.iterdir()) == ["out.csv", "out.nii.gz"]
    assert len(asked) == 2
    assert "US" in asked[0]
    dialogs.agree = True
    for action in row.menu.actions():
        action.trigger()
        wait_idle(panel, qtbot)
    assert {path.name for path in folder.iterdir()} == {f"out{k.ending}" for k in KINDS}
    assert panel.message.sentence().startswith("Written: ")
    assert (folder / "out.csv").read_text().count("\n") == 3
    row.copy_button.click()
    assert QGuiApplication.clipboard().text().startswith("spot, ")


def test_another_place_or_model_is_another_question() -> None:
    options = classification.ClassifyOptions(lambda: None, False, Path("m"))
    again = classification.ClassifyOptions(lambda: None, False, Path("elsewhere"))
    moved = classification.ClassifyOptions(
        lambda: None,
        False,
        Path("m"),
        explain=classification.ExplainOptions(center_mm=(1.0, 2.0, 3.0)),
    )
    assert options.key("sha") == again.key("sha")
    assert options.key("sha") != options.key("another")
    assert options.key("sha") != moved.key("sha")
