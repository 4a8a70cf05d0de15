"""From a scan to an answer with a map of where the network looked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_resonance.classifier.prediction import Prediction, Saliency
from napari_resonance.classifier.stages import Answer, PreparedCase, Steps
from napari_resonance.errors import SaliencyError
from napari_resonance.preprocessing import NetworkInput
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.saliency import activation, fusion, gradients, occlusion
from napari_resonance.saliency.question import (
    Array,
    Evidence,
    ExplainOptions,
    Question,
)
from napari_resonance.scan import Scan

if TYPE_CHECKING:
    from napari_resonance.classifier.predict import Classifier

__all__ = [
    "ExplainOptions",
    "Explanation",
    "explain",
    "explanation_of",
    "map_again",
    "with_map",
]

Asked = tuple[PreparedCase, Answer, Prediction]

_MAKERS: Mapping[str, Callable[[Question], Evidence]] = {
    "gradcam": activation.class_activation,
    "gradcam++": activation.class_activation,
    "hirescam": activation.class_activation,
    "fused-cam": fusion.fused,
    "occlusion": occlusion.occlusion,
    "integrated-gradients": gradients.integrated_gradients,
    "smoothgrad": gradients.smoothgrad,
    "gradient-x-input": gradients.gradient_x_input,
}


@dataclass(frozen=True, eq=False)
class Explanation:
    """An answer, a map, and how the map was made.

    Parameters
    ----------
    prediction
        The answer, with the map as its ``saliency``.
    saliency
        The map: signed evidence, on a grid of its own.
    case, answer
        What the network was asked and what it answered, for further questions.
    options
        What was asked for, with the target that was chosen.
    score
        float32 ``(labels,)``: what the map explains is logits @ score.
    seconds
        Wall time from scan to map.
    forwards
        How often the network ran over the whole case, the prediction included.
    notices
        What is odd about the map, and how it was made, in sentences.

    """

    prediction: Prediction
    saliency: Saliency
    case: PreparedCase
    answer: Answer
    options: ExplainOptions
    score: Array
    seconds: float
    forwards: float
    notices: tuple[str, ...] = ()

    def question(self, classifier: Classifier, steps: Steps) -> Question:
        """Return what was asked, for further looks at the same answer."""
        asked = self.case, self.answer
        return Question(classifier, *asked, self.options, self.score, steps)


def explain(
    classifier: Classifier,
    scan: Scan | Sequence[Scan],
    options: ExplainOptions | None = None,
    *,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> Explanation:
    """Classify a scan and map where the network looked.

    Parameters
    ----------
    classifier
        Who is asked.
    scan
        One scan, or as many as the classifier takes channels.
    options
        What map is wanted; Grad-CAM of the most probable label if None.
    progress, should_stop
        Called between steps: batches of slices, samples, occluded places.

    Raises
    ------
    SaliencyError
        If no such map can be made: the layer does not exist, its feature map has one
        cell, or it holds NaN.
    CancelledError
        If `should_stop` said so.
    ResonanceError
        As ``Classifier.classify`` does, or if the request is not valid.

    """
    started = time.perf_counter()
    options = options or ExplainOptions()
    options.check(classifier.labels)
    steps = Steps(4, progress, should_stop)
    asked = classifier.ask(
        scan,
        center_mm=options.center_mm,
        box_mm=options.box_mm,
        force=options.force,
        steps=steps,
    )
    question = _question(classifier, asked, options, steps)
    saliency = make_map(question)
    steps.end()
    seconds = time.perf_counter() - started
    return Explanation(
        replace(asked[2], saliency=saliency, seconds=seconds),
        saliency,
        question.case,
        question.answer,
        question.options,
        question.score,
        seconds,
        question.forwards,
        tuple(dict.fromkeys(question.notices)),
    )


def with_map(
    classifier: Classifier, asked: Asked, options: ExplainOptions, steps: Steps
) -> Prediction:
    """Return an answer with its map, or with a warning where none can be made.

    Parameters
    ----------
    classifier
        Who was asked.
    asked
        What, its answer, and what that means.
    options
        What map is wanted; checked.
    steps
        Told of each step.

    """
    prediction = asked[2]
    try:
        return replace(
            prediction, saliency=make_map(_question(classifier, asked, options, steps))
        )
    except SaliencyError as error:
        # The answer is what was asked for first.
        missing = f"there is no map: {error.message}"
        return replace(prediction, warnings=(*prediction.warnings, missing))


def explanation_of(
    classifier: Classifier, asked: Asked, options: ExplainOptions, saliency: Saliency
) -> Explanation:
    """Return an answer and a map that were made before, to be measured.

    Parameters
    ----------
    classifier
        Who was asked.
    asked
        What, its answer, and what that means.
    options
        What map was wanted.
    saliency
        The map.

    Raises
    ------
    SaliencyError
        If it is not the map that was wanted.

    """
    question = _question(classifier, asked, options, Steps(1, no_progress, never))
    wanted = question.options
    if (saliency.method, saliency.target) != (wanted.method, wanted.subject):
        raise SaliencyError(
            f"the map is {saliency.method} of {saliency.target}, not {wanted.method} "
            f"of {wanted.subject}",
            remedy="Make the map that is to be measured first",
        )
    return Explanation(
        replace(asked[2], saliency=saliency),
        saliency,
        question.case,
        question.answer,
        wanted,
        question.score,
        seconds=0.0,
        forwards=0.0,
    )


def map_again(
    classifier: Classifier,
    explained: Explanation,
    network_input: NetworkInput | None = None,
    steps: Steps | None = None,
) -> Saliency:
    """Return the same map once more, of another network or of a changed input.

    Parameters
    ----------
    classifier
        Whose network is asked: the one that explained, or one with the same labels,
        input and layers.
    explained
        What was asked: method, label and layer stay.
    network_input
        What the network is given instead.
    steps
        Told of each step.

    Raises
    ------
    SaliencyError
        If no such map can be made.

    """
    case = explained.case
    if network_input is not None:
        case = replace(case, network_input=network_input)
    answer = classifier.run(case.network_input.array)
    steps = steps or Steps(1, no_progress, never)
    asked = replace(explained, case=case, answer=answer)
    return make_map(asked.question(classifier, steps))


def _question(
    classifier: Classifier, asked: Asked, options: ExplainOptions, steps: Steps
) -> Question:
    case, answer, prediction = asked
    target = options.target or _most_probable(prediction, options.against)
    chosen = replace(options, target=target)
    score = _score(classifier.labels, chosen)
    return Question(classifier, case, answer, chosen, score, steps)


def make_map(question: Question) -> Saliency:
    """Return the map that a question asks for.

    Raises
    ------
    SaliencyError
        If no such map can be made.

    """
    options = question.options
    question.steps.begin("making the map")
    values, affine = _MAKERS[options.method](question)
    if not np.isfinite(values).all():
        raise SaliencyError(
            f"the map of {options.method!r} holds values that are not finite",
            remedy="The weights are damaged, or the scan holds absurd values",
        )
    if np.ptp(values) == 0:
        question.notices.append(
            "the map is the same everywhere: it names no place in the scan"
        )
    return question.saliency((values, affine), options.method, options.sign)


def _score(labels: Sequence[str], options: ExplainOptions) -> Array:
    score = np.zeros(len(labels), np.float32)
    score[labels.index(str(options.target))] = 1
    if options.against is not None:
        score[labels.index(options.against)] = -1
    return score


def _most_probable(prediction: Prediction, but: str | None) -> str:
    """Return the most probable label that is not `but`."""
    others = {label: p for label, p in prediction.probabilities.items() if label != but}
    return max(others, key=others.__getitem__)
