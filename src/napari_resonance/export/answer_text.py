"""An answer as plain text, to paste into a message or a note."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_resonance.export.wording import (
    RESEARCH_USE,
    certainty,
    percent,
    place_mm,
    title_of,
    why_unsure,
)

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction


def answer_text(prediction: Prediction, place: str = "") -> str:
    """Return an answer in lines; of the scan it names neither file nor patient.

    Parameters
    ----------
    prediction
        The answer.
    place
        Where its map is highest, in words.

    """
    reason = why_unsure(prediction)
    sure = certainty(prediction) + (f": {reason}" if reason else "")
    lines = [f"{prediction.label}, {percent(prediction.probability)} ({sure})"]
    named = prediction.probabilities.items()
    lines += ["; ".join(f"{label} {percent(p)}" for label, p in named)]
    if prediction.center_mm is not None:
        lines.append(f"Region around {place_mm(prediction.center_mm)}")
    saliency = prediction.saliency
    if saliency is not None and place:
        lines.append(f"{title_of(saliency)}: {place}")
    lines.append(
        f"Model {prediction.model}, weights {prediction.model_sha256[:16]}, "
        f"recipe {prediction.recipe_sha256[:16]}"
    )
    lines += [f"Note: {warning}" for warning in prediction.warnings]
    return "\n".join([*lines, f"{RESEARCH_USE}."])
