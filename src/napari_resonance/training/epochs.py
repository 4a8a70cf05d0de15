"""What is told of a training while it runs, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """An epoch that has ended.

    Parameters
    ----------
    number, total
        Which one, from 1, of how many at most.
    title
        Which training it belongs to, where there are several; else empty.
    figures
        ``training_loss``, and ``validation_loss``, ``validation_accuracy`` and
        ``validation_auroc`` where there are validation cases.

    """

    number: int
    total: int
    title: str
    figures: Mapping[str, float]


OnEpoch = Callable[[Epoch], None]
"""Called after each epoch; where a training goes on, first with its earlier ones."""


def no_epoch(epoch: Epoch) -> None:
    """Report to nobody."""
