"""One process that reads and prepares scans: watched, ended and replaced."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_resonance.cores import n_cores
from napari_resonance.errors import ModelError, ResonanceError, ScoringError
from napari_resonance.scoring.options import Load, Scorer
from napari_resonance.scoring.preparing import Ended, Job, Ready, prepared

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_START_SECONDS = 300.0
_STARTS = 3  # something else may end one that starts
# Parameters of glibc's mallopt, and what glibc itself would come to after a few scans.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20


class ReaderLostError(Exception):
    """The reading process ended over a job."""


class ReaderLateError(Exception):
    """The reading process took too long over a job, and was ended."""


@dataclass(frozen=True)
class Models:
    """How a process loads the models of a run.

    Parameters
    ----------
    load
        Loads one by its name.
    names
        Names or folders.
    device
        Where their networks run.
    sha256
        Hashes that they must have.

    """

    load: Load
    names: tuple[str, ...]
    device: str
    sha256: tuple[str, ...]

    def loaded(self) -> list[Scorer]:
        """Load them.

        Raises
        ------
        ModelError
            If one cannot be loaded, or is not the same as where the run began.

        """
        scorers = [self.load(name, self.device) for name in self.names]
        for scorer, name, sha256 in zip(scorers, self.names, self.sha256, strict=True):
            if scorer.sha256 != sha256:
                raise ModelError(
                    f"the model {name} is another one on this machine",
                    source=name,
                    remedy="Give all machines the same models and versions",
                )
        return scorers


class Reader:
    """A process of its own for jobs, one at a time; for one thread.

    Parameters
    ----------
    models
        What it prepares scans for.
    seconds
        Time limit for a scan.
    threads
        How many it may use; None for all cores that this process may use.

    """

    def __init__(
        self, models: Models, seconds: float, threads: int | None = None
    ) -> None:
        self._models = models
        self._seconds = seconds
        self._threads = threads or n_cores()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._is_killed = False

    def start(self) -> None:
        """Start the process unless it runs, and wait until it can be asked.

        Raises
        ------
        ResonanceError
            If it does not come up, or cannot load the models.

        """
        if self._process is not None and self._process.is_alive():
            return
        if self._is_killed:
            raise ScoringError("the process that reads scans was ended for good")
        for left in reversed(range(_STARTS)):
            try:
                refusal = self._started()
                break
            except (ReaderLostError, ReaderLateError) as error:
                if not left or self._is_killed:
                    raise ScoringError(
                        "the process that reads scans cannot start",
                        remedy="Call it below if __name__ == '__main__' in a script "
                        "of your own; or score with 0 readers, in one process, to see "
                        "why",
                    ) from error
        if refusal is not None:
            raise refusal

    def ask(self, job: Job) -> Iterator[Ready | Ended]:
        """Yield what comes of the scans of a job.

        Raises
        ------
        ReaderLostError
            If the process died.
        ReaderLateError
            If the time limit passed before the next scan was there.

        """
        try:
            _open(self._pipe).send(job)
        except OSError as error:
            self.close()
            raise ReaderLostError from error
        while (message := self._received(self._seconds)) is not None:
            yield message

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if process is not None:
            process.kill()
            process.join()
            process.close()
        if pipe is not None:
            pipe.close()

    def kill(self) -> None:
        """End the process for good, from another thread; whoever asks is told."""
        self._is_killed = True
        if self._process is not None:
            with suppress(ValueError):  # closed meanwhile
                self._process.kill()

    def _started(self) -> ResonanceError | None:
        """Start a process; return why it refuses."""
        self.close()
        # A fork would copy threads and locks of this process in whatever state.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._models, self._threads), daemon=True
        )
        self._process.start()
        theirs.close()
        refusal: ResonanceError | None = self._received(_START_SECONDS)
        return refusal

    def _received(self, seconds: float) -> Any:
        pipe = _open(self._pipe)
        try:
            if pipe.poll(seconds):
                return pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise ReaderLostError from error
        self.close()
        raise ReaderLateError


def _open(pipe: Connection | None) -> Connection:
    if pipe is None:
        raise ReaderLostError
    return pipe


def _serve(pipe: Connection, models: Models, threads: int) -> None:
    """Answer jobs until the other side is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Ctrl-C reaches every process of a terminal; the one that scores ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Decoders, OpenVINO and torch take this many.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    _keep_freed_memory()
    with suppress(OSError):
        # Where memory runs out, Linux ends this process, not the one with the journal.
        Path("/proc/self/oom_score_adj").write_text("500")
    with suppress(EOFError, OSError):
        try:
            scorers = models.loaded()
        except ResonanceError as error:
            pipe.send(error)
            return
        pipe.send(None)
        while True:
            for message in prepared(pipe.recv(), scorers):
                pipe.send(message)
            pipe.send(None)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, whatever it is at.

    It would find out by itself, but only once its scan is done: never, for some.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _keep_freed_memory() -> None:
    """Have what one scan took serve the next one, not go back to the system each time.

    Dask sets MALLOC_TRIM_THRESHOLD_ in its workers, and so in their children; every
    array then costs page faults anew, half as much time as all the rest.
    """
    if os.name != "posix":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)
