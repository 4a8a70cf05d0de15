"""A classifier that somebody trained elsewhere, written as a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from napari_resonance.classifier.import_checks import check_known, check_whole
from napari_resonance.classifier.place import check_place
from napari_resonance.classifier.pretrained import (
    Loaded,
    LoadReport,
    load_pretrained,
    network_of,
)
from napari_resonance.errors import ModelError, PreprocessingError
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
    like
        Pretrained network that it began from: the rest of these are as there.
    between
        What lies between the linear layers of its head, where it has several, see
        ``head_stack.read_between``.
    name, task, modality, licence
        For the model card; the name is that of the folder if empty.

    """

    labels: tuple[str, ...] = ()
    recipe: Recipe | None = None
    definition: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    like: str = ""
    between: str | None = None
    name: str = ""
    task: str = ""
    modality: tuple[str, ...] = ()
    licence: str = ""


def import_weights(
    weights: str | PathLike[str],
    out: str | PathLike[str],
    options: ImportOptions,
    *,
    overwrite: bool = False,
) -> tuple[Bundle, LoadReport]:
    """Write a bundle from a ``.safetensors`` or ``.pth`` file that is complete.

    `weights` may also be the folder of a MONAI bundle from elsewhere: network, and
    labels where it names them, are taken from it unless the options say otherwise.
    ``FILE#PART`` is one of several networks in a file. A network with one output and
    two labels gets two outputs, so that softmax gives what its sigmoid gave. A model
    that is at `out` already is replaced only where `overwrite` says so.

    Raises
    ------
    ModelError
        If the weights are no ResNet's or lack the last layer, or if anything is not
        known: the remedy names the options that tell it; if a model is there already.

    """
    check_place(Path(out), overwrite=overwrite)
    if Path(weights).is_dir():
        weights, options = _of_bundle(Path(weights), options)
    try:
        loaded = _loaded(weights, options)
    except ModelError as error:
        if error.source is not None:
            raise
        raise ModelError(error.message, source=weights, remedy=error.remedy) from error
    check_known(loaded, options.labels, weights, has_recipe=options.recipe is not None)
    recipe, definition = options.recipe, loaded.definition
    if recipe is None:  # refused above
        raise ModelError("a classifier needs a recipe", source=weights)
    card = _card(Path(weights), Path(out), options, definition)
    try:
        bundle = save_bundle(
            out,
            network=network_of(loaded).eval(),
            network_def=definition,
            recipe=recipe,
            calibration=Calibration(1.0, _NEVER_SURE),
            card=card,
        )
    except OSError as error:
        raise ModelError(
            f"the model cannot be written here: {error.strerror or error}",
            source=out,
            remedy="Choose another folder, or make room",
        ) from error
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
    between = options.between
    loaded = load_pretrained(
        weights, options.definition, between=between, like=options.like
    )
    check_whole(loaded.report, weights, defined=options.definition is not None)
    dimensions = loaded.definition.get("spatial_dims", 3)
    channels = loaded.definition.get("n_input_channels", 3)
    recipe = options.recipe
    if recipe is not None and recipe.dimensions != dimensions:
        raise ModelError(
            f"the network is {dimensions}D, the recipe {recipe.dimensions}D",
            source=weights,
            remedy="Give the recipe that the network was trained with",
        )
    if recipe is not None and channels != recipe.n_channels:
        if (channels, recipe.n_channels) != (3, 1):
            raise ModelError(
                f"the network takes {channels} channels, the recipe makes "
                f"{recipe.n_channels}",
                source=weights,
                remedy="Give the recipe that the network was trained with",
            )
        # Networks from photographs are given the grey image three times; summed
        # weights give the same answer to one.
        definition = {**loaded.definition, "n_input_channels": 1}
        assumed = loaded.report.assumed
        fitted = load_pretrained(weights, definition, between=between)
        report = replace(fitted.report, assumed=assumed)
        loaded = fitted._replace(report=report)
    return _with_two_outputs(_with_settings(loaded, options.settings), options.labels)


def _with_settings(loaded: Loaded, settings: Mapping[str, Any]) -> Loaded:
    """Put what was told in the place of what was assumed."""
    assumed = loaded.report.assumed
    left = {k: v for k, v in assumed.items() if k not in settings}
    return loaded._replace(
        definition={**loaded.definition, **settings},
        report=replace(loaded.report, assumed=left),
    )


def _with_two_outputs(loaded: Loaded, labels: Sequence[str]) -> Loaded:
    """Return a network with one output, whose sigmoid is a probability, with two.

    The softmax of 0 and a number is the sigmoid of that number.
    """
    import torch

    if loaded.definition.get("num_classes", 400) != 1 or len(labels) != 2:
        return loaded
    names = ("fc.weight", "fc.bias")
    state = {**loaded.state}
    for name in names:
        state[name] = torch.cat([torch.zeros_like(state[name]), state[name]])
    done = f"one output becomes two: its sigmoid is the probability of {labels[1]!r}"
    report = replace(
        loaded.report,
        matched=tuple(n for n in loaded.report.matched if n not in names),
        adapted={**loaded.report.adapted, **dict.fromkeys(names, done)},
    )
    return Loaded({**loaded.definition, "num_classes": 2}, state, report)


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
    data = read_json(path, "Give a recipe as JSON, or the name or folder of a model")
    if "resonance" in data:
        data = entry(own_entry(data), "recipe")
    try:
        return Recipe.from_json(data)
    except PreprocessingError as error:
        raise PreprocessingError(
            error.message, source=path, remedy=error.remedy
        ) from error


def read_network(file: str | PathLike[str]) -> dict[str, Any]:
    """Return the ``network_def`` in a JSON file: itself, or a bundle's inference.json.

    Raises
    ------
    ModelError
        If there is none, or it is not literal.

    """
    remedy = "Give a network_def as JSON, or the inference.json of a bundle"
    return network_of_config(read_json(Path(file), remedy), Path(file))
