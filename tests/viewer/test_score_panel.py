"""The Score panel in a real window: dry run, stop, go on, look at a row, decide."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog
from support.heads import small_heads
from support.panels import TIMEOUT, wait_for_threads, wait_idle

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.errors import CancelledError
from napari_resonance.scoring.journal import FILE_NAME
from napari_resonance.training.labels import read_labels
from napari_resonance.viewer import score_panel, scored
from napari_resonance.viewer.commands import score_panel_of
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.score_rows import REJECTED, read_verdicts

N_SCANS = 4


@pytest.fixture(scope="module")
def studies(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    small_heads(shared_data, folder, N_SCANS // 2)
    (folder / "broken.nii").write_bytes(b"\0" * 400)
    return folder


@pytest.fixture
def panel(viewer: Any, qtbot: Any, bundle: Path) -> Iterator[Any]:
    panel = score_panel_of(viewer)
    qtbot.waitUntil(lambda: not panel.search.is_busy, timeout=TIMEOUT)
    for n in range(panel.models.list.count()):
        panel.models.list.item(n).setCheckState(Qt.CheckState.Unchecked)
    panel.models.add([load_bundle(bundle)])
    yield panel
    wait_for_threads(qtbot)


def wait_for_rows(panel: Any, qtbot: Any) -> None:
    wait_idle(panel, qtbot)
    qtbot.waitUntil(lambda: not panel.reader.is_busy, timeout=TIMEOUT)


def test_the_journal_is_where_the_core_keeps_it() -> None:
    assert scored.JOURNAL == FILE_NAME


def test_it_says_what_is_missing(panel: Any, tmp_path: Path) -> None:
    button = panel.run_row.run_button
    assert (button.isEnabled(), button.toolTip()) == (False, score_panel.NO_STUDIES)
    panel.studies.set_path(tmp_path)
    assert button.toolTip() == score_panel.NO_OUT
    panel.out.set_path(tmp_path / "out")
    assert button.isEnabled()
    assert panel.dry_button.isEnabled()


def test_score_stop_go_on_and_look(
    viewer: Any,
    panel: Any,
    qtbot: Any,
    studies: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel.studies.set_path(studies)
    panel.out.set_path(tmp_path / "out")
    panel.dry_button.click()
    wait_idle(panel, qtbot)
    assert panel.message.sentence().startswith("5 scans")
    assert "It would take" in panel.message.sentence()
    assert not (tmp_path / "out").exists()

    def stopped(order: Any, progress: Any, should_stop: Any) -> str:
        told: list[int] = []

        def tell(done: int, total: int, text: str) -> None:
            progress(done, total, text)
            told.append(done)

        return real(order, tell, lambda: max(told, default=0) >= 2 or should_stop())

    real = scored.run
    monkeypatch.setattr(scored, "run", stopped)
    panel.run_row.run_button.click()
    wait_for_rows(panel, qtbot)
    monkeypatch.setattr(scored, "run", real)
    begun = len(panel.review.model.rows)
    assert 0 < begun < N_SCANS + 1
    assert panel.run_row.run_button.text() == "Go on"
    panel.run_row.run_button.click()
    wait_for_rows(panel, qtbot)
    assert f"{begun} of them in earlier runs" in panel.message.sentence()
    table = panel.review.table
    rows = table.shown()
    assert len(rows) == N_SCANS + 1
    assert [row.source for row in rows if row.problem] == ["broken.nii"]
    table.view.clicked.emit(table.filter.index(0, 0))
    qtbot.waitUntil(lambda: not panel.opener.is_busy, timeout=TIMEOUT)
    assert panel.message.sentence() == ""
    image = viewer.layers.selection.active
    assert record_of(image).scan.sources[0].name == rows[0].source
    assert record_of(image).prediction.label == rows[0].label
    decide(panel, qtbot, studies, tmp_path, monkeypatch)


def decide(
    panel: Any,
    qtbot: Any,
    studies: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Accept, reject and relabel; what was decided is there for the next training."""
    table, verdicts = panel.review.table, panel.review.verdicts
    rows = table.shown()
    table.view.selectRow(0)
    verdicts.accept_button.click()
    # The next scan is chosen by itself.
    assert table.chosen() == [rows[1]]
    verdicts.reject_button.click()
    verdicts.label_box.activated.emit(2)
    qtbot.waitUntil(lambda: not panel.keeper.is_busy, timeout=TIMEOUT)
    wanted = [rows[0].label, REJECTED, verdicts.labels[1]]
    kept = read_verdicts(tmp_path / "out")
    assert [kept[row.key] for row in rows[:3]] == wanted
    target = tmp_path / "labels.csv"
    answer = (str(target), "")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: answer)
    verdicts.save_button.click()
    qtbot.waitUntil(lambda: not panel.keeper.is_busy, timeout=TIMEOUT)
    found = read_labels(target, patients_per_class=0).cases
    assert [(c.paths[0].name, c.label) for c in found] == [
        (rows[0].source, wanted[0]),
        (rows[2].source, wanted[2]),
    ]
    assert {c.paths[0].resolve().parent for c in found} == {studies.resolve()}


def test_cancel_frees_the_panel_and_the_dock_ends_the_run(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, ended = threading.Event(), threading.Event()

    def wait(order: Any, progress: Any, should_stop: Any) -> str:
        started.set()
        while not should_stop():
            time.sleep(0.005)
        ended.set()
        raise CancelledError("stopped")

    monkeypatch.setattr(scored, "run", wait)
    panel.studies.set_path(tmp_path)
    panel.out.set_path(tmp_path / "out")
    panel.run_row.run_button.click()
    assert started.wait(60)
    began = time.perf_counter()
    panel.run_row.cancel_button.click()
    assert time.perf_counter() - began < 1
    assert panel.run_row.run_button.isEnabled()
    assert ended.wait(60)
    for event in (started, ended):
        event.clear()
    panel.run_row.run_button.click()
    assert started.wait(60)
    gone: list[bool] = []
    panel.destroyed.connect(lambda: gone.append(True))
    viewer.window.remove_dock_widget("all")
    assert ended.wait(60)
    qtbot.waitUntil(lambda: bool(gone), timeout=TIMEOUT)
