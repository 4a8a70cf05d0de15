"""How far the map of an answer can be trusted, measured; without Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_resonance.errors import SaliencyError
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.viewer.kept_classifiers import kept_classifier

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.viewer.classification import ClassifyOptions

Rows = Sequence[Mapping[str, Any]]
"""The ``residual`` entry of a document: a row a block."""

# More bars than this would be a wall: stages stand for their blocks.
_MOST_BARS = 10


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of an answer's map.

    Parameters
    ----------
    before, prediction
        The answer as it was, and with the figures in its map.
    residual
        What each residual block of the network did.

    """

    before: Prediction
    prediction: Prediction
    residual: Rows


def measure(
    options: ClassifyOptions,
    prediction: Prediction,
    progress: Progress,
    should_stop: ShouldStop,
) -> Measured:
    """Measure the map of an answer by deletion and insertion, and look at the blocks.

    Parameters
    ----------
    options
        What was asked, with the answer in `asked`.
    prediction
        The answer, with its map.
    progress, should_stop
        As for all work in a thread.

    Raises
    ------
    SaliencyError
        If there is no map, it is not the one that the options ask for, or it is the
        same everywhere.
    ResonanceError
        If the network cannot run.

    """
    from napari_resonance.saliency.explain import explanation_of
    from napari_resonance.saliency.faithfulness import faithfulness
    from napari_resonance.saliency.residual import residual_lens

    progress(0, 0, "Loading the model")
    classifier = kept_classifier(options.model, options.device, options.precision)
    asked, saliency = options.asked, prediction.saliency
    if (
        asked is None
        or saliency is None
        or asked.key != options.key(classifier.sha256)
        or asked.stages[2].logits != prediction.logits
    ):
        raise SaliencyError(
            "only the map of the answer that was given last can be measured",
            remedy="Classify the scan once more, then measure",
        )
    found = explanation_of(classifier, asked.stages, options.explain, saliency)
    figures = faithfulness(
        classifier, found, progress=progress, should_stop=should_stop
    ).to_json()
    lens = residual_lens(classifier, found, progress=progress, should_stop=should_stop)
    measured = replace(prediction, saliency=replace(saliency, faithfulness=figures))
    return Measured(prediction, measured, lens.to_json())


def faithful_bars(figures: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """Return by how much a map beats a random order, taken away and put back.

    Parameters
    ----------
    figures
        The ``faithfulness`` entry of a document.

    """
    away = figures["random_deletion_auc"] - figures["deletion_auc"]
    back = figures["insertion_auc"] - figures["random_insertion_auc"]
    return [
        ("Taken away", away, f"{100 * away:+.1f} %"),
        ("Put back", back, f"{100 * back:+.1f} %"),
    ]


def residual_bars(rows: Rows) -> list[tuple[str, float, str]]:
    """Return what each block added to the score; of deep networks, each stage."""
    if len(rows) <= _MOST_BARS:
        changes = {_name(row["block"]): row["change"] for row in rows}
    else:
        changes = {}
        for row in rows:
            stage = _name(row["stage"])
            changes[stage] = changes.get(stage, 0.0) + row["change"]
    return [(name, value, f"{value:+.2f}") for name, value in changes.items()]


def _name(block: str) -> str:
    """Return ``"Stage 2, block 1"`` for ``"layer2.0"``, ``"Stage 2"`` for a stage."""
    stage, _, number = block.removeprefix("layer").partition(".")
    return f"Stage {stage}, block {int(number) + 1}" if number else f"Stage {stage}"
