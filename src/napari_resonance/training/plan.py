"""From the data to a plan: network, what learns of it, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.classifier.definition import resnet_definition
from napari_resonance.training.augment import Augmentation
from napari_resonance.training.module import TrainSettings
from napari_resonance.training.options import (
    PRESETS,
    SCRATCH,
    Decision,
    FinetuneOptions,
)

if TYPE_CHECKING:
    from napari_resonance.preprocessing import Recipe

# Inputs up to this many voxels along an axis are not halved by the first layer.
_SMALL = 40


@dataclass(frozen=True)
class Start:
    """Where a training begins.

    Parameters
    ----------
    pretrained
        Name or path, or ``"none"``.
    definition
        The literal ``network_def``.
    report
        What became of the pretrained tensors, in one sentence; empty without any.

    """

    pretrained: str
    definition: Mapping[str, Any]
    report: str = ""

    @property
    def scratch(self) -> bool:
        """Whether all weights are random."""
        return self.pretrained == SCRATCH


def scratch_definition(
    recipe: Recipe, shape: tuple[int, ...], n_labels: int, flip: str
) -> tuple[dict[str, Any], Decision]:
    """Return a small ResNet for inputs ``(C, *shape)`` of few patients.

    Parameters
    ----------
    recipe
        Whose dimensions and channels count.
    shape
        Spatial shape of the inputs.
    n_labels
        Number of outputs.
    flip
        Axes that may be mirrored.

    """
    small = max(shape) <= _SMALL
    settings: dict[str, Any] = {
        "conv1_t_size": 3,
        "conv1_t_stride": 1 if small else 2,
        "no_max_pool": True,
        "bias_downsample": False,
    }
    depth, widths = (10, (24, 48, 96, 192))
    if len(shape) == 2:
        depth, widths = (18, (32, 64, 128, 256))
    axis = mirror_axis(shape, flip, 8 if small else 16)
    if axis is not None:
        settings["mirror_axis"] = axis
    definition = resnet_definition(
        depth,
        dimensions=len(shape),
        n_labels=n_labels,
        in_channels=recipe.n_channels,
        widths=widths,
        **settings,
    )
    stem = "a first layer of stride 1" if small else "a first layer of stride 2"
    text = f"ResNet-{depth}, widths {widths[0]} to {widths[-1]}, {stem}"
    why = f"a small network for inputs of {' × '.join(map(str, shape))}, untrained"
    return definition, Decision("network", text, why)


def mirror_axis(shape: tuple[int, ...], flip: str, stride: int) -> int | None:
    """Return an axis along which answers can be averaged with the mirror image's."""
    for axis in flip_axes(flip, len(shape)):
        if (shape[axis] - 1) % stride == 0:
            return axis
    return None


def flip_axes(flip: str, dimensions: int) -> tuple[int, ...]:
    """Return the axes of an input that letters mean: rows of an image are y."""
    places = {"x": 0, "y": 1, "z": 2} if dimensions == 3 else {"y": 0, "x": 1}
    return tuple(sorted(places[letter] for letter in set(flip) if letter in places))


def plan_training(
    options: FinetuneOptions, start: Start, inputs: Any, targets: Any
) -> tuple[TrainSettings, list[Decision]]:
    """Return how to train, and why.

    Parameters
    ----------
    options
        What was chosen.
    start
        Pretrained or not.
    inputs, targets
        Of the training cases, ``(n, C, *spatial)`` and ``(n,)``.

    """
    decisions = []

    def decided(name: str, chosen: Any, automatic: Any, reason: str) -> Any:
        given = chosen not in (None, "auto")
        value = chosen if given else automatic
        decisions.append(Decision(name, value, "chosen" if given else reason))
        return value

    n = len(targets)
    batch = decided("batch", options.batch, *_batch(inputs.shape, n))
    epochs = decided("epochs", options.epochs, *_epochs(options, n, batch, inputs.ndim))
    from_scratch = "the usual peak for a small untrained network"
    rate, why = (2e-3, from_scratch) if start.scratch else (1e-3, "of the head")
    rate = decided("learning rate", options.rate, rate, why)
    decay, why = (
        (1.0, "all of it is new") if start.scratch else (0.6, "early layers fit")
    )
    decay = decided("layer decay", options.layer_decay, decay, why)
    balance = decided("balance", options.balance, *_balance(targets))
    patience = decided(
        "patience",
        options.patience,
        max(5, epochs // 3),
        "a third of the epochs without a lower validation loss; the best ones are kept",
    )
    augmentation, decision = augmentation_of(options, inputs)
    decisions.append(decision)
    settings = TrainSettings(
        epochs=epochs,
        batch=batch,
        rate=rate,
        layer_decay=decay,
        weight_decay=0.05,
        schedule=options.schedule,
        averaging=_averaging(n * epochs / batch),
        balance=balance,
        patience=patience,
        unfreeze="all" if options.unfreeze == "auto" else options.unfreeze,
        augmentation=augmentation,
        precision=options.precision,
        deterministic=options.deterministic,
    )
    return settings, decisions


def _averaging(steps: float) -> float:
    """Return a decay that looks back over a tenth of the steps, 100 at most."""
    return float(np.clip(1 - 10 / max(steps, 1), 0.5, 0.99))


def _batch(shape: tuple[int, ...], n: int) -> tuple[int, str]:
    voxels = int(np.prod(shape[1:]))
    fitting = max(2, min(32, int(6e6 // voxels)))
    # A few steps an epoch are needed, however few the cases.
    value = max(2, min(fitting, n // 4)) if n >= 8 else max(1, min(fitting, n))
    return value, f"{n} training cases of {voxels:,} voxels"


def _epochs(options: FinetuneOptions, n: int, batch: int, ndim: int) -> tuple[int, str]:
    base = int(PRESETS[options.preset]["epochs"])
    if ndim == 4:
        base = base * 5 // 2  # images are many times cheaper than volumes
    # As many steps as 32 batches an epoch make, but no more than thrice the epochs.
    factor = min(3.0, max(1.0, (25 * 32) / max(1, n)) ** 0.5)
    return round(base * factor), f"preset {options.preset!r}, {n} training cases"


def _balance(targets: Any) -> tuple[str, str]:
    counts = np.bincount(targets)
    counts = counts[counts > 0]
    ratio = counts.max() / counts.min()
    if ratio > 4:
        return "sampling", f"the commonest label is {ratio:.1f} times as common"
    return "none", f"the commonest label is {ratio:.1f} times as common, not over 4"


def augmentation_of(
    options: FinetuneOptions, inputs: Any
) -> tuple[Augmentation, Decision]:
    """Return the random changes that suit inputs ``(n, C, *spatial)``, and why."""
    axes = flip_axes(options.flip, inputs.ndim - 2)
    some = np.asarray(inputs[np.arange(0, len(inputs), max(1, len(inputs) // 8))])
    flips = f"flips along {options.flip}" if axes else "no flips (left is not right)"
    plain = Augmentation(flip_axes=axes)
    if len(np.unique(some)) <= 2:
        still = replace(
            plain,
            rotation=0,
            scaling=0,
            shift=0.11,
            bias=0,
            gamma=0,
            noise=0,
            coarsening=1,
        )
        return still, Decision(
            "augmentation", f"{flips}, shifts", "masks have neither noise nor contrast"
        )
    text = f"{flips}, rotation, scale, shift, bias field, gamma, noise, resolution"
    return plain, Decision("augmentation", text, "the default")
