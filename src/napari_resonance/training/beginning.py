"""Where a fine-tuning begins: pretrained weights with their recipe, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_resonance.classifier.bundle import Bundle, list_models, load_bundle
from napari_resonance.classifier.catalogue import CATALOGUE
from napari_resonance.classifier.definition import with_head
from napari_resonance.classifier.place import is_model
from napari_resonance.classifier.pretrained import check_like, load_pretrained
from napari_resonance.errors import TrainingError
from napari_resonance.preprocessing import Recipe
from napari_resonance.preprocessing.pictures import WHITE
from napari_resonance.progress import Progress
from napari_resonance.training.cases import LabelledSet
from napari_resonance.training.color import as_before
from napari_resonance.training.options import (
    AUTO,
    HEADS,
    SCRATCH,
    Decision,
    FinetuneOptions,
)
from napari_resonance.training.plan import Start, scratch_definition, usual_start
from napari_resonance.training.survey import Survey, automatic_recipe, survey

if TYPE_CHECKING:
    import torch

    from napari_resonance.training.samples import Samples


class Beginning(NamedTuple):
    """Recipe, and what it was made from."""

    recipe: Recipe
    found: Survey
    bundle: Bundle | None
    decisions: list[Decision]


def choose_recipe(
    labelled: LabelledSet, pretrained: str, options: FinetuneOptions
) -> Beginning:
    """Return the recipe of the pretrained classifier, or one that suits the scans.

    Raises
    ------
    TrainingError
        If the weights are of no use for the scans, or an axis to be mirrored is none.

    """
    # Which may be refused: before all scans.
    before = _before(pretrained, options.like)
    bundle = before.bundle
    found = survey(labelled.cases)
    if bundle is not None and options.shape is None:
        recipe = bundle.recipe
        fits = recipe.n_scans == found.n_scans
        fits &= found.regions == recipe.needs_center or (
            found.regions and recipe.box is not None
        )
        fits &= options.color in ("auto", "keep" if recipe.color else "brightness")
        if fits:
            _check_flip(options, recipe)
            name = f"recipe of {bundle.card.name}"
            why = "the pretrained network expects its inputs so"
            decisions = [Decision("recipe", name, why)]
            if any(found.colored):
                decisions.append(as_before(recipe))
            return Beginning(recipe, found, bundle, decisions)
    recipe, decisions = automatic_recipe(
        found, options, before.channels, is_imagenet=before.is_imagenet
    )
    _check_dimensions(pretrained, before.dimensions, recipe)
    _check_flip(options, recipe)
    return Beginning(recipe, found, bundle, decisions)


class _Before(NamedTuple):
    """What a network was before: the classifier, if it is one, and its input."""

    bundle: Bundle | None
    dimensions: int
    channels: int | None = None
    is_imagenet: bool = False


def _before(pretrained: str, like: str) -> _Before:
    """Return what a training begins from.

    Files are read once here: whoever gave the wrong one does not wait for the scans. 2D
    networks of three channels come from photographs, and expect ImageNet's statistics.
    """
    check_like(pretrained, like)
    if pretrained in (AUTO, SCRATCH):
        return _Before(None, 2)  # fits all
    if pretrained in CATALOGUE:
        entry = CATALOGUE[pretrained]
        dimensions, channels = entry.dimensions, entry.channels
        if entry.is_synthetic:  # all of it learns, of colours too
            return _Before(None, dimensions)
        return _Before(None, dimensions, channels, (dimensions, channels) == (2, 3))
    embedded = {bundle.card.name: bundle for bundle in list_models()}
    bundle = embedded.get(pretrained)
    if bundle is None and is_model(Path(pretrained)):
        bundle = load_bundle(pretrained)
    if bundle is not None:
        recipe = bundle.recipe
        channels = recipe.n_channels
        return _Before(bundle, recipe.dimensions, channels, recipe.is_imagenet)
    definition = load_pretrained(pretrained, like=like).definition
    dimensions = int(definition["spatial_dims"])
    channels = int(definition["n_input_channels"])
    return _Before(None, dimensions, channels, (dimensions, channels) == (2, 3))


def _check_flip(options: FinetuneOptions, recipe: Recipe) -> None:
    if recipe.dimensions == 2 and "z" in options.flip:
        raise TrainingError(
            "images have no axis z that could be mirrored",
            remedy="Choose x, y, both or none (--flip)",
        )


def _check_dimensions(pretrained: str, before: int, recipe: Recipe) -> None:
    if before > recipe.dimensions:
        raise TrainingError(
            f"{pretrained} is a {before}D network, and the scans are images",
            remedy="Choose a 2D network, or 'none' to train from scratch",
        )


def start_of(
    pretrained: str,
    beginning: Beginning,
    samples: Samples,
    n_labels: int,
    options: FinetuneOptions,
    progress: Progress,
) -> tuple[Start, Mapping[str, torch.Tensor], Decision]:
    """Return the network's definition, its first weights, and what became of them."""
    recipe = beginning.recipe
    shape = tuple(int(n) for n in samples.inputs.shape[2:])
    n_patients = len(np.unique(samples.patients))
    if pretrained == AUTO:
        pretrained = usual_start(shape, n_patients)
    entry = CATALOGUE.get(pretrained)
    # Images can begin volumes too, but as any large network does.
    synthetic = (
        entry is not None
        and entry.is_synthetic
        and entry.dimensions == recipe.dimensions
    )
    # Reports and cards travel: folders, which may name people, stay here.
    shown = Path(pretrained).name if entry is None else pretrained
    report, state = "", {}
    if pretrained == SCRATCH or synthetic:
        definition, decision = scratch_definition(
            recipe,
            shape,
            n_labels,
            options.flip,
            n_patients,
            None if entry is None else entry.depth,
        )
        definition = with_head(definition, HEADS[options.head])
        if synthetic:
            loaded = load_pretrained(pretrained, definition, progress=progress)
            report, state = loaded.report.summary(), _body(loaded.state)
            decision = replace(decision, reason=f"begins as {pretrained}: {report}")
    else:
        loaded = load_pretrained(
            pretrained,
            dimensions=recipe.dimensions,
            in_channels=recipe.n_channels,
            n_labels=n_labels,
            like=options.like,
            progress=progress,
        )
        report, state = loaded.report.summary(), _body(loaded.state)
        if options.like:
            report = f"{report}; strides and dilations of {options.like}"
        decision = Decision("network", f"as {shown}", report)
        definition = with_head(loaded.definition, HEADS[options.head])
    start = Start(
        shown,
        definition,
        report,
        values=_values(beginning),
        synthetic=synthetic,
        colors=recipe.color_scales,
    )
    return start, state, _with_head(decision, options)


def _body(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leave the head out: of other labels it is no start, even of as many."""
    return {k: v for k, v in state.items() if not k.startswith("fc.")}


def _with_head(decision: Decision, options: FinetuneOptions) -> Decision:
    """Name the head where it was chosen."""
    units = HEADS[options.head]
    if units is None:
        return decision
    return replace(
        decision, value=f"{decision.value}, {units} hidden units in the head"
    )


def _values(beginning: Beginning) -> str:
    """Tell what the network will see: masks, a window of CT, or something else."""
    if beginning.found.are_masks and not beginning.recipe.color:
        return "mask"
    windows = [a for name, a in beginning.recipe.steps if name == "ct_window"]
    # A picture of 8 bits as it is has no scale of its own.
    is_ct = any((a["low"], a["high"]) != (0, WHITE) for a in windows)
    return "ct" if is_ct else "other"
