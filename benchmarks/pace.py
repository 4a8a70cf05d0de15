"""How fast a run is once all its processes have started."""

from __future__ import annotations

import time

import numpy as np


class Pace:
    """Told of the progress of a run, from 20 to 95 % of it.

    Several results may come at once, so the rate is the slope of a line through all.
    """

    def __init__(self) -> None:
        self._told: list[tuple[float, int]] = []

    def __call__(self, done: int, total: int, text: str) -> None:
        """Take note."""
        if total and 0.2 * total <= done <= 0.95 * total:
            self._told.append((time.perf_counter(), done))

    @property
    def rate(self) -> float:
        """Scans a second."""
        times, done = np.transpose(self._told)
        return float(np.polyfit(times - times[0], done, 1)[0])
