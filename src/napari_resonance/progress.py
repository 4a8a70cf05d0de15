"""How long work reports what it has done, and how it learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is being done, in words."""

ShouldStop = Callable[[], bool]
"""Asked between steps; True ends the work with ``CancelledError``."""


def no_progress(done: int, total: int, text: str) -> None:
    """Report to nobody."""


def never() -> bool:
    """Never ask to stop."""
    return False
