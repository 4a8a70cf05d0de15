"""Runs one job at a time for a panel, and stops it when the panel goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QCoreApplication, QObject, Signal

from napari_resonance.viewer.worker import Job, Work


class JobRunner(QObject):
    """The one place where a panel's work is started, stopped and listened to."""

    busy_changed = Signal(bool)
    """Work began (True), or the panel is free again (False)."""

    progressed = Signal(int, int, str)
    failed = Signal(str, str)
    cancelled = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        # Outlives this object, so that its end can still stop the job.
        running: list[Job] = []
        self._running = running

        def abandon() -> None:
            for job in running:
                job.abandon()

        self.destroyed.connect(abandon)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.abandon)

    @property
    def is_busy(self) -> bool:
        """Whether a job is running that was not cancelled."""
        return bool(self._running)

    def run(self, work: Work, done: Callable[[Any], object]) -> None:
        """Start work in a thread; `done` is called here with its result.

        The job that still runs, if any, is cancelled.
        """
        self.cancel()
        job = Job(work)
        self._running.append(job)
        job.progressed.connect(self.progressed)
        job.succeeded.connect(self._free)
        job.succeeded.connect(done)
        job.failed.connect(self._free)
        job.failed.connect(self.failed)
        job.cancelled.connect(self._free)
        job.cancelled.connect(self.cancelled)
        self.busy_changed.emit(True)
        job.start()

    def cancel(self) -> None:
        """Free the panel now; the job ends at its next safe point without a result."""
        for job in list(self._running):
            job.cancel()

    def abandon(self) -> None:
        """Stop the job without telling anybody, because the window goes."""
        for job in self._running:
            job.abandon()
        self._running.clear()

    def _free(self) -> None:
        self._running.clear()
        self.busy_changed.emit(False)
