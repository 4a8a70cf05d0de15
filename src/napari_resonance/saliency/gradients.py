"""Maps of voxels: gradients of the score in the network's input.

All three multiply a gradient by what sets the input apart from a baseline (see
``saliency.baseline``), so that a value is evidence: above 0 for the label, below 0
against it. A gradient alone tells what a brighter voxel would do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.classifier.stages import parts_of
from napari_resonance.saliency.baseline import baseline_of, channel_ranges
from napari_resonance.saliency.cells import as_volume
from napari_resonance.saliency.question import Array, Evidence, Question

if TYPE_CHECKING:
    import torch

# Points on the way from the baseline (Gauss-Legendre), and noisy copies.
_STEPS = 32
_SAMPLES = 24
_NOISE = 0.15  # of a channel's range, as Smilkov et al. recommend
# Volumes that are differentiated at once.
_AT_ONCE = 4

# captum has no types.
Attribute = Callable[["torch.Tensor", "torch.Tensor"], Any]


def gradient_x_input(question: Question) -> Evidence:
    """Return gradient × (input - baseline).

    The first term of a Taylor series (Simonyan et al. 2013; Shrikumar et al. 2016).
    """
    from captum.attr import InputXGradient

    score = _Score(question, runs=1)

    def attribute(images: torch.Tensor, baseline: torch.Tensor) -> Any:
        return InputXGradient(lambda x: score(x + baseline)).attribute(
            (images - baseline).requires_grad_()
        )

    return _voxels(question, score, attribute)


def integrated_gradients(question: Question) -> Evidence:
    """Return integrated gradients (Sundararajan et al., ICML 2017), by captum.

    The values add up to the score of the input less that of the baseline.
    """
    from captum.attr import IntegratedGradients

    score = _Score(question, runs=_STEPS)
    method = IntegratedGradients(score)

    def attribute(images: torch.Tensor, baseline: torch.Tensor) -> Any:
        return method.attribute(
            images,
            baselines=baseline,
            n_steps=_STEPS,
            internal_batch_size=max(len(images), _AT_ONCE),
        )

    return _voxels(question, score, attribute)


def smoothgrad(question: Question) -> Evidence:
    """Return SmoothGrad (Smilkov et al. 2017) × (input - baseline), by captum.

    The mean gradient of copies with noise of 15 % of the range of each channel; the
    noise is the same each time.
    """
    import torch
    from captum.attr import NoiseTunnel, Saliency

    score = _Score(question, runs=_SAMPLES)
    # The noise is of one width, so each channel is measured by its own range.
    scale = torch.from_numpy(channel_ranges(question.array)).to(score.device)
    tunnel = NoiseTunnel(Saliency(lambda x: score(x * scale)))

    def attribute(images: torch.Tensor, baseline: torch.Tensor) -> Any:
        with torch.random.fork_rng(devices=score.graphics_cards):
            torch.manual_seed(0)
            gradient = tunnel.attribute(
                images / scale,
                nt_type="smoothgrad",
                nt_samples=_SAMPLES,
                nt_samples_batch_size=max(1, _AT_ONCE // len(images)),
                stdevs=_NOISE,
                abs=False,
            )
        return gradient / scale * (images - baseline)

    return _voxels(question, score, attribute)


class _Score:
    """What is explained, as a function of images; counts its runs and may stop.

    Parameters
    ----------
    question
        Tells network and score.
    runs
        Runs over the whole case that are foreseen.

    """

    def __init__(self, question: Question, runs: int) -> None:
        import torch

        self._question = question
        self.network, self.device = question.torch_network()
        share = question.score / np.float32(len(question.array))
        self._weights = torch.from_numpy(share).to(self.device)
        at_once = 16 if question.array.ndim == 4 else _AT_ONCE
        question.steps.total += math.ceil(runs * len(question.array) / at_once)

    @property
    def graphics_cards(self) -> list[int]:
        """Indices of the cards whose random numbers have to be kept."""
        return [0] if self.device == "cuda" else []

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the score ``(N,)`` of images ``(N, C, *spatial)``."""
        question = self._question
        question.steps.begin("following the gradient")
        question.forwards += len(images) / len(question.array)
        scored: torch.Tensor = self.network(images) @ self._weights
        return scored


def _voxels(question: Question, score: _Score, attribute: Attribute) -> Evidence:
    """Return attributions of all slices, or of the one volume, summed over channels."""
    import torch

    array = question.array
    baseline = baseline_of(array, question.options.baseline)
    pairs = zip(parts_of(array), parts_of(baseline), strict=True)
    found: list[Array] = []
    for images, without in pairs:
        tensors = (torch.tensor(part).to(score.device) for part in (images, without))
        values = attribute(*tensors).detach().float().cpu().numpy()
        found.append(values.sum(axis=1))
    return as_volume(np.concatenate(found)), question.grid.affine
