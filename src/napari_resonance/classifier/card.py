"""Model card: what a classifier is for, what it was trained on, where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from napari_resonance.errors import ModelError

_TEXTS = (
    "name",
    "version",
    "task",
    "body_part",
    "training_data",
    "licence",
    "intended_use",
)
_LISTS = ("labels", "modality", "attributions", "limits")


@dataclass(frozen=True)
class ModelCard:
    """What must be known of a classifier before one believes it.

    Parameters
    ----------
    name, version
        For example ``"mr-sequence"``, ``"1.0.0"``.
    task
        The question it answers, as one sentence.
    labels
        The answers, in the order of the network's outputs.
    dimensions
        2 (slices or images) or 3 (volumes).
    modality
        DICOM codes of the scans it was made for (``"MR"``); empty for any.
    body_part
        What the scans show, in words; empty for any.
    training_data
        Where the training scans came from, and how many.
    performance
        Figures by name, each a number or a mapping with ``value``, ``low``, ``high``.
    licence
        Of the weights, as an SPDX expression where there is one.
    attributions
        Whom the training data and weights must be credited to.
    intended_use
        One sentence.
    limits
        Known weaknesses, one sentence each.

    Raises
    ------
    ModelError
        If labels are missing or repeated, or the dimensions are neither 2 nor 3.

    """

    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    dimensions: int
    modality: tuple[str, ...] = ()
    body_part: str = ""
    training_data: str = ""
    performance: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    attributions: tuple[str, ...] = ()
    intended_use: str = ""
    limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a card that no classifier can have."""
        if not self.name:
            raise ModelError("a model card needs a name")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ModelError(
                f"a classifier needs two or more different labels, not {self.labels}"
            )
        if not all(self.labels):
            raise ModelError("a label is empty")
        if self.dimensions not in (2, 3):
            raise ModelError(
                f"a classifier has 2 or 3 dimensions, not {self.dimensions}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the card as a bundle's metadata stores it."""
        data = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelCard:
        """Read what `to_json` wrote; keys it does not know are left out.

        Raises
        ------
        ModelError
            If a field is missing or of the wrong type.

        """
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        for key in ("name", "version", "task", "labels", "dimensions"):
            if key not in values:
                raise ModelError(f"the model card has no {key!r}")
        for key, value in values.items():
            _check_type(key, value)
        arguments: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**arguments)


def _check_type(key: str, value: object) -> None:
    if key in _TEXTS:
        right = isinstance(value, str)
    elif key in _LISTS:
        right = isinstance(value, list) and all(isinstance(v, str) for v in value)
    elif key == "dimensions":
        right = isinstance(value, int) and not isinstance(value, bool)
    else:
        right = isinstance(value, dict)
    if not right:
        raise ModelError(f"the model card's {key!r} is of the wrong type: {value!r}")
