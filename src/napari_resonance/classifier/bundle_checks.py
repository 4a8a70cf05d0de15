"""What must hold of a bundle's files before anything is made of them.

Every function raises ``ModelError`` where it does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_resonance.classifier.bundle_config import FORMAT
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.definition import checked_definition
from napari_resonance.classifier.distribution import TrainingStatistics
from napari_resonance.classifier.files import file_sha256
from napari_resonance.classifier.members import head_names
from napari_resonance.errors import ModelError
from napari_resonance.preprocessing import Recipe

ANEW = "Get the model anew, or train it again"


def read_json(path: Path, remedy: str = "") -> dict[str, Any]:
    """Return the JSON object in a file of a model folder.

    Or in a file on its own, where there is another `remedy` than to get the model anew.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if remedy:
            text = "there is no such file"
            raise ModelError(text, source=path, remedy=remedy) from error
        raise _incomplete(path) from error
    except (OSError, ValueError, RecursionError) as error:
        text = f"the file cannot be read as JSON: {error}"
        raise ModelError(text, source=path, remedy=remedy or ANEW) from error
    if not isinstance(data, dict):
        text = "the file holds no JSON object"
        raise ModelError(text, source=path, remedy=remedy or ANEW)
    return data


def check_finite(weights: Path) -> None:
    """Refuse weights that hold NaN or infinity: engines turn them into 0 on the way.

    Reads the file without torch, unless numpy does not know a tensor's kind.
    """
    import numpy as np
    from safetensors import safe_open

    with safe_open(weights, framework="np") as file:
        for name in sorted(file.keys()):
            try:
                values = file.get_tensor(name)
            except TypeError:  # bfloat16
                values = _in_float32(weights, name)
            if not np.isfinite(values).all():
                raise not_finite(weights)


def _in_float32(weights: Path, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as file:
        return file.get_tensor(name).float().numpy()


def not_finite(weights: Path) -> ModelError:
    """Return what is said of weights that hold NaN or infinity."""
    return ModelError(
        "the weights hold values that are not finite",
        source=weights,
        remedy="Get the model anew, or train it again; it is damaged",
    )


def _incomplete(path: Path) -> ModelError:
    return ModelError(
        f"the model folder is incomplete: {path.name} is missing",
        source=path,
        remedy=ANEW,
    )


def own_entry(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``resonance`` entry of metadata of a format known here."""
    own = metadata.get("resonance")
    if not isinstance(own, dict):
        raise ModelError(
            "this bundle was not made for this package: its metadata.json has no entry "
            "'resonance'",
            remedy="Make a model of it, and say how scans are prepared: "
            "resonance models import FOLDER --out DIR --recipe FILE",
        )
    version = own.get("format")
    if not isinstance(version, int) or version < 1:
        raise ModelError(f"the format of the model is not valid: {version!r}")
    if version > FORMAT:
        raise ModelError(
            f"the model is of format {version}, this version reads up to {FORMAT}",
            remedy="Upgrade napari-resonance",
        )
    return own


def entry(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object under a key that has to be there."""
    value = data.get(key)
    if not isinstance(value, dict):
        raise ModelError(f"the model's configuration has no valid {key!r}")
    return value


def check_agreement(
    card: ModelCard, recipe: Recipe, network_def: Mapping[str, Any]
) -> None:
    """Refuse parts that do not belong together."""
    settings = checked_definition(network_def)
    dimensions = settings.get("spatial_dims", 3)
    if not card.dimensions == recipe.dimensions == dimensions:
        raise ModelError(
            f"card ({card.dimensions}D), recipe ({recipe.dimensions}D) and network "
            f"({dimensions}D) do not belong together"
        )
    outputs = settings.get("num_classes", 400)
    if outputs != len(card.labels):
        raise ModelError(
            f"the network has {outputs} outputs, the card {len(card.labels)} labels"
        )


def check_calibration(calibration: Calibration, card: ModelCard) -> None:
    """Refuse an operating point between more labels than two."""
    if calibration.operating_point is not None and len(card.labels) != 2:
        raise ModelError(
            f"an operating point is between two labels, and the card has "
            f"{len(card.labels)}"
        )


def verified_sha256(weights: Path, expected: object) -> str:
    """Return the sha256 of the weights once it is the one they were written with."""
    if not weights.is_file():
        raise _incomplete(weights)
    found = file_sha256(weights)
    if found != expected:
        raise ModelError(
            "the weights are damaged: their sha256 is not the one in metadata.json",
            source=weights,
            remedy=ANEW,
        )
    return found


def head_shape(weights: Path) -> tuple[int, int]:
    """Return (labels, features of all members) of the heads in a file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="np") as file:
            names = set(file.keys())
            heads = head_names(names) or ["fc"]
            labels, features = file.get_slice(f"{heads[0]}.weight").get_shape()
            if (hidden := f"{heads[0]}.hidden.weight") in names:
                features = file.get_slice(hidden).get_shape()[1]
    except (SafetensorError, ValueError) as error:
        raise ModelError(
            f"the weights cannot be read: {error}", source=weights, remedy=ANEW
        ) from error
    return labels, features * len(heads)


def read_statistics(
    path: Path, shape: tuple[int, int], channels: int
) -> TrainingStatistics | None:
    """Return the statistics of a network, if there are any.

    Parameters
    ----------
    path
        The file.
    shape
        Of the network's last layer.
    channels
        Of its input.

    Raises
    ------
    ModelError
        If they are damaged, or those of another network.

    """
    if not path.is_file():
        return None
    statistics = TrainingStatistics.from_file(path)
    other = statistics.means.shape[-1] != shape[1]
    other |= statistics.lowest.ndim == 2 and len(statistics.lowest) != channels
    if other:
        raise ModelError("the training statistics are not those of this network")
    return statistics
