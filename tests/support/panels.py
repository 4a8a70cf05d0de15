"""A panel in a window, and work that waits until a test lets it go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from napari_resonance.errors import CancelledError
from napari_resonance.viewer.classification import classified
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.viewer_actions import add_scans
from support.answers import map_with_peak_at, prediction
from support.phantoms import phantom

# The first classification converts the network, which takes long on a busy machine.
TIMEOUT = 240_000


def wait_for_threads(qtbot: Any) -> None:
    qtbot.waitUntil(
        lambda: (
            not [t for t in threading.enumerate() if t.name.startswith("resonance")]
        ),
        timeout=TIMEOUT,
    )


def open_panel(viewer: Any, qtbot: Any) -> Any:
    _, panel = viewer.window.add_plugin_dock_widget("napari-resonance", "Classify")
    qtbot.waitUntil(lambda: not panel.model_search.is_busy, timeout=TIMEOUT)
    return panel


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


def press_run(panel: Any) -> None:
    panel.run_row.run_button.click()


def wait_idle(panel: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not panel.runner.is_busy, timeout=TIMEOUT)
