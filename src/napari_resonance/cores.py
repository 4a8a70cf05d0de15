"""How many cores this process may use."""

from __future__ import annotations

import os


def n_cores() -> int:
    """Return how many threads or helpers may run side by side.

    Those cores that the operating system gives to this process; less where
    ``OMP_NUM_THREADS`` says so, which also holds for what several processes of one
    machine share.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, min(cores, int(told))) if told.isdecimal() else cores
