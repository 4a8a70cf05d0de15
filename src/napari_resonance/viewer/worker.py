"""Work in a thread of its own, told to the window by Qt signals."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_resonance.errors import CancelledError, ResonanceError
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.viewer.remedies import in_window

Work = Callable[[Progress, ShouldStop], Any]
"""What a job runs: it reports progress, asks whether to stop, returns its result."""

# More messages than the eye can follow would only keep the window busy. Work of few
# steps reports each of them: one of them may be the one that takes long.
_MIN_SECONDS_BETWEEN_MESSAGES = 0.05
_FEW_STEPS = 20

_LOG = logging.getLogger(__name__)

# A QObject must outlive the thread that emits its signals.
_RUNNING: set[Job] = set()


class Job(QObject):
    """One piece of work, in one thread that ends with it.

    Every signal arrives on the thread that made the job. After `cancel` none arrives
    but `cancelled`: the thread goes on to its next safe point and what it returns is
    dropped.
    """

    progressed = Signal(int, int, str)
    """Steps done, steps in all (0 if not known), what is being done."""

    succeeded = Signal(object)
    """The result."""

    failed = Signal(str, str)
    """What went wrong, as sentences for the user, and details of a program's fault."""

    cancelled = Signal()
    """The user does not want the result any more."""

    _message = Signal(int, int, str)
    _ended = Signal(object)

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._stop = Event()
        self._last_message = 0.0
        self._message.connect(self._on_message)
        # Queued also where the work ends before anybody listens: messages come first.
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Start the thread."""
        _RUNNING.add(self)
        executor = ThreadPoolExecutor(1, thread_name_prefix="resonance")
        future = executor.submit(self._work, self._report, self._stop.is_set)
        # Called in the thread; the signal carries the future over.
        future.add_done_callback(self._ended.emit)
        executor.shutdown(wait=False)

    def cancel(self) -> None:
        """Ask the thread to stop and drop its result; returns at once."""
        if not self._stop.is_set():
            self._stop.set()
            self.cancelled.emit()

    def abandon(self) -> None:
        """Do as `cancel` does, but tell nobody: whoever listened is gone."""
        self._stop.set()

    def _report(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        waited = now - self._last_message
        if total <= _FEW_STEPS or waited >= _MIN_SECONDS_BETWEEN_MESSAGES:
            self._last_message = now
            self._message.emit(done, total, text)

    def _on_message(self, done: int, total: int, text: str) -> None:
        if not self._stop.is_set():
            self.progressed.emit(done, total, text)

    def _on_ended(self, future: Future[Any]) -> None:
        _RUNNING.discard(self)
        if self._stop.is_set():
            return
        self._stop.set()
        error = future.exception()
        if error is None:
            self.succeeded.emit(future.result())
        elif isinstance(error, CancelledError):
            self.cancelled.emit()
        else:
            self.failed.emit(sentence_of(error), details_of(error))


def details_of(error: BaseException) -> str:
    """Return where a fault of the program happened; empty for errors that are ours."""
    if isinstance(error, ResonanceError):
        return ""
    return "".join(traceback.format_exception(error)).rstrip()


def sentence_of(error: BaseException) -> str:
    """Return what went wrong and what to do, for the panel.

    Errors that are not ours are faults of the program; they are logged in full.
    """
    if isinstance(error, ResonanceError):
        return in_window(f"{error}").rstrip(".") + "."
    _LOG.error("work in the background failed", exc_info=error)
    if isinstance(error, MemoryError):
        return "There is not enough memory for this. Close other scans and try again."
    return (
        f"The program failed here ({type(error).__name__}: {error}). "
        "Please report the details."
    )
