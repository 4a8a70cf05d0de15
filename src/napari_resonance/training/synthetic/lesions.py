"""Drawn pictures of a lesion in layered tissue, as ultrasound shows it.

What radiologists describe is what is drawn: size, shape, orientation, margin, echo
pattern, halo and what lies behind (ACR BI-RADS Atlas, 5th ed., 2013, ultrasound).
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from napari_resonance.training.synthetic.random_draws import Draws, wide

FACTORS = (
    "present",
    "x",
    "y",
    "size",
    "aspect",
    "tilt_cos",
    "tilt_sin",
    "lobulation",
    "spiculation",
    "margin",
    "contrast",
    "heterogeneity",
    "halo",
    "behind",
    "speckle",
    "depth",
    "layers",
)


def draw_lesions(
    n: int, size: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw pictures, and tell what each was drawn with.

    Parameters
    ----------
    n
        Pictures.
    size
        Rows and columns.
    generator
        Of all draws; its device is where they are drawn.

    Returns
    -------
    pictures, factors
        Grey levels in 0..1, float32 ``(n, 1, size, size)``, rows downwards; and
        ``(n, 17)`` in the order of `FACTORS`, about -1..1. Those of a lesion are 0
        where there is none.

    """
    draws = Draws(n, generator)
    axis = torch.linspace(-1, 1, size, device=draws.device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    tissue, depth, layers = _tissue(draws, y)
    inside, distance, radius, drawn = _outline(draws, x, y)
    present = drawn["present"]
    dark = draws.some(0.85) > 0
    contrast = torch.where(dark, draws.uniform(-0.6, -0.05), draws.uniform(0.05, 0.3))
    heterogeneity = draws.uniform(0, 0.2) * draws.some(0.6)
    halo = draws.uniform(0, 0.3) * draws.some(0.4)
    behind = draws.uniform(-0.5, 0.5) * draws.some(0.6)
    texture = wide(heterogeneity, 2) * _field(draws, 11, 11, size)
    picture = tissue + inside * (wide(contrast, 2) + texture)
    reach = 0.2 * wide(drawn["radius"], 2)
    ring = torch.exp(-((distance - 1.15 * radius) / reach).square())
    picture = picture + wide(halo * present, 2) * ring
    column = _column(drawn, x, y) * (1 - inside * (wide(behind, 2) > 0))
    picture = picture + wide(behind * present, 2) * column
    speckle = draws.uniform(0, 0.35)
    picture = _shown(draws, picture, speckle)
    factors = [
        *(drawn[name] for name in FACTORS[:1]),
        *(present * drawn[name] for name in FACTORS[1:10]),
        present * contrast * 3,
        present * heterogeneity * 8,
        present * halo * 6,
        present * behind * 3,
        speckle * 5,
        depth * 4,
        layers * 2,
    ]
    return picture[:, None], torch.stack(factors, 1)


def _field(draws: Draws, rows: int, columns: int, size: int) -> torch.Tensor:
    """Return smooth noise ``(n, size, size)`` of so many cells."""
    coarse = draws.normal(1, rows, columns)
    fine = functional.interpolate(
        coarse, (size, size), mode="bicubic", align_corners=True
    )
    return fine[:, 0]


def _tissue(
    draws: Draws, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what lies around, and how it darkens with depth and is layered."""
    size = len(y)
    layers = draws.uniform(0, 1)
    amounts = (
        draws.uniform(0, 0.12),
        draws.uniform(0, 0.15) * layers,
        draws.uniform(0, 0.12) * layers,
        draws.uniform(0, 0.1),
    )
    cells = ((3, 3), (9, 3), (18, 5), (9, 9))
    tissue = torch.full((draws.n, size, size), 0.6, device=draws.device)
    for amount, (rows, columns) in zip(amounts, cells, strict=True):
        tissue = tissue + wide(amount, 2) * _field(draws, rows, columns, size)
    depth = draws.uniform(-0.35, 0.1)
    return tissue + wide(depth, 2) * (y + 1) / 2, depth, layers


def _outline(
    draws: Draws, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Return the lesion's share of each pixel, distances, its radius, and factors."""
    present = draws.some(0.9)
    across, down = draws.uniform(-0.6, 0.6), draws.uniform(-0.6, 0.5)
    radius, aspect = draws.log_uniform(0.12, 0.75), draws.uniform(0.45, 1)
    # Half of them lie along the layers, as most benign ones do.
    along = draws.some(0.5) > 0
    tilt = torch.where(along, 0.25 * draws.normal(), draws.uniform(0, math.pi))
    to_x, to_y = x - wide(across, 2), y - wide(down, 2)
    cos, sin = wide(tilt.cos(), 2), wide(tilt.sin(), 2)
    major, minor = cos * to_x + sin * to_y, -sin * to_x + cos * to_y
    minor = minor / wide(aspect, 2)
    distance, angle = (major.square() + minor.square()).sqrt(), minor.atan2(major)
    lobulation = draws.uniform(0, 0.3) * draws.some(0.7)
    spiculation = draws.uniform(0, 0.25) * draws.some(0.5)
    contour = torch.ones_like(distance)
    for waves in range(2, 10):
        height = 0.3 * lobulation if waves < 5 else 0.24 * spiculation
        phase = wide(draws.uniform(0, 2 * math.pi), 2)
        wave = torch.cos(waves * angle + phase)
        contour = contour + wide(height * draws.normal(), 2) * wave
    margin = draws.log_uniform(0.02, 0.3)
    edge = wide(margin * radius.sqrt(), 2)
    inside = torch.sigmoid((wide(radius, 2) * contour - distance) / edge)
    drawn = {
        "present": present,
        "x": across,
        "y": down,
        "size": radius.log() + 1.2,
        "aspect": (aspect - 0.75) * 4,
        "tilt_cos": (1 - aspect) * (2 * tilt).cos() * 2,
        "tilt_sin": (1 - aspect) * (2 * tilt).sin() * 2,
        "lobulation": lobulation * 5,
        "spiculation": spiculation * 6,
        "margin": margin.log() + 2.5,
        "radius": radius,
        "half_width": radius * (0.7 + 0.3 * aspect),
    }
    return inside * wide(present, 2), distance, wide(radius, 2) * contour, drawn


def _column(
    drawn: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Return where the shadow or the bright band below the lesion lies."""
    to_x, to_y = x - wide(drawn["x"], 2), y - wide(drawn["y"], 2)
    within = torch.sigmoid((wide(drawn["half_width"], 2) - to_x.abs()) / 0.08)
    return within * torch.sigmoid((to_y - 0.3 * wide(drawn["radius"], 2)) / 0.1)


def _shown(draws: Draws, picture: torch.Tensor, speckle: torch.Tensor) -> torch.Tensor:
    """Return grey levels of eight bits, with speckle, of any gain and contrast."""
    size = picture.shape[-1]
    grains = functional.avg_pool2d(draws.normal(1, size, size), 3, 1, 1)[:, 0] * 1.5
    picture = picture.clamp(0.02, 1.2) * torch.exp(wide(speckle, 2) * grains)
    low, high = picture.flatten(1).amin(1), picture.flatten(1).amax(1)
    picture = (picture - wide(low, 2)) / wide((high - low).clamp_min(1e-6), 2)
    gamma, gain = torch.exp(0.35 * draws.normal()), draws.uniform(0.5, 1)
    picture = picture.clamp(0, 1) ** wide(gamma, 2) * wide(gain, 2)
    return (picture * 255).round() / 255
