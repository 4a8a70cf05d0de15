"""Random changes of whole batches, where the batch lies: flips, affine, intensities.

Every draw comes from one generator, so that a step of a training can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """Strength of each random change of network inputs ``(N, C, *spatial)``.

    Parameters
    ----------
    flip_axes
        Spatial axes that may be mirrored (0 for the first). Empty unless left and
        right, or front and back, mean the same for the question.
    rotation
        Largest rotation, in radians: about each axis of a volume, in the plane of an
        image.
    scaling
        Largest relative change of size, per axis.
    shift
        Largest shift along each axis, as a share of its length.
    bias
        Standard deviation of the logarithm of a smooth multiplicative field.
    gamma
        Standard deviation of the logarithm of an exponent on values scaled to 0..1.
    noise
        Largest standard deviation of normal noise, relative to that of the input.
    coarsening
        Largest loss of resolution along one axis, as a factor; 1 for none.
    window
        Largest shift of either end of the window of values, which is 0..1, as a share
        of its width: for CT, whose values have a scale of their own. Values that the
        window had clipped stay as they are clipped.
    colors
        Of channels that are red, green and blue, each one's black and how far its white
        lies from it; empty where channels have nothing to do with each other. Colours
        are changed together: no channel against another.

    """

    flip_axes: tuple[int, ...] = ()
    rotation: float = 0.1
    scaling: float = 0.1
    shift: float = 0.08
    bias: float = 0.15
    gamma: float = 0.2
    noise: float = 0.1
    coarsening: float = 1.5
    window: float = 0.0
    colors: tuple[tuple[float, float], ...] = ()

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return a changed copy of a batch, on the device of `random`, float32."""
        # 16 bits do not suffice for places: matrices and grids would be all wrong.
        with torch.autocast(images.device.type, enabled=False):
            images = self.windowed(images.float(), random)
            if not self.colors:
                return self._changed(images, images.flatten(2).amin(dim=2), random)
            scales = torch.tensor(self.colors, device=images.device).T
            black, white = scales.reshape(2, -1, *[1] * (images.ndim - 2))
            colors = (images - black) / white
            darkest = colors.flatten(1).amin(dim=1, keepdim=True)
            changed: Tensor = self._changed(colors, darkest, random) * white + black
            return changed

    def _changed(
        self, images: Tensor, darkest: Tensor, random: torch.Generator
    ) -> Tensor:
        """Change images, of whose channels these are the darkest values."""
        floor = darkest.reshape(*darkest.shape, *[1] * (images.ndim - 2))
        # What comes in from outside is the background.
        moved = self.moved(images - floor, random)
        return self.shone(self.coarsened(moved, random), random) + floor

    def windowed(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Look at images of values 0..1 through other windows."""
        if not self.window:
            return images
        n, ndim = len(images), images.ndim
        low, high = uniform((2, n), -self.window, self.window, random)
        width = expanded(1 + high - low, ndim)
        return ((images - expanded(low, ndim)) / width).clamp(0, 1)

    def moved(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Flip, rotate, scale and shift, in one interpolation."""
        n, shape = len(images), images.shape[2:]
        ndim = len(shape)
        for axis in self.flip_axes:
            chosen = expanded(uniform(n, 0, 1, random) < 0.5, images.ndim)
            images = torch.where(chosen, images.flip(axis + 2), images)
        size = torch.tensor(shape, device=images.device, dtype=torch.float32)
        shift = uniform((n, ndim), -self.shift, self.shift, random) * size
        if not (self.rotation or self.scaling):
            return shifted(images, shift.round().long().tolist())
        turns = rotations(uniform((n, 3), -self.rotation, self.rotation, random), ndim)
        zoom = 1 + uniform((n, 1, ndim), -self.scaling, self.scaling, random)
        matrix = turns * zoom
        # From voxels around the middle to grid_sample's -1..1, last axis first.
        half = (size - 1).clamp_min(1) / 2
        theta = torch.cat([matrix * half, shift[..., None]], dim=2) / half[:, None]
        order = list(range(ndim))[::-1]
        theta = theta[:, order][..., [*order, ndim]]
        grid = functional.affine_grid(
            theta, [n, images.shape[1], *shape], align_corners=True
        )
        return functional.grid_sample(images, grid, align_corners=True)

    def coarsened(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Lose resolution along one axis in half of the batches."""
        draw = torch.rand(3, generator=random, device=random.device).tolist()
        if self.coarsening <= 1 or draw[0] < 0.5:
            return images
        shape = list(images.shape[2:])
        axis = int(draw[1] * len(shape))
        factor = 1 + draw[2] * (self.coarsening - 1)
        small = shape.copy()
        small[axis] = max(2, round(shape[axis] / factor))
        mode = "trilinear" if len(shape) == 3 else "bilinear"
        reduced = functional.interpolate(images, small, mode="area")
        return functional.interpolate(reduced, shape, mode=mode)

    def shone(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Change shading, contrast and noise of images whose darkest value is 0."""
        n, ndim = len(images), images.ndim
        if self.gamma:
            top = expanded(images.flatten(1).amax(dim=1).clamp_min(1e-6), ndim)
            normal = torch.randn(n, generator=random, device=random.device)
            power = torch.exp(self.gamma * normal).clamp(0.4, 2.5)
            images = (images / top).clamp(0, 1) ** expanded(power, ndim) * top
        if self.bias:
            field = smooth_noise(n, images.shape[2:], 3, random)
            images = images * torch.exp(self.bias * field)[:, None]
        if self.noise:
            spread = images.flatten(1).std(dim=1) * self.noise
            sigma = expanded(spread * uniform(n, 0, 1, random) ** 2, ndim)
            noise = torch.randn(images.shape, generator=random, device=random.device)
            images = images + sigma * noise
        return images

    def times(self, factor: float) -> Augmentation:
        """Return the same changes, stronger or weaker."""
        strengths = asdict(self)
        del strengths["flip_axes"], strengths["colors"]
        coarsening = 1 + factor * (strengths.pop("coarsening") - 1)
        changed = {name: factor * value for name, value in strengths.items()}
        return replace(self, coarsening=coarsening, **changed)

    def to_json(self) -> dict[str, Any]:
        """Return the strengths by name."""
        lists = {"flip_axes": list(self.flip_axes), "colors": list(self.colors)}
        return asdict(self) | lists


def generator(
    seed: int, epoch: int, step: int, rank: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return the source of all draws of one step of one process."""
    key = ((seed * 1_000_003 + epoch) * 1_000_003 + step) * 1_009 + rank
    return torch.Generator(device=device).manual_seed(key % (2**63 - 1))


def uniform(
    size: int | tuple[int, ...], low: float, high: float, random: torch.Generator
) -> Tensor:
    """Return draws between two numbers."""
    draws = torch.rand(size, generator=random, device=random.device)
    return low + (high - low) * draws


def expanded(values: Tensor, ndim: int) -> Tensor:
    """Return ``(N,)`` as ``(N, 1, ...)`` of `ndim` axes."""
    return values.reshape(-1, *[1] * (ndim - 1))


def shifted(images: Tensor, steps: Sequence[Sequence[int]]) -> Tensor:
    """Return images ``(N, C, *spatial)`` shifted by whole voxels.

    Voxel i of the result is voxel ``i + step`` of the image, 0 where there is none.
    """
    result = torch.zeros_like(images)
    for image, moved, step in zip(images, result, steps, strict=True):
        into, out_of = [slice(None)], [slice(None)]
        for s, n in zip(step, image.shape[1:], strict=True):
            into.append(slice(max(0, -s), n - max(0, s)))
            out_of.append(slice(max(0, s), n - max(0, -s)))
        moved[tuple(into)] = image[tuple(out_of)]
    return result


def smooth_noise(
    n: int, shape: torch.Size | tuple[int, ...], knots: int, random: torch.Generator
) -> Tensor:
    """Return normal noise on a coarse grid, interpolated to ``(N, *shape)``."""
    mode = "trilinear" if len(shape) == 3 else "bilinear"
    coarse = torch.randn(
        (n, 1, *[knots] * len(shape)), generator=random, device=random.device
    )
    fine = functional.interpolate(coarse, tuple(shape), mode=mode, align_corners=True)
    return fine[:, 0]


def rotations(angles: Tensor, dimensions: int = 3) -> Tensor:
    """Return rotation matrices of angles ``(N, 3)`` about the three axes.

    In two dimensions only the first angle counts.
    """
    if dimensions == 2:
        turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], device=angles.device)
        plane: Tensor = torch.matrix_exp(angles[:, :1, None] * turn)
        return plane
    generators = torch.tensor(
        [
            [[0.0, 0, 0], [0, 0, -1], [0, 1, 0]],
            [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
            [[0, -1, 0], [1, 0, 0], [0, 0, 0]],
        ],
        device=angles.device,
    )
    turns: Tensor = torch.einsum("na,aij->nij", angles, generators)
    return torch.matrix_exp(turns)
