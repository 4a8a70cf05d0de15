"""How results are said to people: the same words in pictures, terminal and panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction, Saliency

RESEARCH_USE = "Research use only, not a medical device"

METHOD_NAMES = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "hirescam": "HiResCAM",
    "fused-cam": "Fused CAM",
    "occlusion": "Occlusion",
    "integrated-gradients": "Integrated gradients",
    "smoothgrad": "SmoothGrad × input",
    "gradient-x-input": "Gradient × input",
}


def method_name(method: str) -> str:
    """Return how a saliency method is written, ``"Grad-CAM"`` for ``"gradcam"``."""
    return METHOD_NAMES.get(method, method)


# Maps whose values stand for voxels of the network's input, not for cells of a grid
# that is coarser.
_OF_VOXELS = ("integrated-gradients", "smoothgrad", "gradient-x-input")


def title_of(saliency: Saliency) -> str:
    """Return what a map is: ``"Grad-CAM of layer3 for T1w"``."""
    layer = f" of {saliency.layer}" if saliency.layer else ""
    return f"{method_name(saliency.method)}{layer} {saliency.claim}"


def unit_of(saliency: Saliency) -> str:
    """Return what one value of a map stands for: ``"cell"`` or ``"voxel"``."""
    return "voxel" if saliency.method in _OF_VOXELS else "cell"


def reservations(prediction: Prediction) -> list[tuple[str, bool]]:
    """Return what a reader of a map should know of it, and whether that is good news.

    That the answer it explains is not sure, and how faithful the map was found.
    """
    saliency = prediction.saliency
    if saliency is None:
        return []
    found: list[tuple[str, bool]] = []
    if not prediction.sure:
        state = certainty(prediction)
        what = (
            f"an answer to a scan {state}" if state != "unsure" else "an unsure answer"
        )
        found.append(
            (f"This map explains {what}: do not read a finding into it", False)
        )
    measured = saliency.faithfulness
    if measured is not None:
        sentence = str(measured["sentence"])
        sentence = sentence[0].upper() + sentence[1:]
        found.append((sentence, bool(measured["better_than_chance"])))
    return found


def counted(n: int, noun: str) -> str:
    """Return a number of things: ``"1 patient"``, ``"2 patients"``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def percent(probability: float) -> str:
    """Return a probability in per cent that never rounds up to certainty."""
    if probability >= 0.9995:
        return "> 99.9 %"
    if probability < 0.0005:
        return "< 0.1 %"
    return f"{100 * probability:.1f} %"


def certainty(prediction: Prediction) -> str:
    """Return ``"sure"``, ``"unsure"`` or ``"unlike its training data"``."""
    if prediction.sure:
        return "sure"
    odd = prediction.out_of_distribution
    return "unlike its training data" if odd is not None and odd.flag else "unsure"


def why_unsure(prediction: Prediction) -> str:
    """Return the reason for an unsure answer as one clause; empty for a sure one."""
    if prediction.sure:
        return ""
    odd = prediction.out_of_distribution
    if odd is not None and odd.flag:
        return odd.why
    others = [n for n in prediction.prediction_set or () if n != prediction.label]
    if others:
        return f"it could also be {' or '.join(others)}"
    return "the probability is below this model's threshold"


def place_mm(position: tuple[float, float, float]) -> str:
    """Return a RAS+ position with letters: ``"24 mm R, 3 mm P, 40 mm S"``."""
    pairs = zip(position, ("LR", "PA", "IS"), strict=True)
    return ", ".join(f"{abs(x):.0f} mm {names[x >= 0]}" for x, names in pairs)


def chance(p: float | None) -> str:
    """Return how a p-value is written."""
    if p is None:
        return "no p"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def whose_figures(labels: Sequence[str]) -> str:
    """Return which label the figures of an evaluation are about."""
    if len(labels) == 2:
        return f"AUPRC, sensitivity, specificity and F1 are those for {labels[1]}"
    return (
        "AUROC, AUPRC, sensitivity, specificity and F1 are means over the labels, each "
        "against the rest"
    )
