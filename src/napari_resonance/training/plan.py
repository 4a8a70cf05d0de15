"""From the data to a plan: network, what learns of it, and how it is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.classifier.catalogue import CATALOGUE
from napari_resonance.classifier.definition import resnet_definition
from napari_resonance.training.augment import Augmentation
from napari_resonance.training.devices import (
    bytes_of_a_case,
    device_for,
    memory_for_training,
)
from napari_resonance.training.module import TrainSettings
from napari_resonance.training.options import (
    PRESETS,
    SCRATCH,
    Decision,
    FinetuneOptions,
)

if TYPE_CHECKING:
    from napari_resonance.preprocessing import Recipe

# Most voxels along an axis that the first stage is given, by dimensions: nearly all of
# the time is spent there.
_FIRST_STAGE = {2: 56, 3: 20}
# Layers that suit fewer patients than so many. On left-out cases of 1,300 patients 18
# layers were no better than 10 in 3D; of 600 in 2D, 34 no better than 18, and 10 worse.
_DEPTHS: dict[int, tuple[tuple[float, int], ...]] = {
    3: ((3000, 10), (20_000, 18), (math.inf, 34)),
    2: ((5000, 18), (math.inf, 34)),
}
# Inputs up to so many voxels along an axis are begun by networks that know drawn
# pictures: there they were better than random weights, on larger ones nobody looked.
_LARGEST_DRAWN = 64
# Cases of a batch, however much memory there is: more steps an epoch learn faster.
_LARGEST_BATCH = 32
# Training cases from which on one network has to do.
_MANY = 5000
# Images up to so many pixels cost so little that more networks can answer.
_SMALL_IMAGE = 64**2
# More images than that are answered by no more networks than volumes are.
_SOME = 2000
# Left-out cases were answered best after so many epochs of images, worse after fewer
# and after more.
_IMAGE_EPOCHS = 60
# With more cases than that an epoch is worth more, and fewer will do; at least so many.
_CASES_OF_FULL_EPOCHS = 1500
_FEWEST_EPOCHS = 10


@dataclass(frozen=True)
class Start:
    """Where a training begins.

    Parameters
    ----------
    pretrained
        Name, of a file or folder without its place, or ``"none"``.
    definition
        The literal ``network_def``.
    report
        What became of the pretrained tensors, in one sentence; empty without any.
    values
        What the inputs hold: ``"mask"``, ``"ct"`` (a window of CT's own scale), or
        ``"other"``.
    synthetic
        Whether the weights know drawn pictures only.
    colors
        Black and white of each channel of colour inputs, see ``Recipe.color_scales``.

    """

    pretrained: str
    definition: Mapping[str, Any]
    report: str = ""
    values: str = "other"
    synthetic: bool = False
    colors: tuple[tuple[float, float], ...] = ()

    @property
    def scratch(self) -> bool:
        """Whether all weights are random."""
        return self.pretrained == SCRATCH

    @property
    def is_new(self) -> bool:
        """Whether all of the network has yet to learn of real scans."""
        return self.scratch or self.synthetic


def scratch_definition(
    recipe: Recipe,
    shape: tuple[int, ...],
    n_labels: int,
    flip: str,
    n_patients: int,
    depth: int | None = None,
) -> tuple[dict[str, Any], Decision]:
    """Return a ResNet for inputs ``(C, *shape)``: a small one, for few patients.

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
    n_patients
        Of all labelled scans.
    depth
        Layers; if None, those that suit so many patients.

    """
    dimensions = len(shape)
    stem = _stem(shape)
    widths = (16, 32, 64, 128) if dimensions == 3 else (32, 64, 128, 256)
    depth = depth or _suited_depth(dimensions, n_patients)
    settings: dict[str, Any] = {"conv1_t_size": 3, **stem, "bias_downsample": False}
    axes = flip_axes(flip, dimensions)
    if axes:
        settings["mirror_axis"] = list(axes)
    definition = resnet_definition(
        depth,
        dimensions=dimensions,
        n_labels=n_labels,
        in_channels=recipe.n_channels,
        widths=widths,
        **settings,
    )
    text = f"ResNet-{depth}, widths {widths[0]} to {widths[-1]}, "
    text += f"a first layer of stride {stem['conv1_t_stride']}"
    text += "" if stem["no_max_pool"] else " and pooling"
    if axes:
        text += f", asked about {2 ** len(axes)} mirror images"
    size = " × ".join(map(str, shape))
    why = f"untrained, for inputs of {size} of {n_patients:,} patients"
    return definition, Decision("network", text, why)


def _suited_depth(dimensions: int, n_patients: int) -> int:
    return next(d for most, d in _DEPTHS[dimensions] if n_patients < most)


def usual_start(shape: tuple[int, ...], n_patients: int) -> str:
    """Return what a training begins with unless it is told: drawn pictures, or nothing.

    Parameters
    ----------
    shape
        Spatial shape of the inputs.
    n_patients
        Of all labelled scans.

    """
    depth = _suited_depth(len(shape), n_patients)
    for name, entry in CATALOGUE.items():
        suits = entry.is_synthetic and entry.dimensions == len(shape)
        if suits and entry.depth == depth and max(shape) <= _LARGEST_DRAWN:
            return name
    return SCRATCH


def _stem(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return how the first layers halve an input, until the first stage is cheap."""
    most = _FIRST_STAGE[len(shape)]
    reduction = next((r for r in (1, 2) if max(shape) / r <= most), 4)
    stem: dict[str, Any] = {
        "conv1_t_stride": min(2, reduction),
        "no_max_pool": reduction < 4,
    }
    if reduction == 4 and len(shape) == 3:
        # The map in which one sees where the network looked keeps its cells.
        stem["dilations"] = [1, 1, 1, 2]
    return stem


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
    batch = decided("batch", options.batch, *_batch(options, start, inputs.shape))
    automatic = _epochs(options, start, n, inputs.ndim)
    epochs = decided("epochs", options.epochs, *automatic)
    rate = decided("learning rate", options.rate, *_rate(start, inputs.ndim))
    decay, why = (
        (1.0, "all of it has to learn") if start.is_new else (0.6, "early layers fit")
    )
    decay = decided("layer decay", options.layer_decay, decay, why)
    balance = decided("balance", options.balance, *_balance(targets))
    patience = decided(
        "patience",
        options.patience,
        0,
        "the weights are best where the learning rate has fallen to 0, at the end",
    )
    augmentation, decision = augmentation_of(options, start, inputs)
    decisions.append(decision)
    settings = TrainSettings(
        epochs=epochs,
        batch=batch,
        rate=rate,
        layer_decay=decay,
        weight_decay=0.05,
        schedule=options.schedule,
        averaging=_averaging(n * epochs / batch, inputs.ndim),
        balance=balance,
        patience=patience,
        unfreeze="all" if options.unfreeze == "auto" else options.unfreeze,
        augmentation=augmentation,
        gradual=options.gradual and not start.is_new,
        precision=options.precision,
        deterministic=options.deterministic,
    )
    return settings, decisions


def members_of(
    options: FinetuneOptions, start: Start, shape: tuple[int, ...]
) -> tuple[int, Decision]:
    """Return how many networks answer together, and why.

    Parameters
    ----------
    options
        What was chosen.
    start
        Pretrained or not.
    shape
        Of the training inputs, ``(n, C, *spatial)``.

    """
    if options.members:
        return options.members, Decision("members", options.members, "chosen")
    n, pixels = shape[0], int(np.prod(shape[2:]))
    wanted = int(PRESETS[options.preset]["members"])
    if wanted > 1 and not start.is_new:
        wanted, why = 1, "networks that begin with the same weights differ little"
    elif wanted > 1 and n > _MANY:
        wanted, why = 1, f"{n:,} training cases leave less to the seed, and take long"
    elif wanted > 1 and len(shape) == 4 and pixels <= _SMALL_IMAGE and n <= _SOME:
        wanted *= 2
        why = f"preset {options.preset!r}, twice as many for images so small"
    else:
        why = f"preset {options.preset!r}, {n:,} training cases"
    return wanted, Decision("members", wanted, why)


def _rate(start: Start, ndim: int) -> tuple[float, str]:
    if start.scratch:
        return 2e-3, "the usual peak for a small untrained network"
    if start.synthetic:
        # Left-out images and volumes were answered best so, of four rates.
        value = 1e-3 if ndim == 4 else 5e-4
        return value, "of a small network that has seen drawn pictures"
    return 1e-3, "of the head"


def _averaging(steps: float, ndim: int) -> float:
    """Return a decay that looks back over a tenth of the steps, 100 at most.

    Three times as far with images: left-out images were answered better so, left-out
    volumes were not.
    """
    decay = float(np.clip(1 - 10 / max(steps, 1), 0.5, 0.99))
    return 1 - (1 - decay) / 3 if ndim == 4 else decay


def _batch(
    options: FinetuneOptions, start: Start, shape: tuple[int, ...]
) -> tuple[int, str]:
    n, device = shape[0], device_for(options.device)
    each = bytes_of_a_case(start.definition, shape[1:])
    memory = memory_for_training(device) * (options.devices if device == "cuda" else 1)
    fitting = max(2, min(_LARGEST_BATCH, memory // max(1, each)))
    # A few steps an epoch are needed, however few the cases.
    value = max(2, min(fitting, n // 4)) if n >= 8 else max(1, min(fitting, n))
    why = f"a case takes {each / 1e6:,.0f} MB in training, of {memory / 1e9:.1f} GB"
    if value < fitting:
        why = f"{n} training cases, in a few steps an epoch"
    return int(value), why


def _epochs(
    options: FinetuneOptions, start: Start, n: int, ndim: int
) -> tuple[int, str]:
    base = int(PRESETS[options.preset]["epochs"])
    if not start.is_new:
        base = max(24, base // 2)  # it has learned most of it before
    if ndim == 4:
        base = _IMAGE_EPOCHS
    # Fewer cases make fewer steps an epoch, and more cases more.
    factor = min(3.0, max(1.0, (16 * 32) / max(1, n)) ** 0.5)
    factor *= min(1.0, _CASES_OF_FULL_EPOCHS / max(1, n)) ** 0.5
    epochs = max(_FEWEST_EPOCHS, round(base * factor))
    return epochs, f"preset {options.preset!r}, {n:,} training cases"


def _balance(targets: Any) -> tuple[str, str]:
    counts = np.bincount(targets)
    counts = counts[counts > 0]
    ratio = counts.max() / counts.min()
    if ratio > 4:
        return "sampling", f"the commonest label is {ratio:.1f} times as common"
    return "none", f"the commonest label is {ratio:.1f} times as common, not over 4"


def augmentation_of(
    options: FinetuneOptions, start: Start, inputs: Any
) -> tuple[Augmentation, Decision]:
    """Return the random changes that suit inputs ``(n, C, *spatial)``, and why."""
    axes = flip_axes(options.flip, inputs.ndim - 2)
    some = np.asarray(inputs[np.arange(0, len(inputs), max(1, len(inputs) // 8))])
    flips = f"flips along {options.flip}" if axes else "no flips (left is not right)"
    plain = Augmentation(flip_axes=axes, colors=start.colors)
    # Interpolated, masks have values in between and are masks still.
    if start.values == "mask" or len(np.unique(some)) <= 2:
        still = replace(
            plain,
            rotation=0,
            scaling=0,
            shift=0.05,
            bias=0,
            gamma=0,
            noise=0,
            coarsening=1,
        )
        return still, Decision(
            "augmentation", f"{flips}, shifts", "masks have neither noise nor contrast"
        )
    if inputs.ndim == 4:
        plain = plain.times(1.5)
    if start.values == "ct":
        # There is no coil whose sensitivity could shade a CT.
        changed = replace(plain, bias=0, gamma=0, window=0.1)
        text = f"{flips}, rotation, scale, shift, window, noise, resolution"
        why = "CT has a scale of its own, and is looked at through many windows"
        return changed, Decision("augmentation", text, why)
    text = f"{flips}, rotation, scale, shift, bias field, gamma, noise, resolution"
    why = "the default"
    if start.colors:
        why += "; shading and gamma are the same for red, green and blue"
    return plain, Decision("augmentation", text, why)
