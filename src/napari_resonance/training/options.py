"""What may be chosen of a fine-tuning, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from napari_resonance.classifier.definition import MOST_MEMBERS
from napari_resonance.errors import TrainingError

HEADS: Mapping[str, int | None] = {"linear": None, "hidden": 256}
"""Units of the hidden layer of each kind of head."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "quick": {
        "epochs": 24,
        "members": 1,
        "voxels": 48**3,
        "pixels": 128**2,
        "views": 4,
    },
    "standard": {
        "epochs": 48,
        "members": 2,
        "voxels": 64**3,
        "pixels": 224**2,
        "views": 10,
    },
    "thorough": {
        "epochs": 96,
        "members": 5,
        "voxels": 96**3,
        "pixels": 256**2,
        "views": 20,
    },
}
"""Epochs of an untrained network for volumes, networks that answer together, most
voxels of an input, and views of each case for a frozen network."""

COLOR = ("auto", "keep", "brightness")
"""What may be made of colour scans."""

UNFREEZE = ("auto", "head", "layer4", "layer3", "layer2", "layer1", "all")
"""What may be asked to learn: the named stage and all that follows it."""

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
"""Of the arithmetic, by pytorch-lightning's names."""

AUTO = "auto"
"""Weights that a small network begins with where they suit, else none."""

SCRATCH = "none"
"""What `pretrained` is called where a network begins untrained."""


@dataclass(frozen=True)
class Decision:
    """Something that was chosen, by whom or from what.

    Parameters
    ----------
    name, value
        What, and what it became.
    reason
        Why, as part of a sentence.

    """

    name: str
    value: Any
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the decision by its fields."""
        return asdict(self)


@dataclass(frozen=True)
class FinetuneOptions:
    """What may be chosen; None, ``"auto"`` and 0 leave it to the data.

    Parameters
    ----------
    preset
        How much time to spend: ``"quick"``, ``"standard"`` or ``"thorough"``.
    unfreeze
        First stage that learns, with all that follow it: one of `UNFREEZE`.
    head
        ``"linear"``, or ``"hidden"`` for 256 units with ReLU before the logits.
    gradual
        Let the stages begin to learn one after the other, the last one first.
    epochs, batch, rate
        Times that all cases are shown, cases a step, peak learning rate of the head.
    layer_decay
        Factor of the learning rate from each stage to the one before it.
    flip
        Axes that may be mirrored without a change of the label: letters of ``xyz``,
        where x is left and right.
    color
        ``"keep"`` the red, green and blue of colour scans as input channels, or reduce
        them to ``"brightness"``; ``"auto"`` keeps them where all scans show colour.
    shape
        Voxels of the network's input, instead of what the scans suggest.
    folds
        Of a cross-validation, which judges by every patient once; 0 for one split.
    keep_folds
        Keep the networks of the folds, which then answer together, instead of training
        once more on all cases.
    members
        Networks that answer together and differ by their seed; 0 leaves it to preset
        and data.
    like
        Pretrained network that a file of weights to begin with was trained from, whose
        strides and dilations it has; see ``resonance models list``.
    seed
        Of every draw.
    balance
        ``"auto"``, ``"none"``, ``"weights"`` or ``"sampling"``.
    schedule
        ``"onecycle"`` or ``"cosine"``.
    patience
        Epochs without a better validation loss after which training ends.
    coverage
        Of the prediction sets.
    task
        The question that the model answers, for its card.
    modality, body_part, licence
        For the model card.
    device, devices, precision, deterministic
        Where and how exactly to compute.
    convert
        Store the OpenVINO conversion with the weights, where OpenVINO is installed.
    allow_leaks
        Go on although a scan is on both sides of the split.

    """

    preset: str = "standard"
    unfreeze: str = "auto"
    head: str = "linear"
    gradual: bool = False
    epochs: int | None = None
    batch: int | None = None
    rate: float | None = None
    layer_decay: float | None = None
    flip: str = ""
    color: str = "auto"
    shape: tuple[int, ...] | None = None
    folds: int = 0
    keep_folds: bool = False
    members: int = 0
    like: str = ""
    seed: int = 0
    balance: str = "auto"
    schedule: str = "onecycle"
    patience: int | None = None
    coverage: float = 0.9
    modality: tuple[str, ...] = ()
    body_part: str = ""
    task: str = ""
    licence: str = ""
    device: str = "auto"
    devices: int = 1
    precision: str = "auto"
    deterministic: bool = False
    convert: bool = True
    allow_leaks: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be chosen.

        Raises
        ------
        TrainingError
            If a name is not known or a number makes no sense.

        """
        _one_of("preset", self.preset, tuple(PRESETS))
        _one_of("unfreeze", self.unfreeze, UNFREEZE)
        _one_of("head", self.head, tuple(HEADS))
        _one_of("color", self.color, COLOR)
        _one_of("balance", self.balance, ("auto", "none", "weights", "sampling"))
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("schedule", self.schedule, ("onecycle", "cosine"))
        if set(self.flip) - set("xyz"):
            raise TrainingError(f"axes to flip are letters of 'xyz', not {self.flip!r}")
        if self.folds == 1 or self.folds < 0:
            raise TrainingError("a cross-validation has two folds or more")
        if self.keep_folds and not self.folds:
            raise TrainingError(
                "there are no folds whose networks could be kept",
                remedy="Say how many folds there shall be, too",
            )
        if not 0 <= self.members <= MOST_MEMBERS:
            raise TrainingError(f"members must be 1 to {MOST_MEMBERS}")
        for name in ("epochs", "batch", "rate", "layer_decay"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise TrainingError(f"{name} must be greater than 0, not {value}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise TrainingError(
            f"{name} {value!r} is not known", remedy=f"Choose one of {', '.join(known)}"
        )
