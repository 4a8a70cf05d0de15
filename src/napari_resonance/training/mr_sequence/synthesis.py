"""Other contrasts from the tissues of registered scans.

From the shares of white matter, grey matter and fluid, an image of any contrast can be
composed, as SynthSeg (Billot et al. 2023) does from segmentations. T1w, T2w and FLAIR
with tissue values anywhere in the ranges that physics allows teach the network what the
sequences have in common; images of no such contrast (proton density, diffusivity,
inversion, susceptibility) teach it to be undecided about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_resonance.training.mr_sequence.heads import Visit


@dataclass(frozen=True)
class Contrast:
    """Ranges of brightness, and which real images lend it their texture.

    Parameters
    ----------
    white, grey, fluid
        Lowest and highest brightness of the tissue.
    texture
        Weights of T1w, T2w and FLAIR in the real image that is blended in.
    brain_only
        The sequence shows no scalp (diffusion).
    odds
        How often it is drawn. Proton density is what clinical folders hold most.

    """

    white: tuple[float, float]
    grey: tuple[float, float]
    fluid: tuple[float, float]
    texture: tuple[float, float, float]
    brain_only: bool = False
    odds: float = 1.0


SEQUENCES = {
    "T1w": Contrast((0.9, 1.0), (0.5, 0.82), (0.1, 0.4), (1, 0, 0)),
    "T2w": Contrast((0.2, 0.4), (0.42, 0.7), (0.85, 1.1), (0, 1, 0)),
    "FLAIR": Contrast((0.55, 0.82), (0.88, 1.0), (0.05, 0.42), (0, 0, 1)),
}
OTHERS = {
    "proton density": Contrast(
        (0.65, 0.85), (0.9, 1.0), (0.8, 1.2), (0.5, 0.5, 0), odds=2.5
    ),
    "proton density, dark fluid": Contrast(
        (0.75, 0.88), (0.92, 1.0), (0.68, 0.85), (0.5, 0.3, 0.2), odds=1.5
    ),
    "diffusivity": Contrast((0.3, 0.4), (0.32, 0.42), (0.9, 1.1), (0, 0, 0), True),
    "diffusion": Contrast((0.93, 1.1), (0.9, 1.0), (0.02, 0.2), (0, 0, 0), True),
    "susceptibility": Contrast((0.75, 0.9), (0.8, 0.95), (0.8, 1.1), (0, 0.3, 0)),
    "nulled grey matter": Contrast((0.6, 0.9), (0.1, 0.35), (0.6, 1.0), (0, 0, 0)),
    "inverted FLAIR": Contrast((0.4, 0.6), (0.1, 0.3), (0.85, 1.0), (0, 0, 0)),
}


def compose(
    visit: Visit, contrast: Contrast, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return an image ``(X, Y, Z)`` of a contrast, and the depth map it goes with.

    The visit's tissues must be known.
    """
    draw = torch.rand(3, generator=random).tolist()
    ranges = (contrast.white, contrast.grey, contrast.fluid)
    levels = [lo + (hi - lo) * d for (lo, hi), d in zip(ranges, draw, strict=True)]
    ranks, depth = torch.from_numpy(visit.ranks), torch.from_numpy(visit.depth)
    tissues = torch.from_numpy(np.asarray(visit.tissues))
    image = (torch.tensor(levels)[:, None, None, None] * tissues).sum(dim=0)
    blend = torch.rand(5, generator=random)
    if any(contrast.texture):
        texture = _weighted(ranks, torch.tensor(contrast.texture, dtype=torch.float32))
        image = image * blend[0] + texture * (1 - blend[0])
    scalp = _weighted(ranks, blend[1:4] / blend[1:4].sum()) * 1.5 * blend[4]
    known = tissues.sum(dim=0) * (depth > 4)
    outside = torch.zeros_like(scalp) if contrast.brain_only else scalp
    return image * known + outside * (1 - known), depth


def mixed(visit: Visit, label: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a real image with a little of the visit's other sequences mixed in."""
    ranks = torch.from_numpy(visit.ranks)
    amount = (torch.rand(3, generator=random) - 0.5) * 0.5
    amount[label] = 1.0
    image = _weighted(ranks, amount).clamp_min(0) * (ranks[label] > 0)
    return image, torch.from_numpy(visit.depth)


def _weighted(images: Tensor, weights: Tensor) -> Tensor:
    return (weights[:, None, None, None] * images).sum(dim=0)


def draw_other(
    visits: Sequence[Visit], random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return an image of a contrast that is none of the labels, and its depth map."""
    visit = visits[int(torch.randint(len(visits), (1,), generator=random))]
    draw = torch.rand(4, generator=random)
    if visit.tissues is None or draw[0] < 0.3:
        # T1w and T2w weigh the tissues in opposite ways; their sum leaves the protons.
        weights = torch.stack([0.6 + 0.8 * draw[1], 0.6 + 0.8 * draw[2], 0.3 * draw[3]])
        return _weighted(torch.from_numpy(visit.ranks), weights), torch.from_numpy(
            visit.depth
        )
    contrasts = list(OTHERS.values())
    odds = torch.tensor([c.odds for c in contrasts])
    chosen = int(torch.multinomial(odds, 1, generator=random))
    return compose(visit, contrasts[chosen], random)
