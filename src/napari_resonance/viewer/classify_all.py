"""Classifies several scans one after another; one that fails does not stop the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_resonance.errors import ResonanceError
from napari_resonance.export.wording import counted
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.viewer.classification import (
    Classified,
    ClassifyOptions,
    classify_or_say,
)
from napari_resonance.viewer.job_runner import JobRunner

Case = tuple[Any, ClassifyOptions]
"""A layer, and how it is to be classified."""


class ClassifyAll(QObject):
    """Works off a list of scans with a panel's runner."""

    answered = Signal(object, object)
    """A layer and its `Classified`."""

    finished = Signal(str)
    """All are done: how many, and what failed, in sentences."""

    def __init__(self, runner: JobRunner, parent: QObject) -> None:
        super().__init__(parent)
        self._runner = runner
        self._waiting: deque[Case] = deque()
        self._total = 0
        self._failed: list[str] = []

    def start(self, cases: Sequence[Case]) -> None:
        """Classify these scans, in this order, and no others."""
        self._waiting, self._total, self._failed = deque(cases), len(cases), []
        self._next()

    def _next(self) -> None:
        if not self._waiting:
            self.finished.emit(self._summary())
            return
        layer, options = self._waiting.popleft()
        number = self._total - len(self._waiting)
        title = f"Scan {number} of {self._total}: "
        work = partial(_titled, options, title)
        self._runner.run(work, partial(self._on_done, layer))

    def _on_done(self, layer: Any, result: Classified | ResonanceError) -> None:
        if isinstance(result, ResonanceError):
            self._failed.append(f"{layer.name}: {result.message}.")
        else:
            self.answered.emit(layer, result)
        self._next()

    def _summary(self) -> str:
        done = f"{counted(self._total - len(self._failed), 'scan')} classified."
        failed = f"{len(self._failed)} failed." if self._failed else ""
        return " ".join(filter(None, [done, failed, *self._failed]))


def _titled(
    options: ClassifyOptions, title: str, progress: Progress, should_stop: ShouldStop
) -> Classified | ResonanceError:
    def told(done: int, total: int, text: str) -> None:
        progress(done, total, f"{title}{text}")

    return classify_or_say(options, told, should_stop)
