"""Train a start for small networks on drawn pictures or shapes.

``python -m napari_resonance.training.synthetic synthetic-lesions --out FILE`` repeats
what made the weights that come with the package. The network learns to tell what each
picture was drawn with; no picture is shown twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch.nn import functional

from napari_resonance.classifier.catalogue import CATALOGUE
from napari_resonance.classifier.network import build_resnet
from napari_resonance.training.synthetic.lesions import draw_lesions
from napari_resonance.training.synthetic.shapes import draw_shapes

Drawing = Callable[
    [int, int, torch.Generator], tuple[torch.Tensor, torch.Tensor]
]  # see lesions.draw_lesions


class Subject(NamedTuple):
    """What is drawn, at which size, and how many at once and in all."""

    draw: Drawing
    size: int
    batch: int
    steps: int


SUBJECTS = {
    "synthetic-lesions": Subject(draw_lesions, 28, 1024, 2680),
    "synthetic-shapes": Subject(draw_shapes, 32, 256, 1645),
}


def train(
    name: str,
    steps: int,
    batch: int,
    device: torch.device,
    tell: Callable[[str], None],
    *,
    scaled_by: int = 2048,
) -> dict[str, torch.Tensor]:
    """Return the weights of the network of this name, float16, by MONAI's names.

    Parameters
    ----------
    name
        Of `SUBJECTS`.
    steps, batch
        Of the optimizer; pictures of each.
    device
        Where to draw and to train.
    tell
        Told how far it is.
    scaled_by
        Pictures whose factors give the scale of each.

    """
    subject = SUBJECTS[name]
    torch.manual_seed(1)
    generator = torch.Generator(device).manual_seed(1)
    network = build_resnet(CATALOGUE[name].definition()).to(device)
    factors = torch.cat(
        [
            subject.draw(min(batch, scaled_by - first), subject.size, generator)[1]
            for first in range(0, scaled_by, batch)
        ]
    )
    middle, scale = factors.mean(0), factors.std(0) + 1e-3
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.02)
    warm = min(300, max(1, steps // 8))
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warm, total_iters=warm),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - warm),
        ],
        [warm],
    )
    network.train()
    for step in range(steps):
        pictures, factors = subject.draw(batch, subject.size, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            told = network(pictures)
        loss = functional.smooth_l1_loss(told.float(), (factors - middle) / scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49 or step == steps - 1:
            tell(f"{name}: {step + 1} of {steps} steps, loss {loss.item():.4f}")
    return {
        k: v.detach().half().cpu().contiguous()
        for k, v in network.state_dict().items()
        if v.is_floating_point()
    }


def main() -> None:
    """Read the command line, train, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SUBJECTS)
    parser.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    subject = SUBJECTS[args.name]
    weights = train(
        args.name,
        args.steps or subject.steps,
        args.batch or subject.batch,
        torch.device(args.device),
        Console(stderr=True).print,
    )
    save_file(weights, args.out)
