"""Makes the pictures of a list of scans one after the other in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_resonance.progress import ShouldStop
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.survey import Series, together
from napari_resonance.viewer.thumbnails import Thumbnail, make_thumbnails

MakeOne = Callable[[Any, ShouldStop], Thumbnail]
"""Returns the picture of one thing."""


class ThumbnailLoader(QObject):
    """Hands over each picture as soon as it is made."""

    ready = Signal(object, object)
    """What is shown, a `Series` for example, and its `Thumbnail`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._runner = JobRunner(self)
        self._waiting: deque[tuple[Sequence[Any], Any]] = deque()

    @property
    def is_busy(self) -> bool:
        """Whether pictures are still to come."""
        return self._runner.is_busy

    def load(self, series: Sequence[Series]) -> None:
        """Make the pictures of these scans, in this order, and of no others."""
        self.stop()
        self._waiting.extend(
            (group, partial(make_thumbnails, group)) for group in together(series)
        )
        self._next()

    def add(self, things: Sequence[Any], make: MakeOne) -> None:
        """Make the pictures of these things too, one by one."""
        self._waiting.extend(([thing], partial(_one, make, thing)) for thing in things)
        if not self.is_busy:
            self._next()

    def stop(self) -> None:
        """Make no more pictures."""
        self._waiting.clear()
        self._runner.abandon()

    def _next(self) -> None:
        if self._waiting:
            group, make = self._waiting.popleft()
            self._runner.run(partial(_work, make), partial(self._on_made, group))

    def _on_made(self, group: Sequence[Any], pictures: list[Thumbnail]) -> None:
        for thing, picture in zip(group, pictures, strict=True):
            self.ready.emit(thing, picture)
        self._next()


def _one(make: MakeOne, thing: Any, should_stop: ShouldStop) -> list[Thumbnail]:
    return [make(thing, should_stop)]


def _work(make: Any, progress: Any, should_stop: ShouldStop) -> list[Thumbnail]:
    made: list[Thumbnail] = make(should_stop)
    return made
