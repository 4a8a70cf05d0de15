"""The Fine-tune panel in a real window: label, check, train, stop, finish, use."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox
from support.bundles import tiny_bundle
from support.heads import LABELS, small_heads
from support.labelled import colored, save_color, write_colored
from support.panels import TIMEOUT, press_run, wait_for_threads, wait_idle
from support.phantoms import phantom

from napari_resonance.errors import CancelledError, ExportError, TrainingError
from napari_resonance.progress import never, no_progress
from napari_resonance.reading import read_scan
from napari_resonance.training import finetune, options
from napari_resonance.training.finetune import work_folder
from napari_resonance.training.labels import read_labels
from napari_resonance.viewer import finetune_panel, finetuning, label_rows
from napari_resonance.viewer.commands import finetune_panel_of, panel_of
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.viewer_actions import add_scans

# Of Lightning's, about PyTorch's own names.
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*")

# Small, and so long that it has to be ended.
ENDLESS = {
    "epochs": 2000,
    "members": 2,
    "voxels": 12**3,
    "pixels": 16**2,
    "views": 1,
}
N_SCANS = 8


@pytest.fixture(scope="module")
def table(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_heads(shared_data, tmp_path_factory.mktemp("heads"))


@pytest.fixture
def panel(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Any]:
    """Return the panel, idle."""
    for name in options.PRESETS:
        monkeypatch.setitem(options.PRESETS, name, ENDLESS)
    panel = finetune_panel_of(viewer)
    qtbot.waitUntil(lambda: not panel.search.is_busy, timeout=TIMEOUT)
    panel.form.place.setText(str(tmp_path / "heads"))
    yield panel
    wait_for_threads(qtbot)


def open_heads(viewer: Any, table: Path, n: int = N_SCANS) -> None:
    paths = sorted(table.parent.glob("*.nii.gz"))[:n]
    add_scans(viewer, [scan_layer(read_scan(path)) for path in paths])


def listed(panel: Any, table: Path, qtbot: Any) -> None:
    panel.labels.source_chosen.emit(table)
    wait_idle(panel, qtbot)
    qtbot.waitUntil(lambda: not panel.labels.thumbnails.is_busy, timeout=TIMEOUT)


def press_key(viewer: Any, qtbot: Any, key: Any) -> None:
    qtbot.keyClick(viewer.window._qt_viewer, key)


def truth_of(layer: Any) -> str:
    return record_of(layer).scan.sources[0].name.split(".")[0][-3:]


def labels_of(panel: Any) -> list[str]:
    return [row.case.label for row in panel.labels.model.rows]


def test_label_train_and_use(
    viewer: Any,
    panel: Any,
    qtbot: Any,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_heads(viewer, table)
    row = panel.train_row
    assert not row.run_row.run_button.isEnabled()
    assert "Press the key of a class" in row.run_row.run_button.toolTip()
    panel.labels.classes.line.setText(", ".join(LABELS))
    viewer.layers.selection.active = viewer.layers[0]
    for layer in list(viewer.layers):
        # The panel goes on to the next scan by itself.
        assert viewer.layers.selection.active is layer
        is_first = truth_of(layer) == LABELS[0]
        press_key(viewer, qtbot, Qt.Key.Key_1 if is_first else Qt.Key.Key_2)
    assert labels_of(panel) == [truth_of(layer) for layer in viewer.layers]
    assert panel.labels.summary.text() == "8 scans of 8 labelled: T1w 4, T2w 4."
    row.run_row.run_button.click()
    assert row.finish_button.toolTip() == finetune_panel.NOTHING_YET
    qtbot.waitUntil(lambda: bool(panel.curves.epochs), timeout=TIMEOUT)
    row.finish_button.click()
    assert row.finish_button.toolTip() == finetune_panel.FINISHING
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    result = panel.result.result
    assert result.bundle.card.labels == LABELS
    assert "ended by hand" in panel.result.notes.text()
    assert "Accuracy" in panel.result.figures.text()
    assert not work_folder(tmp_path / "heads").exists()
    opened: list[Any] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    panel.result.report_button.click()
    assert Path(opened[0].toLocalFile()) == result.report
    assert result.report.is_file()
    classify = panel_of(viewer)
    qtbot.waitUntil(lambda: not classify.model_search.is_busy, timeout=TIMEOUT)
    panel.result.use_button.click()
    assert classify.model_picker.model is result.bundle
    press_run(classify)
    wait_idle(classify, qtbot)
    assert classify.view.result.label.text()[:3] in LABELS


def test_photographs_are_learned_from_and_classified_in_colour(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    photographs = write_colored(tmp_path / "photographs", 16, shape=(16, 16, 1))
    listed(panel, photographs, qtbot)
    assert panel.form.color.currentData() == "auto"
    panel.train_row.run_row.run_button.click()
    qtbot.waitUntil(lambda: len(panel.curves.epochs) > 1, timeout=TIMEOUT)
    panel.train_row.finish_button.click()
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    assert panel.result.result.bundle.recipe.color
    classify = panel_of(viewer)
    qtbot.waitUntil(lambda: not classify.model_search.is_busy, timeout=TIMEOUT)
    panel.result.use_button.click()
    photograph = save_color(colored("red", 99, (16, 16, 1)), tmp_path / "new.nii")
    (layer,) = add_scans(viewer, [scan_layer(read_scan(photograph))])
    viewer.layers.selection.active = layer
    press_run(classify)
    wait_idle(classify, qtbot)
    answer = record_of(layer).prediction
    assert not any("colour" in warning for warning in answer.warnings)
    alone = panel.result.result.classifier.classify(read_scan(photograph))
    assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-4)


def check_labels(panel: Any, qtbot: Any) -> None:
    model = panel.labels.model
    assert labels_of(panel) == list(LABELS) * 4
    assert panel.labels.classes.names == LABELS
    icon = model.data(model.index(3, 0), Qt.ItemDataRole.DecorationRole)
    image = icon.pixmap(72, 72).toImage()
    assert len({image.pixelColor(x, 36).lightness() for x in range(72)}) > 5
    panel.labels.check_button.click()
    assert not panel.labels.check_button.isEnabled()
    wait_idle(panel, qtbot)
    assert panel.message.sentence().startswith("4 patients: ")
    assert "No scan, patient or study is on two sides." in panel.message.sentence()
    sides = [model.data(model.index(n, 3)) for n in range(N_SCANS)]
    assert set(sides) == {"train", "validation", "test"}
    # Scans of one patient are on one side.
    assert sides[::2] == sides[1::2]


def train_and_cancel(panel: Any, qtbot: Any) -> None:
    row = panel.train_row
    row.run_row.run_button.click()
    qtbot.waitUntil(lambda: len(panel.curves.epochs) > 2, timeout=TIMEOUT)
    began = time.perf_counter()
    row.run_row.cancel_button.click()
    assert time.perf_counter() - began < 1
    assert row.run_row.run_button.isEnabled()
    assert panel.message.sentence().startswith("Stopped after epoch ")
    assert row.wants_resume


def come_back(panel: Any, qtbot: Any) -> None:
    """Do as if the window had been closed: labels and choices are found again."""
    panel.labels.model.remove(list(panel.labels.model.rows))
    panel.form.preset.setCurrentIndex(0)
    place = panel.form.place.text()
    panel.form.place.setText("")
    panel.form.place.setText(place)
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == finetune_panel.TAKEN_UP
    assert labels_of(panel) == list(LABELS) * 4
    assert panel.form.options() == options.FinetuneOptions()


def test_a_table_is_checked_and_a_stopped_training_finished(
    panel: Any, qtbot: Any, table: Path
) -> None:
    """All the while, measure the processor time of the window's thread by tick."""
    ticks: list[float] = []
    heart = QTimer()
    heart.setInterval(5)
    heart.timeout.connect(lambda: ticks.append(time.thread_time()))
    heart.start()
    listed(panel, table, qtbot)
    check_labels(panel, qtbot)
    train_and_cancel(panel, qtbot)
    come_back(panel, qtbot)
    panel.train_row.finish_button.click()
    wait_idle(panel, qtbot)
    heart.stop()
    assert panel.message.sentence() == ""
    assert panel.result.result.resumed_at > 1
    assert panel.result.isVisibleTo(panel)
    assert not panel.train_row.finish_button.isVisibleTo(panel)
    assert np.diff(ticks).max() < 0.1


def test_a_model_is_replaced_only_after_a_question(
    panel: Any,
    qtbot: Any,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed(panel, table, qtbot)
    button = QMessageBox.StandardButton
    asked, orders, answers = [], [], iter([button.No, button.Yes, button.No])

    def ask(parent: Any, title: str, text: str, *_: Any) -> Any:
        asked.append(text)
        return next(answers)

    def train(order: Any, *_: Any, **__: Any) -> None:
        orders.append(order)
        raise TrainingError("enough")

    monkeypatch.setattr(QMessageBox, "question", ask)
    monkeypatch.setattr(finetuning, "train", train)
    train_button = panel.train_row.run_row.run_button
    train_button.click()
    wait_idle(panel, qtbot)
    assert not asked  # nothing is there
    tiny_bundle(tmp_path / "heads")
    train_button.click()
    assert not panel.runner.is_busy
    assert len(orders) == 1
    assert asked[0].startswith("The model in this folder, tiny, of 20")
    train_button.click()
    wait_idle(panel, qtbot)
    assert orders[1].overwrite
    # A training that was interrupted on the command line, which has no choices to show.
    shutil.rmtree(tmp_path / "heads")
    work = finetune.work_folder(tmp_path / "heads") / "single"
    work.mkdir(parents=True)
    (work / "last.ckpt").touch()
    train_button.click()
    assert not panel.runner.is_busy
    assert len(orders) == 2
    assert "interrupted here will be lost" in asked[2]


def test_an_interrupted_training_keeps_its_own_labels(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = finetuning.load(table, no_progress, never)
    cases = {row: row.case for row in rows}
    out = tmp_path / "model"
    folder = finetune.work_folder(out)
    order = finetuning.FinetuneOrder(cases, out, "none", options.FinetuneOptions())

    def ended(*_: Any, **__: Any) -> Any:
        raise CancelledError("stopped")

    monkeypatch.setattr(finetune, "finetune", ended)
    with pytest.raises(CancelledError):
        finetuning.train(order, no_progress, never)
    kept = (folder / finetuning.TABLE).read_text()
    assert kept.count("\n") == 1 + N_SCANS
    fewer = replace(order, cases=dict(list(cases.items())[:4]))
    # A second window that trains into the folder, too.
    with finetune.locked(folder), pytest.raises(TrainingError, match="another process"):
        finetuning.train(fewer, no_progress, never)
    # Labels that were changed, and then Train: the core refuses to go on with them.
    with pytest.raises(CancelledError):
        finetuning.train(replace(fewer, resume=True), no_progress, never)
    assert (folder / finetuning.TABLE).read_text() == kept
    # What cannot be written is no fault of the program.
    (folder / finetuning.CHOICES).unlink()
    (folder / finetuning.CHOICES).mkdir()
    with pytest.raises(ExportError):
        finetuning.train(order, no_progress, never)


def test_labels_are_saved_and_scans_shown(
    viewer: Any,
    panel: Any,
    qtbot: Any,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_heads(viewer, table, 2)
    add_scans(viewer, [scan_layer(phantom("oblique")[0])])
    assert not panel.labels.save_button.isEnabled()
    panel.labels.classes.line.setText("a, b")
    for layer in viewer.layers:
        viewer.layers.selection.active = layer
        press_key(viewer, qtbot, Qt.Key.Key_2)
    # What is no file cannot be trained on.
    assert labels_of(panel) == ["b", "b", ""]
    model = panel.labels.model
    tip = model.data(model.index(2, 0), Qt.ItemDataRole.ToolTipRole)
    assert label_rows.NOT_ON_DISK in tip
    target = tmp_path / "mine.csv"
    answer = (str(target), "")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: answer)
    panel.labels.save_button.click()
    wait_idle(panel, qtbot)
    found = read_labels(target, patients_per_class=0)
    assert [case.label for case in found.cases] == ["b", "b"]
    assert all(case.paths[0].exists() for case in found.cases)
    # What is open is not listed twice, and what is closed keeps its label.
    listed(panel, table, qtbot)
    assert labels_of(panel) == ["T1w", "T2w", "", *list(LABELS) * 3]
    viewer.layers.clear()
    assert labels_of(panel) == list(LABELS) * 4
    panel.labels.table.doubleClicked.emit(model.index(4, 0))
    qtbot.waitUntil(lambda: not panel.opener.is_busy, timeout=TIMEOUT)
    assert [truth_of(layer) for layer in viewer.layers] == ["T1w"]
    assert len(model.rows) == N_SCANS
    press_key(viewer, qtbot, Qt.Key.Key_2)
    assert labels_of(panel)[4] == "b"
    panel.labels.classes.line.setText("0, 1")
    for key, label in ((Qt.Key.Key_1, "1"), (Qt.Key.Key_0, "0")):
        press_key(viewer, qtbot, key)
        assert labels_of(panel)[4] == label


def test_failures_are_said_and_closing_the_dock_stops_the_training(
    viewer: Any, panel: Any, qtbot: Any, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(panel, table, qtbot)
    open_heads(viewer, table, 1)

    def fail(*_: Any, **__: Any) -> None:
        raise TrainingError("what is tested was trained on", remedy="Leave it out")

    monkeypatch.setattr(finetuning, "train", fail)
    panel.train_row.run_row.run_button.click()
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == "what is tested was trained on. Leave it out."
    assert panel.train_row.run_row.run_button.isEnabled()
    started, ended = threading.Event(), threading.Event()

    def wait(order: Any, progress: Any, should_stop: Any, **_: Any) -> None:
        started.set()
        while not should_stop():
            time.sleep(0.005)
        ended.set()
        raise CancelledError("stopped")

    monkeypatch.setattr(finetuning, "train", wait)
    panel.train_row.run_row.run_button.click()
    assert started.wait(60)
    before, gone = set(QApplication.topLevelWidgets()), []
    panel.destroyed.connect(lambda: gone.append(True))
    viewer.window.remove_dock_widget("all")
    assert ended.wait(60)
    qtbot.waitUntil(lambda: bool(gone), timeout=TIMEOUT)
    assert set(QApplication.topLevelWidgets()) <= before
    # The keys are napari's again.
    (layer,) = viewer.layers
    press_key(viewer, qtbot, Qt.Key.Key_2)
    assert layer.mode == "transform"
