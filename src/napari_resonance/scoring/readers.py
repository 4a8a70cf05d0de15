"""Reading processes side by side, ahead of the network by a bounded number of bytes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from napari_resonance.cores import n_cores
from napari_resonance.errors import ResonanceError
from napari_resonance.memory import available_memory
from napari_resonance.scoring.journal import FAILED
from napari_resonance.scoring.options import ScoreOptions, Scorer
from napari_resonance.scoring.preparing import Ended, Job, Ready, prepared
from napari_resonance.scoring.reader import (
    Models,
    Reader,
    ReaderLateError,
    ReaderLostError,
)

Message = Ready | Ended
Begin = Callable[[Job], None]
"""Told of a job before any of its files is touched."""

_QUARANTINED = {
    "error": "The process that read it ended twice, the second time with nothing else "
    "at work: the file crashes its decoder, or needs more memory than there is. It is "
    "left alone from now on; look at it with another program, or try again with "
    "--retry-failed.",
    "type": "Quarantined",
}


_LATE = {
    "error": "Reading and preparing it took longer than the time limit.",
    "type": "TimeLimit",
}


@dataclass(frozen=True)
class Lost:
    """What of a job was not done when the process that did it ended."""

    job: Job


class Source(Protocol):
    """Where prepared scans come from.

    ``lost`` are jobs over which a process ended, or which shared it with the one that
    did: they are to be done alone, after all others.
    """

    lost: list[Job]

    def messages(self, *, wait: bool) -> list[Message]:
        """Return what is there; waits a moment for something if `wait`."""

    def used(self, message: Message) -> None:
        """Let go of the memory of a message."""

    @property
    def is_done(self) -> bool:
        """Whether nothing comes any more."""

    def close(self) -> None:
        """End all processes."""


class Inline:
    """Reads in this process, one scan after the other."""

    def __init__(self, jobs: Iterable[Job], scorers: Sequence[Scorer], begin: Begin):
        self._jobs = iter(jobs)
        self._scorers = scorers
        self._begin = begin
        self.is_done = False
        self.lost: list[Job] = []

    def messages(self, *, wait: bool) -> list[Message]:
        """Return what comes of the next job, unless something is there already."""
        if not wait:
            return []
        job = next(self._jobs, None)
        if job is None:
            self.is_done = True
            return []
        self._begin(job)
        return list(prepared(job, self._scorers))

    def used(self, message: Message) -> None:
        """Do nothing: the memory goes by itself."""

    def close(self) -> None:
        """Do nothing: there is no process."""


class Readers:
    """Some reading processes, each served by a thread of this one.

    Parameters
    ----------
    jobs
        What to read; asked for the next one when a process is free.
    models
        What the processes prepare scans for.
    options
        How many, with which limits of time and memory.
    begin
        Told of each job before it is handed out.

    """

    def __init__(
        self, jobs: Iterator[Job], models: Models, options: ScoreOptions, begin: Begin
    ) -> None:
        self.lost: list[Job] = []
        self._jobs = jobs
        self._turn = threading.Lock()
        self._begin = begin
        self._ready: queue.SimpleQueue[Message | ResonanceError | None] = (
            queue.SimpleQueue()
        )
        self._bytes = _Bytes(options.prefetch_bytes, at_most=_MOST_AHEAD)
        self._room = _Bytes(
            int(_SHARE * available_memory()),
            at_least=_ALWAYS_READ,
            at_most=options.readers,
        )
        self._closed = threading.Event()
        n_readers = options.readers
        threads = max(1, n_cores() // n_readers)
        self._readers = [
            Reader(models, options.time_limit, threads) for _ in range(n_readers)
        ]
        self._threads = [
            threading.Thread(target=self._serve, args=(r,), daemon=True)
            for r in self._readers
        ]
        self._at_work = n_readers
        for thread in self._threads:
            thread.start()

    @property
    def is_done(self) -> bool:
        """Whether all jobs are done and all messages handed out."""
        return self._at_work == 0 and self._ready.empty()

    def messages(self, *, wait: bool) -> list[Message]:
        """Return what is there; waits up to 0.1 s for something if `wait`.

        Raises
        ------
        ResonanceError
            If the processes cannot start, or the journal cannot be written.

        """
        found: list[Message] = []
        while True:
            try:
                message = self._ready.get(block=wait and not found, timeout=0.1)
            except queue.Empty:
                return found
            if message is None:
                self._at_work -= 1
                if self._at_work == 0:
                    return found
            elif isinstance(message, ResonanceError):
                raise message
            else:
                found.append(message)

    def used(self, message: Message) -> None:
        """Let go of the memory of a message: another may take its place."""
        self._bytes.give(message.n_bytes)

    def close(self) -> None:
        """End all processes, whatever they do."""
        self._closed.set()
        self._bytes.stop()
        self._room.stop()
        for reader in self._readers:
            reader.kill()
        for thread in self._threads:
            thread.join()

    def _serve(self, reader: Reader) -> None:
        try:
            while (job := self._next()) is not None:
                try:
                    reader.start()
                    if self._closed.is_set():
                        break
                    self._begin(job)
                    self._one(reader, job)
                finally:
                    self._room.give(_peak(job))
        except ResonanceError as error:
            self._ready.put(error)
        finally:
            reader.close()
            self._ready.put(None)

    def _next(self) -> Job | None:
        """Return the next job once there is room for it; None if there is no more.

        The others wait behind it: a large scan is not put off by small ones for ever.
        """
        with self._turn:
            job = None if self._closed.is_set() else next(self._jobs, None)
            if job is None or not self._room.take(_peak(job)):
                return None
            return job

    def _one(self, reader: Reader, job: Job) -> None:
        for outcome in outcomes(reader, job):
            if not isinstance(outcome, Lost):
                self._bytes.take(outcome.n_bytes)
                self._ready.put(outcome)
            elif not self._closed.is_set():
                self.lost.append(outcome.job)


def outcomes(reader: Reader, job: Job) -> Iterator[Message | Lost]:
    """Yield what comes of each scan of a job, whatever happens to the process.

    Parameters
    ----------
    reader
        A process that was started.
    job
        For it.

    """
    done: set[tuple[str, int]] = set()
    try:
        for message in reader.ask(job):
            done.add((message.item, message.model))
            yield message
    except ReaderLateError:
        yield from given_up(job.without(done), _LATE)
    except ReaderLostError:
        left = job.without(done)
        if job.last:
            yield from given_up(left, _QUARANTINED)
        else:
            yield Lost(left)


def given_up(job: Job, answer: dict[str, str]) -> Iterator[Ended]:
    """Yield that the scans of a job failed."""
    for item, models in job.wanted:
        for model in models:
            yield Ended(item.key, model, FAILED, dict(answer))


# Of small inputs, memory alone would let in thousands: all of them would be suspects
# if the run were killed.
_MOST_AHEAD = 64


# Scans that are read at once take this share of the memory that is there when a run
# begins, at most; but two are read however large they are.
_SHARE, _ALWAYS_READ = 0.5, 2
# How much reading and preparing a scan takes, of what its voxels do (measured).
_PEAK = 1.5


def _peak(job: Job) -> int:
    return int(_PEAK * job.n_bytes)


class _Bytes:
    """Counts how many are let in, and their memory; so many however large they are."""

    def __init__(self, limit: int, *, at_least: int = 1, at_most: int) -> None:
        self._limit = limit
        self._at_least = at_least
        self._at_most = at_most
        self._taken = 0
        self._n_inside = 0
        self._stopped = False
        self._change = threading.Condition()

    def take(self, n_bytes: int) -> bool:
        """Wait until there is room, and take it; False if there will be none."""
        with self._change:
            self._change.wait_for(
                lambda: (
                    self._stopped
                    or self._n_inside < self._at_least
                    or (
                        self._n_inside < self._at_most
                        and self._taken + n_bytes <= self._limit
                    )
                )
            )
            self._taken += n_bytes
            self._n_inside += 1
            return not self._stopped

    def give(self, n_bytes: int) -> None:
        with self._change:
            self._taken -= n_bytes
            self._n_inside -= 1
            self._change.notify_all()

    def stop(self) -> None:
        with self._change:
            self._stopped = True
            self._change.notify_all()
