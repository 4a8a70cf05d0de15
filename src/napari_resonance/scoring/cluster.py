"""Readers on many machines, by dask.distributed: each scan is scored where it is read.

A task of the scheduler is some jobs, so many that they take longer than to hand them
out. The worker that gets it lets a process of its own do them, as `Readers` do on this
machine: a scan that ends this process costs the worker nothing, and the time limit
holds. What comes of it flows back to the one process that writes the journal. A worker
that is lost costs a second try elsewhere, which is the scheduler's business.
"""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from napari_resonance.cores import n_cores
from napari_resonance.errors import DependencyError, ResonanceError, ScoringError
from napari_resonance.scoring.options import ScoreOptions
from napari_resonance.scoring.preparing import Job
from napari_resonance.scoring.reader import Models
from napari_resonance.scoring.readers import Begin, Lost, Message, given_up
from napari_resonance.scoring.worker import (
    Readings,
    end_readers,
    leave_interrupts,
    score_jobs,
    start_reader,
)

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

_CONNECT_SECONDS = 30
_COUNT_SECONDS = 1.0  # between looks at which workers are there
# Tasks that wait at a worker, for each of its threads: it never waits for this process.
_AHEAD = 2
# A task costs the scheduler and the worker some 8 ms of a core, whatever is in it.
_TASK_SECONDS = 0.5
_MOST_TOGETHER = 16
_SETTINGS = {
    # What feeds dask's dashboard takes a tenth of a core, and nobody looks at it here.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "200ms",
    # Dask would write these into the environment of this process, and leave them there:
    # all that runs here afterwards would use one core.
    "distributed.nanny.pre-spawn-environ": {},
}
_LOST = {
    "error": "The workers that had it were lost, one after the other, the last time "
    "with nothing else at work. It is left alone from now on; look at it with another "
    "program, or try again with --retry-failed.",
    "type": "Quarantined",
}


class Cluster:
    """A scheduler and its workers; as a context, it is left at the end.

    Parameters
    ----------
    options
        With the number of workers to start on this machine, or with the address of a
        scheduler.

    Raises
    ------
    DependencyError
        If dask.distributed is not installed.
    ScoringError
        If the scheduler cannot be reached.

    """

    def __init__(self, options: ScoreOptions) -> None:
        if find_spec("distributed") is None:
            raise DependencyError(
                "the package dask[distributed] is needed for several workers",
                remedy="Install it with: python -m pip install "
                '"napari-resonance[cluster]"',
            )
        self.run = uuid4().hex
        self._counted = -math.inf, 1
        self._local: LocalCluster | None = None
        if not options.scheduler:
            self._local = _local_cluster(options.workers)
        self.client = _connected(self._local or options.scheduler, options.scheduler)
        if self._local is not None:
            self.client.run(leave_interrupts)

    def check(self, readings: Readings) -> None:
        """See that the workers find all that they will be sent.

        One that does not loses its connection over a task, and the task waits for ever.

        Raises
        ------
        ScoringError
            If one does not.

        """
        from distributed.protocol import pickle

        sent = pickle.dumps((readings, start_reader, score_jobs))
        try:
            self.client.run(pickle.loads, sent)
        # Whatever a worker lacks: a module, a class, another Python.
        except Exception as error:
            raise _refusal(error) from error

    def n_threads(self) -> int:
        """Return how many scans can be at work, at least 1; workers come and go."""
        now = time.monotonic()
        if now - self._counted[0] > _COUNT_SECONDS:
            self._counted = now, max(1, sum(self.client.nthreads().values()))
        return self._counted[1]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what was started, here and on the workers."""
        with suppress(Exception):  # they may be gone, which ends them as well
            self.client.run(end_readers, self.run)
        self.client.close()
        if self._local is not None:
            self._local.close()


class Tasks:
    """Scores on the workers of a cluster: a `Source` of results.

    Parameters
    ----------
    cluster
        Where to.
    jobs
        What to score; asked for the next one when a worker has room.
    models
        What the workers load.
    options
        With the time limit.
    begin
        Told of each job before it is handed out.
    alone
        Whether nothing else may be at work beside a job.

    Raises
    ------
    ScoringError
        If workers have other versions, and cannot understand what they are sent.

    """

    def __init__(
        self,
        cluster: Cluster,
        jobs: Iterator[Job],
        models: Models,
        options: ScoreOptions,
        begin: Begin,
        *,
        alone: bool,
    ) -> None:
        self.lost: list[Job] = []
        self._alone = alone
        self._cluster = cluster
        self._jobs: Iterator[Job] | None = jobs
        self._readings = Readings(models, options.time_limit, cluster.run)
        cluster.check(self._readings)
        self._begin = begin
        self._together = 1
        self._open: dict[Future[Any], list[Job]] = {}
        self._starting: Future[Any] | None = None
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()

    @property
    def is_done(self) -> bool:
        """Whether all jobs are done."""
        return self._jobs is None and not self._open

    def messages(self, *, wait: bool) -> list[Message]:
        """Return what is there; waits up to 0.1 s for something if `wait`.

        Raises
        ------
        ScoringError
            If the scheduler is gone.
        ResonanceError
            If a worker cannot load the models.

        """
        self._hand_out()
        found: list[Message] = []
        with suppress(queue.Empty):
            while True:
                future = self._ended.get(block=wait and not found, timeout=0.1)
                found += self._received(future)
        if self._cluster.client.status != "running":
            raise _gone()
        return found

    def used(self, message: Message) -> None:
        """Do nothing: results are small."""

    def close(self) -> None:
        """Take back what is not done."""
        futures = list(self._open)
        self._open.clear()
        if futures and self._cluster.client.status == "running":
            self._cluster.client.cancel(futures, force=True)

    def _hand_out(self) -> None:
        if self._jobs is None:
            return
        room = 1 if self._alone else self._cluster.n_threads() * _AHEAD
        for _ in range(room - len(self._open)):
            jobs = list(islice(self._jobs, self._together))
            if not jobs:
                self._jobs = None
                return
            if self._alone:
                # Else a run that ends while a process starts would count against a
                # scan that nobody has touched.
                self._starting = self._submit(start_reader, jobs)
            else:
                self._score(jobs)

    def _score(self, jobs: list[Job], *workers: str) -> None:
        """Hand jobs to some worker, or to one of these if they are still there."""
        for job in jobs:
            self._begin(job)
        whole = [replace(job, whole=True) for job in jobs]
        where = {"workers": list(workers), "allow_other_workers": True}
        self._submit(score_jobs, jobs, whole, **(where if workers else {}))

    def _submit(
        self, work: Callable[..., Any], jobs: list[Job], *more: Any, **where: Any
    ) -> Future[Any]:
        future = self._cluster.client.submit(
            work, self._readings, *more, pure=False, **where
        )
        self._open[future] = jobs
        future.add_done_callback(self._ended.put)
        return future

    def _received(self, future: Future[Any]) -> Iterator[Message]:
        jobs = self._open.pop(future, None)
        if jobs is None:
            return
        if future.status == "finished" and future is self._starting:
            self._score(jobs, future.result())
        elif future.status == "finished":
            outcomes: list[Message | Lost] = future.result()
            for outcome in outcomes:
                if isinstance(outcome, Lost):
                    self.lost.append(outcome.job)
                else:
                    yield outcome
            self._pace(outcomes, len(jobs))
        elif future.status != "error":
            raise _gone()
        elif (
            not _is_lost_worker(error := future.exception()) or future is self._starting
        ):
            raise _refusal(error)
        else:
            for job in jobs:
                if job.last:
                    yield from given_up(job, _LOST)
                else:
                    self.lost.append(job)

    def _pace(self, outcomes: Sequence[Message | Lost], n_jobs: int) -> None:
        """Put as many jobs into the next tasks as fill the time, by one that ended."""
        if self._alone:
            return
        took = sum(sum(o.seconds) for o in outcomes if not isinstance(o, Lost))
        fits = _TASK_SECONDS * n_jobs / max(took, 1e-6)
        self._together = max(1, min(int(fits), 2 * n_jobs, _MOST_TOGETHER))


def _local_cluster(n_workers: int) -> LocalCluster:
    import logging

    import dask
    from distributed import LocalCluster

    threads = str(max(1, n_cores() // n_workers))
    with dask.config.set(_SETTINGS):
        return LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=0,  # the memory is taken by processes that dask does not watch
            silence_logs=logging.CRITICAL,
            env={"OMP_NUM_THREADS": threads},
        )


def _connected(where: Any, address: str) -> Client:
    from distributed import Client

    try:
        return Client(where, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ScoringError(
            f"the scheduler does not answer ({type(error).__name__})",
            source=address or None,
            remedy="Check the address that `dask scheduler` printed, and the network",
        ) from error


def _is_lost_worker(error: BaseException | None) -> bool:
    from distributed.scheduler import KilledWorker

    return isinstance(error, KilledWorker)


def _refusal(error: BaseException | None) -> ResonanceError:
    if isinstance(error, ResonanceError):
        return error
    return ScoringError(
        f"a worker of the cluster failed: {type(error).__name__}: {error}",
        remedy="See that all machines have the same versions of this package and of "
        "dask, and look into the logs of the workers",
    )


def _gone() -> ScoringError:
    return ScoringError(
        "the scheduler is gone; what was scored is kept",
        remedy="Start it and its workers, and run the same command again",
    )
