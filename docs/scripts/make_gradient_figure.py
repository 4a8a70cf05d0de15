"""Make the figure of what skip connections do: the gradient by depth, with and without.

Untrained ResNets are asked about slices of the sample head, and the size of the
gradient of the loss in what each block puts out is drawn: once as the network is, once
with every block's shortcut cut.

    python docs/scripts/make_gradient_figure.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from napari_resonance import read_scan
from napari_resonance.classifier.definition import resnet_definition
from napari_resonance.classifier.network import build_resnet
from napari_resonance.saliency.residual import STAGES, branches
from napari_resonance.samples import sample_path

IMAGES = Path(__file__).parents[1] / "images"
DEPTHS = (34, 152)
SEEDS = 3
COLORS = {"with shortcuts": "#0072b2", "without": "#d55e00"}


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder")
    options = parser.parse_args()
    images = _slices()
    figure = Figure(figsize=(9, 3.6))
    for axes, depth in zip(figure.subplots(1, 2), DEPTHS, strict=True):
        for name, color in COLORS.items():
            keeps = name == "with shortcuts"
            norms = [_norms(depth, images, seed, keeps) for seed in range(SEEDS)]
            mean = np.exp(np.log(norms).mean(axis=0))
            blocks = np.arange(1, len(mean) + 1)
            axes.semilogy(blocks, mean, color=color, label=name)
            axes.fill_between(
                blocks, np.min(norms, axis=0), np.max(norms, axis=0),
                color=color, alpha=0.2, linewidth=0,
            )  # fmt: skip
            print(f"ResNet-{depth}, {name}: first over last {mean[0] / mean[-1]:.3g}")
        axes.set_title(f"ResNet-{depth}, untrained")
        axes.set_xlabel("residual block, first to last")
    figure.axes[0].set_ylabel("size of the gradient, last block = 1")
    figure.axes[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(options.out / "gradient-by-depth.png", dpi=100)


def _slices() -> torch.Tensor:
    """Return eight axial slices of the head, 64² pixels."""
    values = read_scan(sample_path("icbm-t1")).values().astype(np.float32)
    middle = values.shape[2] // 2
    chosen = np.moveaxis(values[:, :, middle - 16 : middle + 16 : 4], 2, 0)[:, None]
    images = torch.nn.functional.interpolate(
        torch.from_numpy(chosen), (64, 64), mode="area"
    )
    return (images - images.mean()) / images.std()


def _norms(depth: int, images: torch.Tensor, seed: int, keeps: bool) -> np.ndarray:
    """Return the gradient's norm in what each block puts out, that of the last as 1."""
    torch.manual_seed(seed)
    network = build_resnet(
        resnet_definition(depth, dimensions=2, n_labels=2, conv1_t_stride=1)
    ).train()
    x, outputs = network.stem(images), []
    for stage in STAGES:
        for block in getattr(network, stage):
            own, shortcut = branches(block, x)
            x = block.act(own + shortcut if keeps else own)
            # What follows may write into it, and the gradient is wanted here.
            x.retain_grad()
            outputs.append(x)
            x = x.clone()
    labels = torch.arange(len(images)) % 2
    logits = network.fc(x.flatten(2).mean(dim=2))
    torch.nn.functional.cross_entropy(logits, labels).backward()
    norms = np.array([float(output.grad.norm()) for output in outputs])
    return norms / norms[-1]


if __name__ == "__main__":
    main()
