"""What was chosen last is chosen in the next window, and nobody else's settings are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QStandardPaths
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget
from support.bundles import tiny_bundle
from support.panels import TIMEOUT, open_panel, wait_for_threads

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.viewer import settings
from napari_resonance.viewer.dialogs import ask_folder, ask_target
from napari_resonance.viewer.explain_row import ExplainRow
from napari_resonance.viewer.training_form import TrainingForm

if TYPE_CHECKING:
    import pytest


def pick(box: Any, data: str) -> None:
    """Choose an entry as a user does."""
    index = box.findData(data)
    box.setCurrentIndex(index)
    box.activated.emit(index)


def test_tests_leave_the_user_alone(own_settings: Path) -> None:
    settings.remember("a", "b")
    assert Path(settings.settings().fileName()) == own_settings
    config = QStandardPaths.StandardLocation.GenericConfigLocation
    assert not own_settings.is_relative_to(QStandardPaths.writableLocation(config))


def test_choices_come_back(qtbot: Any) -> None:
    row, form = ExplainRow(), TrainingForm()
    for widget in (row, form):
        qtbot.addWidget(widget)
    pick(row.method_box, "occlusion")
    pick(form.preset, "thorough")
    row, form = ExplainRow(), TrainingForm()
    for widget in (row, form):
        qtbot.addWidget(widget)
    assert row.options().method == "occlusion"
    assert form.options().preset == "thorough"


def test_a_setting_of_another_version_is_passed_over(qtbot: Any) -> None:
    settings.remember("method", "no such method")
    row = ExplainRow()
    qtbot.addWidget(row)
    assert row.options().method == "gradcam"


def test_dialogs_open_where_the_last_one_ended(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    places: list[str] = []

    def choose(parent: Any, title: str, place: str, *_: Any) -> Any:
        places.append(place)
        return str(tmp_path / "study")

    parent = QWidget()
    qtbot.addWidget(parent)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", choose)
    assert ask_folder(parent, "Open", "scans") == tmp_path / "study"
    ask_folder(parent, "Open", "scans")
    ask_folder(parent, "Open", "models")
    assert places == ["", str(tmp_path), ""]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: ("", ""))
    assert ask_target(parent, "Save", "scans", ".csv", "a.csv") is None


def test_a_name_without_its_ending_replaces_no_file_unasked(
    qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    (tmp_path / "map.nii.gz").touch()
    asked, button = [], QMessageBox.StandardButton
    answers = iter([button.No, button.Yes])

    def ask(parent: Any, title: str, text: str, *_: Any) -> Any:
        asked.append(text)
        return next(answers)

    monkeypatch.setattr(QMessageBox, "question", ask)

    def chosen(name: str) -> Path | None:
        answer = str(tmp_path / name), ""
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: answer)
        return ask_target(parent, "Save", "exports", ".nii.gz")

    assert chosen("new") == tmp_path / "new.nii.gz"
    # Of a whole name the dialog itself asks.
    assert chosen("map.nii.gz") == tmp_path / "map.nii.gz"
    assert asked == []
    assert chosen("map") is None
    assert chosen("map") == tmp_path / "map.nii.gz"
    assert len(asked) == 2
    assert "map.nii.gz" in asked[0]


def test_own_models_and_the_device_come_back(
    make_viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    folders = [tiny_bundle(tmp_path / n, labels=(n, "no")) for n in ("a", "b")]
    viewer = make_viewer()
    panel = open_panel(viewer, qtbot)
    for folder in folders:
        panel.model_picker.folder_chosen.emit(folder)
        qtbot.waitUntil(lambda: not panel.runner.is_busy, timeout=TIMEOUT)
    pick(panel.model_picker.device_picker.device_box, "cpu")
    viewer.close()
    shutil.rmtree(folders[0])
    again = open_panel(make_viewer(), qtbot)
    picker = again.model_picker
    names = [picker.box.itemData(n) for n in range(picker.box.count())]
    # One is gone; the other was used last.
    assert names == [str(load_bundle("mr-sequence").path), str(folders[1])]
    assert picker.model.path == folders[1]
    assert picker.device_picker.device == "cpu"
    wait_for_threads(qtbot)
