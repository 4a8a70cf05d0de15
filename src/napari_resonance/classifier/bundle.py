"""A classifier on disk: a MONAI Bundle folder, read and written without pickle.

Reading takes JSON, safetensors and OpenVINO's files only; it evaluates nothing and
makes no class that is not on a list.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier import bundle_config, bundle_text, openvino_engine
from napari_resonance.classifier.bundle_config import (
    CONVERTED,
    FORMAT,
    STATISTICS,
    WEIGHTS,
)
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.definition import checked_definition
from napari_resonance.classifier.distribution import TrainingStatistics
from napari_resonance.classifier.files import file_sha256
from napari_resonance.errors import DependencyError, ModelError, ResonanceError
from napari_resonance.preprocessing import Recipe

if TYPE_CHECKING:
    from os import PathLike

    import torch

METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
_EMBEDDED = Path(__file__).parent.parent / "models"
_KNOWN_FILES = {
    METADATA,
    INFERENCE,
    WEIGHTS,
    STATISTICS,
    *(f"{CONVERTED}/{name}" for name in openvino_engine.MODEL_FILES),
    "docs/README.md",
    "LICENSE",
}
_ANEW = "Get the model anew, or train it again"


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything a classifier is made of, with its weights still on disk.

    Parameters
    ----------
    path
        The folder.
    card
        What the classifier is for.
    network_def
        Literal definition of the network, see ``classifier.definition``.
    recipe
        How a scan becomes network input.
    calibration
        How logits become probabilities, and when an answer is sure.
    statistics
        What the training data looked like, or None.
    weights_path, weights_sha256
        The safetensors file and its verified hash.
    converted
        sha256 by file name of the OpenVINO conversion that came with the bundle.
    warnings
        What is odd about the folder, in sentences.

    """

    path: Path
    card: ModelCard
    network_def: Mapping[str, Any]
    recipe: Recipe
    calibration: Calibration
    statistics: TrainingStatistics | None
    weights_path: Path
    weights_sha256: str
    converted: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def label_weights(self) -> NDArray[np.float32]:
        """Return the last linear layer's weights, float32 ``(labels, features)``."""
        from safetensors import safe_open

        with safe_open(self.weights_path, framework="np") as file:
            weights: NDArray[np.float32] = file.get_tensor("fc.weight")
        return weights.astype(np.float32)


def list_models() -> list[Bundle]:
    """Return the classifiers that come with the package, by name."""
    folders = sorted(p.parent.parent for p in _EMBEDDED.glob(f"*/{METADATA}"))
    return [load_bundle(folder) for folder in folders]


def load_bundle(name_or_path: str | PathLike[str]) -> Bundle:
    """Read a classifier by its name, if it comes with the package, or from its folder.

    Raises
    ------
    ModelError
        If there is no such model, or its folder is incomplete, damaged, of a newer
        format, or holds anything that would have to be evaluated.

    """
    path = _folder_of(name_or_path)
    metadata = _read_json(path / METADATA)
    inference = _read_json(path / INFERENCE)
    try:
        bundle = _bundle(path, metadata, inference)
    except ResonanceError as error:
        if error.source is not None:
            raise
        remedy = error.remedy or _ANEW
        raise ModelError(error.message, source=path, remedy=remedy) from error
    return replace(bundle, warnings=_unknown_files(path))


def _folder_of(name_or_path: str | PathLike[str]) -> Path:
    embedded = {
        p.parent.parent.name: p.parent.parent for p in _EMBEDDED.glob(f"*/{METADATA}")
    }
    path = embedded.get(str(name_or_path), Path(name_or_path))
    if path.is_dir():
        return path
    names = ", ".join(sorted(embedded)) or "none"
    raise ModelError(
        "there is no model of this name and no folder at this path",
        source=name_or_path,
        remedy=f"Give the folder of a model, or one of those included: {names}",
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _incomplete(path) from error
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the file is not valid JSON: {error}", source=path, remedy=_ANEW
        ) from error
    if not isinstance(data, dict):
        raise ModelError("the file holds no JSON object", source=path, remedy=_ANEW)
    return data


def _incomplete(path: Path) -> ModelError:
    return ModelError(
        f"the model folder is incomplete: {path.name} is missing",
        source=path,
        remedy=_ANEW,
    )


def _bundle(
    path: Path, metadata: Mapping[str, Any], inference: Mapping[str, Any]
) -> Bundle:
    bundle_config.check_literal(metadata)
    bundle_config.check_literal(inference, references=True)
    own = _own_entry(metadata)
    card = ModelCard.from_json(_entry(own, "card"))
    recipe = Recipe.from_json(_entry(own, "recipe"))
    network_def = _entry(inference, "network_def")
    _check_agreement(card, recipe, network_def)
    weights, statistics = path / WEIGHTS, path / STATISTICS
    return Bundle(
        path=path,
        card=card,
        network_def=network_def,
        recipe=recipe,
        calibration=Calibration.from_json(_entry(own, "calibration")),
        statistics=(
            TrainingStatistics.from_file(statistics) if statistics.is_file() else None
        ),
        weights_path=weights,
        weights_sha256=_verified(weights, own.get("weights_sha256")),
        converted=_hashes(own.get("openvino", {})),
    )


def _own_entry(metadata: Mapping[str, Any]) -> dict[str, Any]:
    own = metadata.get("resonance")
    if not isinstance(own, dict):
        raise ModelError(
            "this bundle was not made for this package: its metadata.json has no entry "
            "'resonance'",
            remedy="Only models written by napari-resonance can be loaded",
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


def _entry(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    if not isinstance(value, dict):
        raise ModelError(f"the model's configuration has no valid {key!r}")
    return value


def _check_agreement(
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


def _verified(weights: Path, expected: object) -> str:
    if not weights.is_file():
        raise _incomplete(weights)
    found = file_sha256(weights)
    if found != expected:
        raise ModelError(
            "the weights are damaged: their sha256 is not the one in metadata.json",
            source=weights,
            remedy=_ANEW,
        )
    return found


def _hashes(entry: object) -> dict[str, str]:
    if not isinstance(entry, dict):
        raise ModelError("the model's configuration has no valid 'openvino'")
    return {str(name): str(value) for name, value in entry.items()}


def _unknown_files(path: Path) -> tuple[str, ...]:
    found = (p.relative_to(path) for p in path.rglob("*") if p.is_file())
    unknown = sorted(
        p.as_posix()
        for p in found
        if p.as_posix() not in _KNOWN_FILES and not p.name.startswith(".")
    )
    if not unknown:
        return ()
    named = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
    return (f"the model folder holds files that are not used: {named}",)


def save_bundle(  # noqa: PLR0913  (each is one part of a bundle)
    folder: str | PathLike[str],
    *,
    network: torch.nn.Module,
    network_def: Mapping[str, Any],
    recipe: Recipe,
    calibration: Calibration,
    card: ModelCard,
    statistics: TrainingStatistics | None = None,
    convert: bool = False,
) -> Bundle:
    """Write a classifier as a bundle folder; whole or not at all.

    Parameters
    ----------
    folder
        A bundle that is there already is replaced; any other folder is refused.
    network
        Its ``state_dict`` is stored; it must fit `network_def`.
    network_def, recipe, calibration, card, statistics
        As in `Bundle`.
    convert
        Store the OpenVINO conversion too, so that nobody needs torch to predict.

    Returns
    -------
    Bundle
        As `load_bundle` reads it.

    Raises
    ------
    ModelError
        If the parts do not belong together, a text would be evaluated by MONAI, or the
        folder holds something else.
    DependencyError
        If `convert` is asked for without OpenVINO.

    """
    target = Path(folder)
    _check_agreement(card, recipe, network_def)
    _check_target(target, convert=convert)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=f".{target.name}-"
    ) as drafts:
        draft = Path(drafts) / "draft"
        bundle = Bundle(
            path=draft,
            card=card,
            network_def=dict(network_def),
            recipe=recipe,
            calibration=calibration,
            statistics=statistics,
            weights_path=draft / WEIGHTS,
            weights_sha256=_write_weights(network, draft / WEIGHTS),
            converted={},
        )
        _write_rest(bundle, convert=convert)
        if target.exists():
            target.rename(Path(drafts) / "replaced")
        draft.rename(target)
    return load_bundle(target)


def _check_target(target: Path, *, convert: bool) -> None:
    if target.exists() and not (target / METADATA).is_file():
        if not target.is_dir() or any(target.iterdir()):
            raise ModelError(
                "there is something else at the place of the model",
                source=target,
                remedy="Choose a new folder",
            )
        target.rmdir()
    if convert and not openvino_engine.is_installed():
        raise DependencyError(
            "OpenVINO is needed to convert a model",
            remedy="Install it with: pip install openvino",
        )


def _write_weights(network: torch.nn.Module, path: Path) -> str:
    from safetensors.torch import save_file

    from napari_resonance.classifier.network import state_dict_of

    path.parent.mkdir(parents=True)
    save_file(state_dict_of(network), path)
    return file_sha256(path)


def _write_rest(bundle: Bundle, *, convert: bool) -> None:
    """Write everything but the weights, the metadata last: it names the hashes."""
    own: dict[str, Any] = {
        "calibration": bundle.calibration.to_json(),
        "weights_sha256": bundle.weights_sha256,
        "openvino": {},
    }
    if convert:
        model = openvino_engine.convert(bundle)
        own["openvino"] = openvino_engine.save_converted(model, bundle.path / CONVERTED)
    if bundle.statistics is not None:
        bundle.statistics.save(bundle.path / STATISTICS)
    parts = bundle.card, bundle.network_def, bundle.recipe
    inference = bundle_config.inference_config(*parts[1:], bundle.calibration)
    metadata = bundle_config.metadata(*parts, own)
    bundle_config.check_literal(inference, references=True)
    bundle_config.check_literal(metadata)
    texts = {
        INFERENCE: json.dumps(inference, indent=2),
        METADATA: json.dumps(metadata, indent=2, allow_nan=False),
        "docs/README.md": bundle_text.readme(bundle.card, inference),
        "LICENSE": bundle_text.licence(bundle.card),
    }
    for name, text in texts.items():
        path = bundle.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
