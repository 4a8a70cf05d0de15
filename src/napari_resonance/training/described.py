"""What a classifier was made from and judged by, in words: its card, and its sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_resonance.classifier.card import ModelCard
from napari_resonance.export.wording import counted
from napari_resonance.training.cases import SIDES

if TYPE_CHECKING:
    from napari_resonance.training.beginning import Beginning
    from napari_resonance.training.cases import Case
    from napari_resonance.training.finetune import Run
    from napari_resonance.training.plan import Start
    from napari_resonance.training.prepared import PreparedSet
    from napari_resonance.training.splits import Split

SAME_ANSWERS = (
    "temperature, operating point and the rule for sure answers were chosen on the "
    "answers that are judged, which flatters calibration, sensitivity and specificity"
)
CROSS_FITTED = (
    "temperature, operating point and the rule for sure answers of each judged answer "
    "were chosen on the answers about other patients; the classifier keeps those that "
    "all of them chose"
)
SAME_EPOCH = (
    "the cases that are judged are those of validation, on which the epoch was chosen "
    "whose weights are kept: a test side would be stricter"
)
_ON_JUDGED = (SAME_ANSWERS, CROSS_FITTED, SAME_EPOCH)
"""Sentences about what flatters figures: they are limits on the card."""


def card_of(
    run: Run,
    beginning: Beginning,
    prepared: PreparedSet,
    start: Start,
    metrics: Mapping[str, Any],
    extents_and_notes: tuple[str, str, tuple[str, ...]],
) -> ModelCard:
    """Return the card of a classifier, with its figures.

    Parameters
    ----------
    run, beginning, prepared, start
        What it was trained with.
    metrics
        Its figures.
    extents_and_notes
        In words: what it learned from, what it was judged by, and what was noticed.

    """
    options, labelled = run.options, prepared.labelled
    learned_from, judged_on, notes = extents_and_notes
    origin = "from scratch" if start.scratch else f"from {start.pretrained}"
    inherited = beginning.bundle.card if beginning.bundle is not None else None
    modality = options.modality or beginning.found.modalities
    limits = (
        f"Its figures are those of {judged_on}; other scanners and patients may differ",
        *(n for n in notes if "not a number" in n or n in _ON_JUDGED),
    )
    figures = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, Mapping)
        and "value" in value
        and value["value"] is not None
    }
    return ModelCard(
        name=run.out.name,
        version="1.0.0",
        task=options.task or f"Tell {_listed(labelled.labels)} apart",
        labels=labelled.labels,
        dimensions=beginning.recipe.dimensions,
        modality=tuple(modality),
        body_part=options.body_part,
        training_data=f"{learned_from}; trained {origin}",
        performance=figures,
        licence=options.licence,
        attributions=inherited.attributions if inherited else (),
        intended_use="Research on scans like those it was trained on",
        limits=limits,
    )


def training_extent(splits: Sequence[Split], cases: Sequence[Case]) -> str:
    """Return how many cases the network that is kept has learned from."""
    if len(splits) > 1:
        return extent(cases)
    learned = extent([cases[n] for n in splits[0].train])
    chosen = [cases[n] for n in splits[0].validation]
    return f"{learned}, and {extent(chosen)} to choose by" if chosen else learned


def sides_of(split: Split, cases: Sequence[Case]) -> dict[str, str]:
    """Return in words what is on each side of a split."""
    result = {}
    for side in SIDES:
        chosen = [cases[n] for n in getattr(split, side)]
        labels = Counter(case.label for case in chosen)
        each = ", ".join(f"{name}: {n}" for name, n in sorted(labels.items()))
        result[side] = f"{extent(chosen)} ({each})" if chosen else "none"
    return result


def extent(cases: Sequence[Case]) -> str:
    """Return how many cases of how many patients these are."""
    patients = len({case.patient for case in cases})
    regions = any(case.center_mm is not None for case in cases)
    what = counted(len(cases), "region" if regions else "scan")
    return f"{what} of {counted(patients, 'patient')}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}"
