"""Random changes that make heads of a few scanners stand for those of all others.

Works on batches ``(N, X, Y, Z)`` of head boxes with a margin, values scaled so that 1
is bright. Every draw comes from one generator, so that a step can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from napari_resonance.training.augment import rotations, smooth_noise, uniform


@dataclass(frozen=True)
class HeadAugmentation:
    """Strength of each change; lengths are in voxels, angles in radians.

    Parameters
    ----------
    rotation, scaling, shift, shift_up
        Largest rotation about each axis, relative change of size, shift along each
        axis, and shift of the head out of the top of the box.
    elastic
        Standard deviation of a smooth random displacement, in voxels.
    bias
        Standard deviation of the logarithm of a smooth multiplicative field.
    coarsening
        Largest loss of resolution along one axis, as a factor.
    noise
        Largest standard deviation of Rician noise, relative to bright tissue.
    curve
        Strength of a random monotonic change of contrast before noise is added.
    strip_share, rim_share, slab_share
        Share of heads whose skull is removed, whose bright rim (fat) is dimmed or
        clipped, and whose lowest slices are missing.

    """

    rotation: float = 0.2
    scaling: float = 0.14
    shift: float = 3.0
    shift_up: float = 4.0
    elastic: float = 1.4
    bias: float = 0.35
    coarsening: float = 3.0
    noise: float = 0.06
    curve: float = 0.35
    strip_share: float = 0.4
    rim_share: float = 0.5
    slab_share: float = 0.15

    def __call__(
        self,
        heads: Tensor,
        depth: Tensor,
        shape: tuple[int, int, int],
        random: torch.Generator,
    ) -> Tensor:
        """Change a batch of heads.

        Parameters
        ----------
        heads
            ``(N, X, Y, Z)`` with the margin.
        depth
            ``(N, X, Y, Z)`` distance from the surface of the head, in voxels; 0
            outside.
        shape
            Size of the network input, without the margin.
        random
            Source of every draw.

        Returns
        -------
        Tensor
            ``(N, *shape)``, values at least 0.

        """
        field = self.sampling_field(len(heads), heads.shape[1:], shape, random)
        both = torch.stack([heads, depth], dim=1)
        moved = functional.grid_sample(both, field, align_corners=True)
        changed = self.surface(moved[:, 0].clamp_min(0), moved[:, 1], random)
        return self.acquisition(self.tissue(changed, random), random)

    def surface(self, heads: Tensor, depth: Tensor, random: torch.Generator) -> Tensor:
        """Remove skulls, dim or clip bright rims."""
        n = len(heads)
        kind = torch.rand(n, generator=random)
        cut = uniform(n, 1.5, 5.0, random)[:, None, None, None]
        uneven = smooth_noise(n, heads.shape[1:], 5, random) * 0.8
        inside = (depth > cut + uneven).float()
        strip = _where(kind < self.strip_share)
        stripped = strip * inside + (1 - strip)
        heads = heads * stripped
        rim = _where(torch.rand(n, generator=random) < self.rim_share)
        dim = uniform(n, 0.1, 1.0, random)[:, None, None, None]
        dimmed = rim * (1 - inside) * (dim - 1) + 1
        ceiling = uniform(n, 0.7, 1.3, random)[:, None, None, None]
        clipped = torch.minimum(heads * dimmed, ceiling)
        return rim * clipped + (1 - rim) * heads

    def sampling_field(
        self,
        n: int,
        size: torch.Size,
        shape: tuple[int, int, int],
        random: torch.Generator,
    ) -> Tensor:
        """Return where to sample, ``(N, *shape, 3)`` in grid_sample's coordinates."""
        axes = [torch.arange(s, dtype=torch.float32) - (s - 1) / 2 for s in shape]
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        matrix = rotations(uniform((n, 3), -self.rotation, self.rotation, random))
        zoom = 1 + uniform((n, 1, 3), -self.scaling, self.scaling, random)
        flip = 1 - 2.0 * (torch.rand(n, generator=random) < 0.5).float()
        zoom = zoom * torch.stack([flip, torch.ones(n), torch.ones(n)], dim=1)[:, None]
        shift = uniform((n, 3), -self.shift, self.shift, random)
        shift[:, 2] -= uniform(n, 0, self.shift_up, random) - self.shift_up / 3
        field = points.reshape(1, -1, 3) @ matrix * zoom + shift[:, None]
        field = field.reshape(n, *shape, 3)
        bend = smooth_noise(n * 3, shape, 5, random).view(n, 3, *shape)
        field = field + self.elastic * bend.movedim(1, -1)
        half = torch.tensor([(s - 1) / 2 for s in size])
        return (field / half).flip(-1)  # grid_sample wants the last axis first

    def tissue(self, heads: Tensor, random: torch.Generator) -> Tensor:
        """Change contrast by a random monotonic curve, and shading by a bias field."""
        n = len(heads)
        top = heads.flatten(1).amax(dim=1).clamp_min(1e-6)[:, None, None, None]
        level = (heads / top).clamp(0, 1)
        gamma = torch.exp(self.curve * torch.randn(n, generator=random))
        flat = uniform(n, -self.curve, self.curve, random)[:, None, None, None] * 0.2
        wave = uniform(n, 0, 6.3, random)[:, None, None, None]
        curved = level ** gamma.clamp(0.4, 2.5)[:, None, None, None]
        curved = curved + flat * level * torch.sin(4 * level + wave)
        bias = torch.exp(self.bias * smooth_noise(n, heads.shape[1:], 3, random))
        return curved.clamp_min(0) * bias

    def acquisition(self, heads: Tensor, random: torch.Generator) -> Tensor:
        """Lose resolution along an axis, lose slices, add Rician noise."""
        result = []
        for head in heads:
            result.append(self._coarsened(head, random))
        coarse = torch.stack(result)
        n = len(coarse)
        lowest = torch.randint(1, 12, (n,), generator=random)
        missing = torch.rand(n, generator=random) < self.slab_share
        level = torch.arange(coarse.shape[3])[None] < (lowest * missing)[:, None]
        sample = coarse.flatten(1)[:, ::7]
        bright = sample.kthvalue(int(sample.shape[1] * 0.95), dim=1).values
        sigma = self.noise * bright * torch.rand(n, generator=random) ** 2
        sigma = sigma[:, None, None, None]
        noise = torch.randn((2, *coarse.shape), generator=random) * sigma
        noisy = torch.sqrt((coarse + noise[0]) ** 2 + noise[1] ** 2)
        # A head without skull has been masked after the noise was acquired.
        masked = (torch.rand(n, generator=random) < 0.3)[:, None, None, None]
        noisy = torch.where(
            masked & (coarse <= 0.02 * bright[:, None, None, None]), 0.0, noisy
        )
        return noisy * (~level).float()[:, None, None, :]

    def _coarsened(self, head: Tensor, random: torch.Generator) -> Tensor:
        draw = torch.rand(3, generator=random)
        if draw[0] < 0.3:
            return head
        axis = int(draw[1] * 3)
        factor = 1 + float(draw[2]) * (self.coarsening - 1)
        size = list(head.shape)
        size[axis] = max(4, round(size[axis] / factor))
        small = functional.interpolate(head[None, None], size, mode="area")
        back = functional.interpolate(small, head.shape, mode="trilinear")
        return back[0, 0]


def _where(chosen: Tensor) -> Tensor:
    return chosen.float()[:, None, None, None]
