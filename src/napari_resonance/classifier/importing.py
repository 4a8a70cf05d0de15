"""A classifier that somebody trained elsewhere, written as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_resonance.classifier.bundle import Bundle, load_bundle, save_bundle
from napari_resonance.classifier.bundle_checks import entry, own_entry, read_json
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.foreign import (
    is_bundle,
    network_of_config,
    read_foreign,
)
from napari_resonance.classifier.pretrained import (
    Loaded,
    LoadReport,
    load_pretrained,
    network_of,
)
from napari_resonance.errors import ModelError
from napari_resonance.preprocessing import Recipe

if TYPE_CHECKING:
    from os import PathLike

# Nothing is known about how far an imported network's probabilities can be trusted, so
# none of its answers is called sure.
_NEVER_SURE = {"rule": "threshold", "probability": 1.0}


@dataclass(frozen=True)
class ImportOptions:
    """What a file of weights does not tell about the classifier.

    Parameters
    ----------
    labels
        What its outputs mean, in order.
    recipe
        How its scans were prepared.
    definition
        The whole ``network_def``, where the weights are not enough to read it from.
    settings
        Only what the weights do not tell: ``conv1_t_stride``, ``no_max_pool``,
        ``dilations``.
    name, task, modality, licence
        For the model card; the name is that of the folder if empty.

    """

    labels: tuple[str, ...] = ()
    recipe: Recipe | None = None
    definition: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    task: str = ""
    modality: tuple[str, ...] = ()
    licence: str = ""


def import_weights(
    weights: str | PathLike[str], out: str | PathLike[str], options: ImportOptions
) -> tuple[Bundle, LoadReport]:
    """Write a bundle from a ``.safetensors`` or ``.pth`` file that is complete.

    `weights` may also be the folder of a MONAI bundle from elsewhere: network, and
    labels where it names them, are taken from it unless the options say otherwise.

    Raises
    ------
    ModelError
        If the weights are no ResNet's or lack the last layer, or if anything is not
        known: the remedy names the options that tell it.

    """
    if Path(weights).is_dir():
        weights, options = _of_bundle(Path(weights), options)
    loaded = _loaded(weights, options)
    _check_known(loaded, options, weights)
    recipe, definition = options.recipe, loaded.definition
    if recipe is None:  # refused above
        raise ModelError("a classifier needs a recipe", source=weights)
    card = _card(Path(weights), Path(out), options, definition)
    bundle = save_bundle(
        out,
        network=network_of(loaded).eval(),
        network_def=definition,
        recipe=recipe,
        calibration=Calibration(1.0, _NEVER_SURE),
        card=card,
    )
    return bundle, loaded.report


def _of_bundle(folder: Path, options: ImportOptions) -> tuple[Path, ImportOptions]:
    """Return the weights of a MONAI bundle, and the options with what it tells."""
    if not is_bundle(folder):
        raise ModelError(
            "this folder is no MONAI bundle: it has no 'configs' and no 'models'",
            source=folder,
            remedy="Give a file of weights, or the folder of a bundle",
        )
    known = options.definition
    found = read_foreign(folder, with_network=known is None)
    labels = options.labels or found.labels
    definition = found.definition if known is None else known
    return found.weights, replace(options, labels=labels, definition=definition)


def _loaded(weights: str | PathLike[str], options: ImportOptions) -> Loaded:
    wanted = None if options.recipe is None else options.recipe.n_channels
    loaded = load_pretrained(weights, options.definition)
    _check_whole(loaded, weights)
    channels = loaded.definition.get("n_input_channels", 3)
    if wanted is not None and channels != wanted:
        if (channels, wanted) != (3, 1):
            raise ModelError(
                f"the network takes {channels} channels, the recipe makes {wanted}",
                source=weights,
                remedy="Give the recipe that the network was trained with",
            )
        # Networks from photographs are given the grey image three times; summed
        # weights give the same answer to one.
        definition = {**loaded.definition, "n_input_channels": 1}
        assumed = loaded.report.assumed
        fitted = load_pretrained(weights, definition)
        report = LoadReport(**{**vars(fitted.report), "assumed": assumed})
        loaded = fitted._replace(report=report)
    definition = {**loaded.definition, **options.settings}
    return loaded._replace(definition=definition)


def _check_whole(loaded: Loaded, source: str | PathLike[str]) -> None:
    if loaded.report.missing:
        first, why = next(iter(loaded.report.missing.items()))
        raise ModelError(
            f"the weights are not a whole classifier: {first!r} is missing ({why})",
            source=source,
            remedy="Give a file that has the last layer, 'fc', too",
        )


def _check_known(
    loaded: Loaded, options: ImportOptions, source: str | PathLike[str]
) -> None:
    outputs = loaded.definition.get("num_classes", 400)  # MONAI's default
    unknown = {}
    if len(options.labels) != outputs:
        what = f"what its {outputs} outputs mean"
        unknown[what] = f"--labels with {outputs} names, separated by commas"
    if options.recipe is None:
        unknown["how scans are prepared"] = "--recipe with a file or a classifier"
    if loaded.report.assumed and not options.settings:
        what = "the stride of its first convolution"
        unknown[what] = "--stride 2 (torchvision, timm) or 1 (MONAI), or --network"
    if unknown:
        raise ModelError(
            f"the weights do not tell {' or '.join(unknown)}",
            source=source,
            remedy=f"Give {'; '.join(unknown.values())}",
        )


def _card(
    weights: Path, out: Path, options: ImportOptions, definition: Mapping[str, Any]
) -> ModelCard:
    task = options.task or f"Tell apart: {', '.join(options.labels)}"
    return ModelCard(
        name=options.name or out.resolve().name,
        version="1.0.0",
        task=task,
        labels=options.labels,
        dimensions=definition.get("spatial_dims", 3),
        modality=options.modality,
        training_data="not stated",
        licence=options.licence,
        limits=(
            f"Imported from {weights.name}; how well it does was not measured here",
            "Not calibrated, so no answer is called sure",
        ),
    )


def read_recipe(file_or_model: str | PathLike[str]) -> Recipe:
    """Return the recipe in a JSON file, or that of a classifier.

    The file is a recipe, or the ``metadata.json`` of a bundle.

    Raises
    ------
    ModelError
        If there is neither.
    PreprocessingError
        If the recipe is not valid.

    """
    path = Path(file_or_model)
    if path.suffix != ".json":
        return load_bundle(file_or_model).recipe
    data = read_json(path)
    if "resonance" in data:
        data = entry(own_entry(data), "recipe")
    return Recipe.from_json(data)


def read_network(file: str | PathLike[str]) -> dict[str, Any]:
    """Return the ``network_def`` in a JSON file: itself, or a bundle's inference.json.

    Raises
    ------
    ModelError
        If there is none, or it is not literal.

    """
    return network_of_config(read_json(Path(file)), Path(file))
