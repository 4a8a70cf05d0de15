"""The windows that the command line opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari
import pytest
from qtpy.QtWidgets import QFileDialog
from support.answers import map_with_peak_at, prediction
from support.panels import TIMEOUT
from support.phantoms import phantom, write_nifti

from napari_resonance.errors import ReadError
from napari_resonance.viewer import open as opening
from napari_resonance.viewer.commands import open_files, open_folder, panel_of
from napari_resonance.viewer.opening import Opened, open_layers


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch, viewer: Any) -> Any:
    """Let the functions use the test's viewer, and return at once."""
    monkeypatch.setattr(opening, "_window", lambda: viewer)
    monkeypatch.setattr(napari, "run", lambda: None)
    return viewer


def test_paths_open_with_the_panel(window: Any, qtbot: Any, tmp_path: Path) -> None:
    path = write_nifti(phantom()[0], tmp_path / "brain.nii")
    opening.open_paths([str(path)])
    qtbot.waitUntil(lambda: len(window.layers) == 1, timeout=TIMEOUT)
    assert window.layers[0].name == "brain · oblique axial"
    # The models are there too, although the scan was asked for at once.
    panel = panel_of(window)
    qtbot.waitUntil(lambda: not panel.model_search.is_busy, timeout=TIMEOUT)
    assert panel.model_picker.device_picker.device_box.count() > 1


def test_a_path_that_is_not_there_opens_no_window(window: Any, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file or folder"):
        opening.open_paths([tmp_path / "absent.nii"])
    assert len(window.window.dock_widgets) == 0


def test_an_answer_opens_with_its_map(window: Any, qtbot: Any) -> None:
    scan, mm = phantom("sheared")
    answer = prediction(map_with_peak_at(scan, mm))
    opening.open_result(scan, answer)
    panel = panel_of(window)
    assert panel.view.result.label.text() == "a  91.0 %"
    assert [layer.name for layer in window.layers] == [
        "MR · oblique axial",
        "Grad-CAM for a",
    ]
    qtbot.waitUntil(lambda: not panel.model_search.is_busy, timeout=TIMEOUT)


def test_an_answer_without_a_map_is_shown_too(window: Any, qtbot: Any) -> None:
    opening.open_result(phantom()[0], prediction())
    panel = panel_of(window)
    assert panel.view.result.label.text() == "a  91.0 %"
    assert len(window.layers) == 1
    qtbot.waitUntil(lambda: not panel.model_search.is_busy, timeout=TIMEOUT)


@pytest.mark.parametrize("command", [open_folder, open_files])
def test_the_commands_open_panel_and_dialog(
    viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: Any, command: Any
) -> None:
    path = write_nifti(phantom()[0], tmp_path / "brain.nii")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(path)], ""))
    command(viewer)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=TIMEOUT)


def test_what_was_left_out_is_summed_up(tmp_path: Path) -> None:
    write_nifti(phantom()[0], tmp_path / "brain.nii")
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "b.txt").write_text("hello")
    opened = open_layers([tmp_path])
    assert opened.summary.startswith("1 scan opened. Left out: a.txt and 1 more (")
    assert Opened(opened.layers * 2).summary == "2 scans opened."


def test_a_folder_without_a_scan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no scan was found"):
        open_layers([tmp_path])
