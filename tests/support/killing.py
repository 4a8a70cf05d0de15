"""Runs that are killed at random moments, until one is let end.

As a script (``python -m support.killing STUDIES OUT KILLS [WORKERS]``) it scores a
folder, is killed by SIGKILL that many times, and then ends. It imports no torch. The
last line counts results, kills, and processes that outlived their run.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from napari_resonance.scoring.journal import FILE_NAME
from support.scoring import run, started

MARK = "RESONANCE_TEST"  # variable that all processes of a test have


def killed_runs(studies, out, kills, seconds):
    """Begin to score and kill it, so many times: in the middle, then at random.

    A run to which no more is left than what runs ended over is let end: a scan over
    which five of them ended would be left alone, as it should be.
    """
    moments = random.Random(0)
    for n in range(kills):
        last = n > 0 and only_suspects_are_left(out)
        child = started(studies, out)
        if last:
            os.waitpid(child, 0)
            continue
        # The first one gets as far as having a plan, which the others go on with.
        time.sleep(seconds / 2 if n == 0 else moments.uniform(0, min(seconds, 0.2)))
        kill(child)


def killed_workers(studies, out, kills, workers):
    """Begin to score with workers, and kill it some steps of its journal later.

    Most of such a run is the start of its workers: a random moment would be there.
    Returns how often it was killed at work, and how many processes that left at most.
    """
    moments = random.Random(0)
    killed = most_left = 0
    for _ in range(kills):
        child = started(studies, out, workers=workers)
        steps, before = moments.randint(1, 8), steps_of(out)
        while steps_of(out) < before + steps and not has_ended(child):
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.05))
        killed += kill(child)
        most_left = max(most_left, left_processes(20))
    return killed, most_left


def kill(child):
    """Kill a run; tell whether it was still there."""
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return True
    return False


def has_ended(child):
    """Tell whether a run came to its end by itself."""
    return os.waitpid(child, os.WNOHANG)[0] != 0


def steps_of(out):
    """Return how many tries and results a journal holds."""
    path = out / FILE_NAME
    if not path.exists():
        return 0
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=1)) as base:
        query = "SELECT sum(tries) + sum(status != 'begun') FROM results"
        return base.execute(query).fetchone()[0] or 0
    return 0


def only_suspects_are_left(out):
    """Tell whether all that is left of a plan was begun by runs that were killed."""
    path = out / FILE_NAME
    if not path.exists():
        return False
    new = "SELECT 1 FROM planned WHERE item NOT IN (SELECT item FROM results)"
    begun = "SELECT 1 FROM results WHERE status = 'begun'"
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=1)) as base:
        return not base.execute(new).fetchone() and bool(base.execute(begun).fetchone())
    return False


def left_processes(seconds):
    """Wait until none is left of the processes of this test; return how many are."""
    import psutil

    mark = os.environ[MARK]
    ends = time.monotonic() + seconds
    while True:
        left = 0
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                left += (
                    process.pid != os.getpid()
                    and process.status() != psutil.STATUS_ZOMBIE
                    and process.environ().get(MARK) == mark
                )
        if not left or time.monotonic() > ends:
            return left
        time.sleep(0.1)


def main(studies, out, kills, workers="0"):
    """Let runs be killed, then let one end."""
    import nibabel  # noqa: F401 - once here instead of in every child
    import pyarrow.parquet  # noqa: F401

    import napari_resonance.reading.nifti
    import napari_resonance.scoring.run  # noqa: F401

    studies, out = Path(studies), Path(out)
    if int(workers):
        import distributed  # noqa: F401

        killed, left = killed_workers(studies, out, int(kills), int(workers))
        summary = run(studies, out, workers=int(workers)).to_json()
        print(summary | {"killed": killed, "left": left})  # noqa: T201
        return
    began = time.monotonic()
    os.waitpid(started(studies, Path(f"{out}-calm")), 0)
    killed_runs(studies, out, int(kills), time.monotonic() - began)
    summary = run(studies, out).to_json()
    print(summary | {"torch": "torch" in sys.modules})  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
