"""From what the panel's widgets say to what a classifier is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from napari_resonance.saliency.question import ExplainOptions
from napari_resonance.viewer.classification import ClassifyOptions
from napari_resonance.viewer.plain import PlainAnswers, scan_from_layer
from napari_resonance.viewer.records import record_of


@dataclass(frozen=True, eq=False)
class Asking:
    """Which model is asked for what.

    Parameters
    ----------
    model
        Folder of the model.
    device, precision
        As a classifier takes them.
    explain
        The map that is wanted, and of which region.
    channels
        Layers of the further scans that are input channels.

    """

    model: Path
    device: str
    precision: str
    explain: ExplainOptions
    channels: Sequence[Any] = ()


def options_of(layer: Any, answers: PlainAnswers, asking: Asking) -> ClassifyOptions:
    """Return how the scan of a layer is to be classified.

    Parameters
    ----------
    layer
        A layer of ours, or a plain image.
    answers
        What the user says of a plain image.
    asking
        Which model is asked for what.

    """
    record = record_of(layer)
    found = (record_of(channel) for channel in asking.channels)
    return ClassifyOptions(
        scan=partial(scan_from_layer, layer, answers)
        if record is None
        else lambda: record.scan,
        scan_is_new=record is None,
        model=asking.model,
        device=asking.device,
        precision=asking.precision,
        explain=asking.explain,
        channels=tuple(other.scan for other in found if other is not None),
        asked=None if record is None else record.asked,
    )


def cases_of(
    layers: Sequence[Any], asking: Asking
) -> list[tuple[Any, ClassifyOptions]]:
    """Return several layers of ours with how each is to be classified."""
    return [(layer, options_of(layer, PlainAnswers(), asking)) for layer in layers]
