"""Random numbers of one generator, for pictures that are drawn many at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Draws:
    """Random numbers for `n` pictures on one device.

    Parameters
    ----------
    n
        Pictures.
    generator
        Of all draws; its device is where everything is drawn.

    """

    n: int
    generator: torch.Generator

    @property
    def device(self) -> torch.device:
        """Where the pictures are."""
        return self.generator.device

    def uniform(self, low: float, high: float) -> torch.Tensor:
        """Return ``(n,)`` numbers between two."""
        drawn = torch.rand(self.n, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def log_uniform(self, low: float, high: float) -> torch.Tensor:
        """Return ``(n,)`` numbers whose logarithms are uniform."""
        return self.uniform(math.log(low), math.log(high)).exp()

    def normal(self, *shape: int) -> torch.Tensor:
        """Return ``(n, *shape)`` numbers of mean 0 and deviation 1."""
        return torch.randn(self.n, *shape, generator=self.generator, device=self.device)

    def some(self, share: float) -> torch.Tensor:
        """Return ``(n,)`` of 0 and 1, float32; 1 in so many."""
        return (self.uniform(0, 1) < share).float()


def wide(values: torch.Tensor, axes: int) -> torch.Tensor:
    """Return ``(n,)`` as ``(n, 1, ...)`` with so many more axes."""
    return values.view(-1, *[1] * axes)
