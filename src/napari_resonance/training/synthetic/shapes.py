"""Drawn organs: thin, bent limbs that share a plane, and round nodules on them.

As masks show adrenal glands, vessels or bones. What is drawn is what tells a healthy
gland from a diseased one: thickness, length, number of limbs, nodules, volume.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from napari_resonance.training.synthetic.random_draws import Draws, wide

FACTORS = (
    "limbs",
    "length",
    "thickness",
    "flatness",
    "bend",
    "taper",
    "nodules",
    "nodule_radius",
    "roughness",
    "volume",
    "shortest_axis",
    "middle_axis",
    "longest_axis",
    "surface_to_volume",
    "left_after_erosion",
    "left_after_two",
)
_MOST_LIMBS = 3
_ALONG = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # where along a limb spheres are placed
_MERGED = 0.06  # how far from each other limbs begin to merge
_FAR = 9.0


def draw_shapes(
    n: int, size: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw shapes, and tell what each was drawn with.

    Parameters
    ----------
    n
        Shapes.
    size
        Voxels along each axis.
    generator
        Of all draws; its device is where they are drawn.

    Returns
    -------
    shapes, factors
        Each voxel's share of the shape in 0..1, float32 ``(n, 1, size, size, size)``;
        and ``(n, 16)`` in the order of `FACTORS`, about -1..1.

    """
    draws = Draws(n, generator)
    axis = torch.linspace(-1, 1, size, device=draws.device)
    places = torch.meshgrid(axis, axis, axis, indexing="ij")
    grid = torch.stack(places, -1).view(1, -1, 3)
    distance, points, drawn = _limbs(draws, grid)
    distance, count, radius = _with_nodules(
        draws, grid, distance, points, drawn["count"]
    )
    roughness = draws.uniform(0, 0.06)
    rough = functional.interpolate(
        draws.normal(1, 9, 9, 9), (size,) * 3, mode="trilinear", align_corners=True
    )
    distance = distance + wide(roughness, 1) * rough.view(n, -1)
    voxel = 2 / (size - 1)
    shares = torch.sigmoid(-distance / (0.35 * voxel)).view(n, 1, size, size, size)
    factors = [
        drawn["count"] - 2,
        (drawn["length"] - 0.42) * 6,
        (drawn["thickness"].log() + 2.4) * 2,
        (drawn["flatness"] - 4.5) / 2,
        (drawn["bend"] - 0.25) * 6,
        (drawn["taper"] - 0.4) * 4,
        count,
        radius * 6,
        roughness * 30,
        *_measured((distance < 0).float(), grid, size),
    ]
    return shares, torch.stack(factors, 1)


def _limbs(
    draws: Draws, grid: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Return distances to the limbs, places along them, and what drew them."""
    start = 0.1 * draws.normal(3)
    drawn = {
        "count": 1 + (3 * draws.uniform(0, 1)).floor().clamp(max=2),
        "length": draws.uniform(0.25, 0.85),
        "thickness": draws.log_uniform(0.04, 0.15),
        "flatness": draws.uniform(1, 8),
        "bend": draws.uniform(0, 0.5),
        "taper": draws.uniform(0, 0.8),
    }
    # Limbs are sheets: flat along an axis that all of a shape share.
    shared = functional.normalize(draws.normal(3), dim=1)
    narrow = wide(1 - 1 / drawn["flatness"].square(), 1)
    best = torch.full((draws.n, grid.shape[1]), _FAR, device=draws.device)
    points = []
    for limb in range(_MOST_LIMBS):
        there = wide(drawn["count"] > limb, 1)
        towards = functional.normalize(draws.normal(3), dim=1)
        part = (towards * shared).sum(1, keepdim=True) * shared
        towards = functional.normalize(
            towards - part * wide(draws.uniform(0, 1), 1), dim=1
        )
        aside = functional.normalize(torch.linalg.cross(towards, shared), dim=1)
        length = drawn["length"] * draws.uniform(0.6, 1.2)
        for t in _ALONG:
            bent = wide(drawn["bend"] * length * t * t, 1)
            middle = start + towards * wide(length * t, 1) + aside * bent
            points.append(middle)
            to = grid - middle[:, None]
            along = (to * shared[:, None]).sum(2)
            squared = to.square().sum(2) - along.square() * narrow
            radius = drawn["thickness"] * (1 - drawn["taper"] * t)
            outside = squared.clamp_min(1e-9).sqrt() - wide(radius, 1)
            outside = torch.where(there, outside, _FAR)
            apart = (best - outside).abs()
            best = torch.minimum(best, outside)
            best = best - _MERGED / 2 * torch.log1p(torch.exp(-apart / _MERGED))
    return best, torch.stack(points, 1), drawn


def _with_nodules(
    draws: Draws,
    grid: torch.Tensor,
    distance: torch.Tensor,
    points: torch.Tensor,
    limbs: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Add up to two nodules; return distances, their number and largest radius."""
    count = draws.some(0.5) * (1 + draws.some(0.3))
    largest = torch.zeros(draws.n, device=draws.device)
    rows = torch.arange(draws.n, device=draws.device)
    for nodule in range(2):
        there = count > nodule
        radius = draws.log_uniform(0.08, 0.35)
        chosen = (draws.uniform(0, 1) * len(_ALONG) * limbs).long()
        chosen = chosen.clamp(max=points.shape[1] - 1)
        middle = points[rows, chosen] + 0.05 * draws.normal(3)
        stretch = 1 + 0.25 * draws.normal(3).clamp(-2, 2)
        to = (grid - middle[:, None]) / stretch[:, None]
        outside = torch.where(wide(there, 1), to.norm(dim=2) - wide(radius, 1), _FAR)
        distance = torch.minimum(distance, outside)
        largest = torch.maximum(largest, torch.where(there, radius, 0.0))
    return distance, count, largest


def _measured(
    inside: torch.Tensor, grid: torch.Tensor, size: int
) -> tuple[torch.Tensor, ...]:
    """Return volume, principal axes, surface and what erosions leave, of ``(n, v)``."""
    volume = inside.sum(1) + 1
    middle = (inside[:, :, None] * grid).sum(1) / wide(volume, 1)
    to = grid - middle[:, None]
    spread = torch.einsum("nv,nvi,nvj->nij", inside, to, to) / wide(volume, 2)
    steady = 1e-4 * torch.eye(3, device=grid.device)
    axes = torch.linalg.eigvalsh(spread + steady).log() / 2
    mask = inside.view(-1, 1, size, size, size)
    surface = sum(
        (mask.diff(dim=k).abs().flatten(1).sum(1) for k in (2, 3, 4)),
        start=torch.ones_like(volume),
    )
    left = [
        (-functional.max_pool3d(-mask, k, 1, k // 2)).flatten(1).sum(1) for k in (3, 5)
    ]
    return (
        (volume / math.prod((size,) * 3)).log() + 4,
        *((axes[:, k] + 2).clamp(-3, 3) for k in range(3)),
        (surface / volume).log().clamp(-3, 3),
        left[0] / volume * 3,
        left[1] / volume * 5,
    )
