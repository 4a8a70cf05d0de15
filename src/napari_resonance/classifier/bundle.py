"""A classifier on disk: a MONAI Bundle folder, read and written without pickle.

Reading takes JSON, safetensors and OpenVINO's files only; it evaluates nothing and
makes no class that is not on a list.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_resonance.classifier import bundle_config, bundle_text, openvino_engine
from napari_resonance.classifier.bundle_checks import (
    ANEW,
    check_agreement,
    check_calibration,
    entry,
    head_shape,
    own_entry,
    read_json,
    read_statistics,
    verified_sha256,
)
from napari_resonance.classifier.bundle_config import CONVERTED, STATISTICS, WEIGHTS
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.catalogue import CATALOGUE
from napari_resonance.classifier.distribution import TrainingStatistics
from napari_resonance.classifier.files import file_sha256
from napari_resonance.classifier.members import Heads, read_heads
from napari_resonance.classifier.place import METADATA, check_place, is_model
from napari_resonance.errors import DependencyError, ModelError, ResonanceError
from napari_resonance.preprocessing import Recipe

if TYPE_CHECKING:
    from os import PathLike

    import torch

INFERENCE = "configs/inference.json"
TRAINING = "training"
"""Folder for the record of the training: split, decisions, report."""
_EMBEDDED = Path(__file__).parent.parent / "models"
KNOWN_FILES = {
    METADATA,
    INFERENCE,
    WEIGHTS,
    STATISTICS,
    *(f"{CONVERTED}/{name}" for name in openvino_engine.MODEL_FILES),
    "docs/README.md",
    "LICENSE",
}
"""All that a model is made of; what else is in its folder is not needed for answers."""


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
        sha256 by file name of the OpenVINO conversion that came with the bundle, and
        what it was ``made_from``; empty without one.
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

    @cached_property
    def sha256(self) -> str:
        """Hash of all that an answer depends on: weights, settings and statistics."""
        digest = hashlib.sha256(self.weights_sha256.encode())
        for name in (METADATA, INFERENCE, STATISTICS):
            file = self.path / name
            digest.update(file.read_bytes() if file.is_file() else b"")
        return digest.hexdigest()

    def heads(self) -> Heads:
        """Return what makes logits of the pooled features, of each member."""
        return read_heads(self.weights_path, self.network_def.get("head_act", "relu"))


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
    if not (path / METADATA).is_file() and (path / INFERENCE).is_file():
        raise ModelError(
            "the model folder is incomplete: metadata.json is missing",
            source=path / METADATA,
            remedy=f"{ANEW}; a MONAI bundle from elsewhere is made a model with: "
            f"resonance models import {path} --out DIR --recipe FILE",
        )
    metadata = read_json(path / METADATA)
    inference = read_json(path / INFERENCE)
    try:
        bundle = _bundle(path, metadata, inference)
    except ResonanceError as error:
        if error.source is not None:
            raise
        remedy = error.remedy or ANEW
        raise ModelError(error.message, source=path, remedy=remedy) from error
    except OSError as error:
        raise ModelError(
            f"the model cannot be read: {error.strerror}",
            source=path,
            remedy="Check that you may read all of its files",
        ) from error
    return replace(bundle, warnings=_unknown_files(path))


def _folder_of(name_or_path: str | PathLike[str]) -> Path:
    embedded = {
        p.parent.parent.name: p.parent.parent for p in _EMBEDDED.glob(f"*/{METADATA}")
    }
    path = embedded.get(str(name_or_path), Path(name_or_path))
    if path.is_dir():
        return path
    if path.is_file():
        raise ModelError(
            "this is a file, not a model: a model is a folder",
            source=path,
            remedy="Weights become one, once it is said how scans are prepared: "
            f"resonance models import {path} --out DIR --recipe FILE",
        )
    if str(name_or_path) in CATALOGUE:
        raise ModelError(
            "this is a pretrained network to begin with, not a classifier",
            source=name_or_path,
            remedy="Train one: resonance finetune LABELS --out DIR --pretrained "
            f"{name_or_path}",
        )
    names = ", ".join(sorted(embedded)) or "none"
    raise ModelError(
        "there is no model of this name and no folder at this path",
        source=name_or_path,
        remedy=f"Give the folder of a model, or one of those included: {names}",
    )


def _bundle(
    path: Path, metadata: Mapping[str, Any], inference: Mapping[str, Any]
) -> Bundle:
    own = own_entry(metadata)
    bundle_config.check_literal(metadata)
    bundle_config.check_literal(inference, references=True)
    card = ModelCard.from_json(entry(own, "card"))
    recipe = Recipe.from_json(entry(own, "recipe"))
    network_def = entry(inference, "network_def")
    check_agreement(card, recipe, network_def)
    weights = path / WEIGHTS
    sha256 = verified_sha256(weights, own.get("weights_sha256"))
    shape = head_shape(weights)
    if shape[0] != len(card.labels):
        raise ModelError(
            f"the weights have {shape[0]} outputs, the card {len(card.labels)} labels"
        )
    calibration = Calibration.from_json(entry(own, "calibration"))
    check_calibration(calibration, card)
    return Bundle(
        path=path,
        card=card,
        network_def=network_def,
        recipe=recipe,
        calibration=calibration,
        statistics=read_statistics(path / STATISTICS, shape, recipe.n_channels),
        weights_path=weights,
        weights_sha256=sha256,
        converted=entry({"openvino": {}, **own}, "openvino"),
    )


def _unknown_files(path: Path) -> tuple[str, ...]:
    found = (p.relative_to(path) for p in path.rglob("*") if p.is_file())
    unknown = sorted(
        p.as_posix()
        for p in found
        if p.as_posix() not in KNOWN_FILES
        and p.parts[0] != TRAINING
        and not p.name.startswith(".")
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
    check_agreement(card, recipe, network_def)
    check_calibration(calibration, card)
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
        load_bundle(draft)
        if target.exists():
            target.rename(Path(drafts) / "replaced")
        draft.rename(target)
    return load_bundle(target)


def _check_target(target: Path, *, convert: bool) -> None:
    check_place(target, overwrite=True)
    if target.exists() and not is_model(target):
        target.rmdir()
    if convert and not openvino_engine.is_installed():
        raise DependencyError(
            "OpenVINO is needed to convert a model",
            remedy="Install it with: pip install openvino",
        )


def _write_weights(network: torch.nn.Module, path: Path) -> str:
    from safetensors.torch import save

    from napari_resonance.classifier.network import state_dict_of

    path.parent.mkdir(parents=True)
    tensors = state_dict_of(network)
    halves = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    # Weights that 16 bits hold exactly take no more than 16 bits on disk.
    exact = all(bool((halves[k].to(t.dtype) == t).all()) for k, t in tensors.items())
    # safetensors' save_file makes files that only their owner may read.
    path.write_bytes(save(halves if exact else tensors))
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
        own["openvino"] = {
            "made_from": openvino_engine.conversion_key(bundle),
            **openvino_engine.save_converted(model, bundle.path / CONVERTED),
        }
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
        "docs/README.md": bundle_text.readme(
            bundle.card, inference, color=bundle.recipe.color
        ),
        "LICENSE": bundle_text.licence(bundle.card),
    }
    for name, text in texts.items():
        path = bundle.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
