"""Small classifiers for tests: random weights, or weights that find a bright spot."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_resonance.classifier.bundle import save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.definition import (
    ensemble_definition,
    resnet_definition,
)
from napari_resonance.preprocessing import Recipe

STRIDE = 8


def tiny_bundle(
    folder: Path,
    *,
    dimensions: int = 3,
    labels: tuple[str, ...] = ("a", "b", "c"),
    modality: tuple[str, ...] = ("MR",),
    convert: bool = False,
    first_steps: tuple[dict[str, Any], ...] = (),
    channels: tuple[str, ...] = (),
    color: bool = False,
    network: Mapping[str, Any] | None = None,
    members: int = 1,
) -> Path:
    """Save a ResNet of depth 10 with seeded random weights; return its folder.

    It takes any scan, prepared on 33³ voxels (33² for each slice), and is never sure.
    `first_steps` come before those (``box``); `channels` makes it take several scans,
    `color` the red, green and blue of each; `network` changes its definition. Of
    several `members` each is another network.
    """
    import torch

    from napari_resonance.classifier.network import Ensemble, build_resnet

    torch.manual_seed(0)
    definition = tiny_definition(dimensions, len(labels))
    definition["n_input_channels"] = max(1, len(channels)) * (3 if color else 1)
    definition |= dict(network or {})
    shape = [33, 33, 33 if dimensions == 3 else None]
    steps = [
        {"step": "orient", "code": "RAS"},
        *first_steps,
        {"step": "resample_shape", "shape": shape},
        {"step": "percentile"},
    ]
    if color:
        steps = [{"step": "color"}, *steps]
    data = {"dimensions": dimensions, "steps": steps, "channels": list(channels)}
    recipe = Recipe.from_json(data)
    networks = [_settled(build_resnet(definition)) for _ in range(members)]
    save_bundle(
        folder,
        network=networks[0] if members == 1 else Ensemble.of(networks),
        network_def=ensemble_definition(definition, members),
        recipe=recipe,
        calibration=Calibration(1.5, {"rule": "threshold", "probability": 0.99}),
        card=tiny_card(labels, dimensions, modality),
        convert=convert,
    )
    return folder


def spot_bundle(
    folder: Path,
    *,
    dimensions: int = 3,
    shape: tuple[int, int, int] = (41, 65, 49),
    modality: tuple[str, ...] = (),
    channels: tuple[str, ...] = (),
    color: bool = False,
    seen: int = 0,
) -> Path:
    """Save a network whose weights are set so that "spot" means something bright.

    Its Grad-CAM for "spot" peaks at the cell nearest to a spot that is far brighter
    than the rest of the scan; there is nothing for "nothing". A volume is brought onto
    `shape` voxels; a 2D network keeps the number of slices. Of several `channels`, or
    of `color`, it looks at input channel `seen` alone.
    """
    from napari_resonance.classifier.network import build_network

    labels = ("spot", "nothing")
    definition = tiny_definition(dimensions, len(labels))
    definition["n_input_channels"] = max(1, len(channels)) * (3 if color else 1)
    wanted = list(shape) if dimensions == 3 else [*shape[:2], None]
    steps = [
        {"step": "orient", "code": "RAS"},
        {"step": "resample_shape", "shape": wanted},
        {"step": "zscore"},
    ]
    if color:
        steps = [{"step": "color"}, *steps]
    data = {"dimensions": dimensions, "steps": steps, "channels": list(channels)}
    save_bundle(
        folder,
        network=_spot_finder(build_network(definition), seen),
        network_def=definition,
        recipe=Recipe.from_json(data),
        calibration=Calibration(),
        card=tiny_card(labels, dimensions, modality),
    )
    return folder


def tiny_definition(dimensions: int, n_labels: int) -> dict[str, Any]:
    """Return the definition of a narrow ResNet of depth 10 with total stride 8."""
    return resnet_definition(
        10,
        dimensions=dimensions,
        n_labels=n_labels,
        widths=(4, 4, 8, 8),
        conv1_t_size=3,
        conv1_t_stride=1,
        no_max_pool=True,
    )


def tiny_card(
    labels: tuple[str, ...], dimensions: int = 3, modality: tuple[str, ...] = ("MR",)
) -> ModelCard:
    """Return a card with every field filled in."""
    return ModelCard(
        name="tiny",
        version="0.1.0",
        task="Tell nothing in particular",
        labels=labels,
        dimensions=dimensions,
        modality=modality,
        body_part="head",
        training_data="none; the weights are random",
        performance={"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}},
        licence="MIT",
        attributions=("The napari-resonance developers",),
        intended_use="tests",
        limits=("It knows nothing",),
    )


def _settled(network: Any) -> Any:
    """Give the batch norms statistics that keep the logits apart."""
    import torch

    dimensions = network.conv1.weight.ndim - 2
    network.train()
    with torch.no_grad():
        network.fc.weight.mul_(8)
        for _ in range(20):
            network(torch.rand(4, network.conv1.weight.shape[1], *[33] * dimensions))
    return network.eval()


def _spot_finder(network: Any, seen: int = 0) -> Any:
    """Let channel 0 be what of one input exceeds 5 deviations, pooled by tents."""
    import torch

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        _copy(network.conv1.weight, seen)
        network.bn1.weight.fill_(1)
        network.bn1.bias.fill_(-5)
        for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
            block = layer[0]
            block.bn1.weight.fill_(1)
            block.bn2.weight.fill_(1)
            # Each voxel is shared among the nearest cells by distance, so that the
            # brightest cell is the nearest one and no spot falls between two.
            (_copy if layer is network.layer1 else _tent)(block.conv1.weight)
            _copy(block.conv2.weight)
        network.fc.weight[0, 0] = 1
        network.fc.weight[1, 0] = -1
    return network.eval()


def _copy(weight: Any, channel: int = 0) -> None:
    weight[0, channel][(1,) * (weight.ndim - 2)] = 1


def _tent(weight: Any) -> None:
    for index in itertools.product(range(3), repeat=weight.ndim - 2):
        weight[0, 0][index] = 0.5 ** sum(i != 1 for i in index)
