"""Tasks shared out among threads, for work that lets go of the interpreter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor


def share_out(tasks: Iterator[Callable[[], None]], n_threads: int) -> None:
    """Carry out tasks on threads; each takes the next task when it is done with one.

    Parameters
    ----------
    tasks
        Advanced by one thread at a time, so a generator may open files and ask whether
        to stop. No more than one task for each thread is taken at a time.
    n_threads
        How many threads; with one, the tasks are carried out in this one.

    Raises
    ------
    Exception
        The first that a task or the iterator raised; no task is begun after it.

    """
    if n_threads < 2:
        for task in tasks:
            task()
        return
    lock, stopped = threading.Lock(), threading.Event()

    def work() -> None:
        try:
            while not stopped.is_set():
                with lock:
                    task = next(tasks, None)
                if task is None:
                    return
                task()
        except BaseException:
            stopped.set()
            raise

    with ThreadPoolExecutor(n_threads, "resonance-reading") as threads:
        done = [threads.submit(work) for _ in range(n_threads)]
        try:
            for future in done:
                future.result()
        finally:
            stopped.set()
