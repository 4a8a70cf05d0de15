"""Panels that end while they work: no thread goes on, and no window stays."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from support.panels import TIMEOUT, add_phantom, wait_for_threads

from napari_resonance.errors import CancelledError
from napari_resonance.viewer import commands
from napari_resonance.viewer.job_runner import JobRunner

PANELS = {
    "Classify": commands.panel_of,
    "Series": commands.series_panel_of,
    "Fine-tune": commands.finetune_panel_of,
    "Score": commands.score_panel_of,
}


def windows() -> set[Any]:
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    return {w for w in QApplication.topLevelWidgets() if w.parent() is None}


def work_on(panel: Any, qtbot: Any) -> None:
    """Let each runner of a panel work until it is told to stop."""
    runners = panel.findChildren(JobRunner)
    started: list[int] = []

    def wait(progress: Any, should_stop: Any) -> None:
        started.append(threading.get_ident())
        while not should_stop():
            time.sleep(0.005)
        raise CancelledError("stopped")

    for runner in runners:
        runner.run(wait, lambda _: None)
    assert len(runners) > 1
    qtbot.waitUntil(lambda: len(started) == len(runners), timeout=TIMEOUT)


@pytest.mark.parametrize("name", PANELS)
def test_a_dock_that_is_closed_leaves_nothing(
    viewer: Any, qtbot: Any, name: str
) -> None:
    before = windows()
    add_phantom(viewer)
    panel = PANELS[name](viewer)
    wait_for_threads(qtbot)
    work_on(panel, qtbot)
    gone: list[bool] = []
    panel.destroyed.connect(lambda: gone.append(True))
    viewer.window.remove_dock_widget("all")
    wait_for_threads(qtbot)
    qtbot.waitUntil(lambda: bool(gone), timeout=TIMEOUT)
    assert windows() <= before
    # Nothing of it listens any more.
    add_phantom(viewer, "flipped")
    viewer.layers.clear()


def test_a_window_that_is_closed_leaves_nothing(make_viewer: Any, qtbot: Any) -> None:
    viewer = make_viewer()
    layer = add_phantom(viewer)
    panels = [opened(viewer) for opened in PANELS.values()]
    commands.show_planes(viewer)
    wait_for_threads(qtbot)
    for panel in panels:
        work_on(panel, qtbot)
    # Without the scan that they may be about, they go on.
    viewer.layers.remove(layer)
    assert all(panel.runner.is_busy for panel in panels)
    viewer.close()
    wait_for_threads(qtbot)
    windows()
