"""How long our code holds the window's thread, napari's own drawing apart."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from dataclasses import dataclass
from types import FrameType
from typing import Any

from qtpy.QtCore import QTimer

BEAT_MS, LOOK_S = 5, 0.004
_THEIRS = ("/napari/", "/vispy/", "/OpenGL/")


@dataclass(frozen=True)
class Gap:
    """Between two beats: processor seconds of the thread, our part, and who it was."""

    seconds: float
    ours: float
    where: str


class Heartbeat:
    """A timer that beats while a test does things, and a look at what holds it up.

    Processor time of the window's thread, since wall time is stretched by whatever
    else runs on the machine. A gap is shared out by samples of the thread's stack: what
    our code asks napari, vispy or OpenGL to draw is theirs; importing is ours.
    """

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self._main = threading.get_ident()
        self._samples: list[tuple[bool, str]] = []
        self._end = threading.Event()
        self._timer = QTimer()
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._last = time.thread_time()

    def __enter__(self) -> Heartbeat:
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._last = time.thread_time()
        self._timer.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._timer.stop()
        self._end.set()
        self._watcher.join()

    @property
    def longest(self) -> Gap:
        """The gap with most time of ours in it."""
        return max(self.gaps, key=lambda gap: gap.ours)

    def _beat(self) -> None:
        now = time.thread_time()
        seconds, self._last = now - self._last, now
        samples, self._samples = self._samples, []
        own = [where for ours, where in samples if ours]
        share = len(own) / len(samples) if samples else 0.0
        where = max(own, key=own.count) if own else ""
        self.gaps.append(Gap(seconds, share * seconds, where))

    def _watch(self) -> None:
        while not self._end.wait(LOOK_S):
            frame = sys._current_frames().get(self._main)
            if frame is not None:
                self._samples.append(_whose(frame))


def _whose(frame: FrameType) -> tuple[bool, str]:
    """Tell whether the innermost of our and napari's functions is ours, and which."""
    for one, line in traceback.walk_stack(frame):
        file = one.f_code.co_filename.replace("\\", "/")
        if any(part in file for part in _THEIRS):
            return False, ""
        if "/napari_resonance/" in file:
            name = file.split("/napari_resonance/")[-1]
            return True, f"{name}:{line} {one.f_code.co_name}"
    return False, ""
