"""Makes the pictures of a list of scans one after the other in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.survey import Series, together
from napari_resonance.viewer.thumbnails import Thumbnail, make_thumbnails


class ThumbnailLoader(QObject):
    """Hands over each picture as soon as it is made."""

    ready = Signal(object, object)
    """A `Series` and its `Thumbnail`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._runner = JobRunner(self)
        self._waiting: deque[list[Series]] = deque()

    @property
    def is_busy(self) -> bool:
        """Whether pictures are still to come."""
        return self._runner.is_busy

    def load(self, series: Sequence[Series]) -> None:
        """Make the pictures of these scans, in this order, and of no others."""
        self.stop()
        self._waiting = deque(together(series))
        self._next()

    def stop(self) -> None:
        """Make no more pictures."""
        self._waiting.clear()
        self._runner.abandon()

    def _next(self) -> None:
        if self._waiting:
            group = self._waiting.popleft()
            self._runner.run(partial(_work, group), partial(self._on_made, group))

    def _on_made(self, group: list[Series], pictures: list[Thumbnail]) -> None:
        for series, picture in zip(group, pictures, strict=True):
            self.ready.emit(series, picture)
        self._next()


def _work(group: list[Series], progress: Any, should_stop: Any) -> list[Thumbnail]:
    return make_thumbnails(group, should_stop)
