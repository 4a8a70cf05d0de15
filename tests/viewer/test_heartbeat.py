"""The window lives on while scans are read, classified, measured and learned from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QTimer
from support.heads import small_heads
from support.heartbeat import Heartbeat
from support.panels import TIMEOUT, open_panel, wait_for_threads, wait_idle

from napari_resonance.samples import sample_path
from napari_resonance.training import options
from napari_resonance.viewer.commands import finetune_panel_of, series_panel_of
from napari_resonance.viewer.pace import Pace

# Of Lightning's, about PyTorch's own names.
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*")

LONGEST = 0.1
SHORT = {"epochs": 4, "members": 1, "voxels": 12**3, "pixels": 16**2, "views": 1}


def test_what_holds_the_window_is_found(qtbot: Any) -> None:
    def burn() -> float:
        end = time.thread_time() + 0.3
        while time.thread_time() < end:
            pass
        return 0.0

    with Heartbeat() as heart:
        QTimer.singleShot(0, lambda: Pace(burn).seconds_left(1, 2, "reading"))
        qtbot.wait(800)
    assert heart.longest.ours > 0.25
    assert heart.longest.where.startswith("viewer/pace.py")


def test_no_call_of_ours_holds_the_window(
    make_viewer: Any, qtbot: Any, bundle: Path
) -> None:
    viewer = make_viewer(show=True)
    panel = open_panel(viewer, qtbot)
    series = series_panel_of(viewer)
    with Heartbeat() as heart:
        series.open_paths([sample_path()])
        wait_idle(series, qtbot)
        for name in ("icbm-t1", "oblique-pd"):
            panel.open_paths([sample_path(name)])
            wait_idle(panel, qtbot)
            panel.run_row.run_button.click()
            wait_idle(panel, qtbot)
        panel.measure()
        wait_idle(panel, qtbot)
        qtbot.wait(200)
    assert panel.message.sentence() == ""
    assert len(heart.gaps) > 100
    assert heart.longest.ours < LONGEST, heart.longest
    wait_for_threads(qtbot)


def test_training_does_not_hold_the_window(
    make_viewer: Any,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    for name in options.PRESETS:
        monkeypatch.setitem(options.PRESETS, name, SHORT)
    table = small_heads(shared_data, tmp_path / "heads")
    panel = finetune_panel_of(make_viewer(show=True))
    panel.form.place.setText(str(tmp_path / "model"))
    qtbot.waitUntil(lambda: not panel.search.is_busy, timeout=TIMEOUT)
    with Heartbeat() as heart:
        panel.read_labels(table)
        wait_idle(panel, qtbot)
        panel.check()
        wait_idle(panel, qtbot)
        panel.train_row.run_row.run_button.click()
        wait_idle(panel, qtbot)
        qtbot.wait(200)
    assert panel.result.result is not None
    assert heart.longest.ours < LONGEST, heart.longest
    wait_for_threads(qtbot)
