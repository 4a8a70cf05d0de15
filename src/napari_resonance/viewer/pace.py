"""How long work will still take, from how fast it has gone so far."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

# Before so many seconds have passed, an estimate would only jump.
_SOONEST = 2.0


class Pace:
    """Watches the progress of one job.

    Each kind of work (the words of its progress without numbers) has its own pace.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kind: tuple[str, int] | None = None
        self._began, self._first = 0.0, 0

    def seconds_left(self, done: int, total: int, text: str) -> float | None:
        """Return how long this kind of work will take, None if that is not known yet.

        Parameters
        ----------
        done, total, text
            As progress was reported.

        """
        kind = (re.sub(r"[\d.]+", "", text.split(",", maxsplit=1)[0]), total)
        if kind != self._kind:
            self._kind, self._began, self._first = kind, self._clock(), done
        seconds, steps = self._clock() - self._began, done - self._first
        if seconds < _SOONEST or steps < 1 or total <= 0:
            return None
        return (total - done) * seconds / steps


def duration(seconds: float) -> str:
    """Return a time in words, rounded as people round it: ``"about 3 min"``."""
    if seconds < 60:
        return "less than a minute"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    if seconds < 36 * 3600:
        return f"about {round(seconds / 3600)} h"
    return f"about {round(seconds / 86400)} days"
