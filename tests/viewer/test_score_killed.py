"""A window that dies while it scores: the next one goes on where it ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from qtpy.QtCore import Qt
from support.heads import small_heads
from support.panels import TIMEOUT, wait_for_threads, wait_idle

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.viewer.commands import score_panel_of
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.scored import is_begun, load_scores

COPIES, SECONDS = 30, 240


@pytest.fixture
def studies(shared_data: Path, tmp_path: Path) -> Path:
    """Return a folder of many small scans."""
    table = small_heads(shared_data, tmp_path / "heads", 1)
    folder = tmp_path / "studies"
    folder.mkdir()
    for n in range(COPIES):
        for scan in table.parent.glob("*.nii.gz"):
            shutil.copy(scan, folder / f"{n:02}-{scan.name}")
    return folder


def answered(out: Path) -> int:
    if not is_begun(out):
        return 0
    return len(load_scores(out, lambda *_: None, lambda: False).rows)


def killed_window(studies: Path, out: Path, model: Path) -> list[psutil.Process]:
    """Score in another process's window, kill it on the way; return its children."""
    script = Path(__file__).parents[1] / "support" / "score_window.py"
    window = subprocess.Popen(
        [sys.executable, str(script), str(studies), str(out), str(model)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        end = time.monotonic() + SECONDS
        while answered(out) == 0:
            assert window.poll() is None, "the window ended by itself"
            assert time.monotonic() < end, "nothing was scored in time"
            time.sleep(0.02)
        return psutil.Process(window.pid).children(recursive=True)
    finally:
        window.send_signal(signal.SIGKILL)
        window.wait()


def test_the_next_window_goes_on(
    viewer: Any, qtbot: Any, studies: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    readers = killed_window(studies, out, bundle)
    begun = answered(out)
    assert 0 < begun < 2 * COPIES
    # Processes that read for it end without it.
    _, alive = psutil.wait_procs(readers, timeout=30)
    assert not alive
    panel = score_panel_of(viewer)
    qtbot.waitUntil(lambda: not panel.search.is_busy, timeout=TIMEOUT)
    for n in range(panel.models.list.count()):
        panel.models.list.item(n).setCheckState(Qt.CheckState.Unchecked)
    panel.models.add([load_bundle(bundle)])
    panel.studies.set_path(studies)
    panel.out.set_path(out)
    qtbot.waitUntil(lambda: not panel.reader.is_busy, timeout=TIMEOUT)
    # What was answered is there at once, and the button says what it will do.
    assert len(panel.review.model.rows) == begun
    assert panel.run_row.run_button.text() == "Go on"
    panel.run_row.run_button.click()
    wait_idle(panel, qtbot)
    assert f"{begun} of them in earlier runs" in panel.message.sentence()
    qtbot.waitUntil(lambda: not panel.reader.is_busy, timeout=TIMEOUT)
    rows = panel.review.table.shown()
    assert len({row.source for row in rows}) == len(rows) == 2 * COPIES
    table = panel.review.table
    table.view.clicked.emit(table.filter.index(0, 0))
    qtbot.waitUntil(lambda: not panel.opener.is_busy, timeout=TIMEOUT)
    shown = record_of(viewer.layers.selection.active)
    assert shown.prediction.label == rows[0].label
    wait_for_threads(qtbot)
