"""From what a network answered to what that means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_resonance.classifier.bundle import Bundle
from napari_resonance.classifier.bundle_config import channel_names
from napari_resonance.classifier.prediction import Prediction
from napari_resonance.classifier.stages import Answer, PreparedCase
from napari_resonance.scan import source_of


def called_otherwise(prediction: Prediction) -> str:
    """Return a sentence where the operating point has another label; else nothing."""
    called, least = prediction.called, prediction.threshold
    if called is None or least is None or called == prediction.label:
        return ""
    second = list(prediction.probabilities)[1]
    return (
        f"at the operating point that the model's sensitivity and specificity are of, "
        f"{second} from {100 * least:.1f} % on, this scan is called {called}"
    )


def judged(bundle: Bundle, case: PreparedCase, answer: Answer) -> Prediction:
    """Return a prediction with calibrated probabilities, without a map.

    Parameters
    ----------
    bundle
        The classifier: its calibration, and what its training scans were like.
    case
        What the network was asked.
    answer
        What it answered: of a 3D network, the one row of this case.

    """
    calibration, labels = bundle.calibration, bundle.card.labels
    logits = answer.logits.mean(axis=0, dtype=np.float64)
    probabilities = calibration.probabilities(logits)
    best = int(probabilities.argmax())
    odd = None
    if bundle.statistics is not None:
        seen = case.network_input
        names = channel_names(seen.array.shape[1], bundle.recipe)
        odd = bundle.statistics.assess(answer.pooled, seen, case.scan, names)
    is_odd = odd is not None and odd.flag
    slices = None
    if len(answer.logits) > 1:
        slices = calibration.probabilities(answer.logits).astype(np.float32)
    warnings = tuple(dict.fromkeys((*case.warnings, *answer.notes)))
    prediction = Prediction(
        label=labels[best],
        probability=float(probabilities[best]),
        probabilities=dict(zip(labels, probabilities.tolist(), strict=True)),
        logits=tuple(logits.tolist()),
        sure=calibration.is_sure(probabilities) and not is_odd,
        prediction_set=calibration.prediction_set(probabilities, labels),
        out_of_distribution=odd,
        warnings=warnings,
        seconds=0.0,
        source=source_of(case.scan),
        model=bundle.card.name,
        model_sha256=bundle.weights_sha256,
        recipe_sha256=case.recipe_sha256,
        per_slice=slices,
        center_mm=case.center_mm,
        box_mm=case.box_mm,
        channels=case.channels,
        threshold=calibration.operating_point,
    )
    told = called_otherwise(prediction)
    return replace(prediction, warnings=(*warnings, told)) if told else prediction
