"""A tiny training: volumes of 9³ voxels, half of them with a bright cube."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from napari_resonance.classifier.definition import resnet_definition
from napari_resonance.classifier.network import build_network
from napari_resonance.training.augment import Augmentation
from napari_resonance.training.module import TrainSettings
from napari_resonance.training.samples import Samples
from napari_resonance.training.train import Task


def tiny_samples(first: int, last: int, *, size: int = 9) -> Samples:
    """Return cases `first` to `last`; odd ones have a cube, two belong to a patient."""
    numbers = np.arange(first, last)
    targets = numbers % 2
    inputs = np.stack(
        [
            np.random.default_rng(int(n)).normal(size=(1, size, size, size))
            for n in numbers
        ]
    ).astype(np.float32)
    inputs[targets == 1, :, 3:6, 3:6, 3:6] += 3
    return Samples(
        inputs,
        targets,
        np.array([f"p{n // 2}" for n in numbers]),
        tuple(f"case {n}" for n in numbers),
        np.ones(len(numbers), np.float32),
    )


def tiny_task(**changed: Any) -> Task:
    """Return a training of four epochs of four steps, averaged and stopped early."""
    torch.manual_seed(0)
    definition = resnet_definition(
        10,
        dimensions=3,
        n_labels=2,
        widths=(4, 4, 8, 8),
        conv1_t_size=3,
        conv1_t_stride=1,
        no_max_pool=True,
    )
    settings = {
        "epochs": 4,
        "batch": 4,
        "patience": 3,
        "averaging": 0.8,
        "augmentation": Augmentation(flip_axes=(0,)),
    }
    return Task(
        build_network(definition),
        tiny_samples(0, 16),
        tiny_samples(16, 24),
        TrainSettings(**{**settings, **changed}),
    )
