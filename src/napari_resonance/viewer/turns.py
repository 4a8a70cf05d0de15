"""Work on one thing waits until work on it that was cancelled has ended."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from napari_resonance.errors import CancelledError
from napari_resonance.progress import Progress, ShouldStop

_SECONDS_BETWEEN_LOOKS = 0.1


class Turns:
    """One piece of work at a time, in the order in which they come."""

    def __init__(self) -> None:
        self._lock = Lock()

    def taking(
        self, work: Callable[[Progress, ShouldStop], Any]
    ) -> Callable[[Progress, ShouldStop], Any]:
        """Return the work as one that waits for its turn first."""

        def waiting(progress: Progress, should_stop: ShouldStop) -> Any:
            while not self._lock.acquire(timeout=_SECONDS_BETWEEN_LOOKS):
                if should_stop():
                    raise CancelledError("it was stopped before its turn")
                progress(0, 0, "waiting for the cancelled work to end")
            try:
                return work(progress, should_stop)
            finally:
                self._lock.release()

        return waiting
