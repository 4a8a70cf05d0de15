"""Maps of voxels: gradients of the score in the network's input."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_resonance.classifier.stages import parts_of
from napari_resonance.saliency.cells import as_volume
from napari_resonance.saliency.question import Array, Evidence, Question


def gradient_x_input(question: Question) -> Evidence:
    """Return gradient × (input - mean of the input), summed over channels.

    The first term of a Taylor series (Simonyan et al. 2013; Shrikumar et al. 2016).
    """
    import torch

    network, device = question.torch_network()
    score = torch.from_numpy(question.score).to(device) / len(question.array)
    parts = []
    for part in parts_of(question.array):
        question.steps.begin("following the gradient")
        images = torch.from_numpy(part).to(device).requires_grad_()
        total = (network(images) @ score).sum()
        (gradient,) = torch.autograd.grad(total, images)
        parts.append(_to_numpy(gradient))
    question.forwards += 1
    difference = question.array - baseline_of(question.array)
    return _evidence(question, np.concatenate(parts) * difference)


def baseline_of(array: Array) -> Array:
    """Return what the input is compared with: the mean of each channel."""
    axes = (0, *range(2, array.ndim))
    mean: Array = array.mean(axis=axes, keepdims=True, dtype=np.float64)
    return np.broadcast_to(mean.astype(np.float32), array.shape)


def _evidence(question: Question, values: Array) -> Evidence:
    """Return attributions ``(N, C, *spatial)`` as one volume on the input's grid."""
    return as_volume(values.sum(axis=1)), question.grid.affine


def _to_numpy(tensor: Any) -> Array:
    array: Array = tensor.detach().float().cpu().numpy()
    return array
