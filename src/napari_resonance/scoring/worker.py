"""What a worker of a cluster does: it lets processes of its own read and score."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from napari_resonance.scoring.preparing import Job
from napari_resonance.scoring.reader import Models, Reader
from napari_resonance.scoring.readers import Lost, Message, outcomes


@dataclass(frozen=True)
class Readings:
    """What the processes of the workers are to be like.

    Parameters
    ----------
    models
        What they load.
    seconds
        Time limit for a scan.
    run
        Which run they serve: each ends its own, whoever else uses the workers.

    """

    models: Models
    seconds: float
    run: str


def score_jobs(readings: Readings, jobs: Sequence[Job]) -> list[Message | Lost]:
    """Score jobs on a worker, in a process that nobody else uses meanwhile.

    Raises
    ------
    ResonanceError
        If the process cannot start, or the models there are others.

    """
    found: list[Message | Lost] = []
    with _lent(readings) as reader:
        for job in jobs:
            reader.start()  # anew, if it ended over the one before
            found += outcomes(reader, job)
    return found


def start_reader(readings: Readings) -> str:
    """Let a worker have a process that waits for a job; return the worker's address.

    Raises
    ------
    ResonanceError
        As `score_jobs`.

    """
    from distributed import get_worker

    with _lent(readings) as reader:
        reader.start()
    address: str = get_worker().address
    return address


_turn = threading.Lock()
_idle: list[tuple[Readings, Reader]] = []
_all: list[tuple[Readings, Reader]] = []


@contextmanager
def _lent(readings: Readings) -> Iterator[Reader]:
    """Lend a process of this worker; there are as many as were ever lent at once."""
    with _turn:
        one = next((one for one in _idle if one[0] == readings), None)
        if one is not None:
            _idle.remove(one)
        else:
            # Dask forbids its workers to have children, since it ends workers by
            # killing them; ours end by themselves when their worker is gone.
            multiprocessing.current_process().daemon = False
            one = readings, Reader(readings.models, readings.seconds)
            _all.append(one)
    try:
        yield one[1]
    finally:
        with _turn:
            if one in _all:
                _idle.append(one)


def leave_interrupts() -> None:
    """Let Ctrl-C, which reaches every process of a terminal, to the one that scores."""
    with suppress(ValueError):  # not the main thread, which gets no signals anyway
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_readers(run: str) -> None:
    """End the processes that this worker has for a run, whatever they do."""
    with _turn:
        ours = [one for one in _all if one[0].run == run]
        _all[:] = [one for one in _all if one not in ours]
        _idle[:] = [one for one in _idle if one not in ours]
    for _, reader in ours:
        reader.kill()
