"""Answers and maps made by hand, for tests of what shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_resonance.classifier.prediction import (
    OutOfDistribution,
    Prediction,
    Saliency,
)
from napari_resonance.geometry import FloatArray, spacing_of, to_world, unshear
from napari_resonance.scan import Scan


def map_with_peak_at(scan: Scan, mm: FloatArray, *, target: str = "a") -> Saliency:
    """Return a coarse map parallel to a scan with one cell lit, centred at `mm`.

    Its axes are in another order and flipped against the scan's, and its cells are
    longer by a different factor along each of them, as a recipe's would be.
    """
    straight = unshear(scan).affine
    axes = straight[:3, :3] / spacing_of(straight)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([-axes[:, 2], axes[:, 0], -axes[:, 1]]) * (8, 5, 6)
    lit = (2, 3, 1)
    affine[:3, 3] = mm - to_world(affine, lit)
    values = np.zeros((5, 8, 4), np.float32)
    values[lit] = 2.5
    return Saliency(values, affine, "gradcam", target, (values.shape, affine))


def prediction(saliency: Saliency | None = None, **fields: Any) -> Prediction:
    """Return a sure answer; `fields` replace its own."""
    values: dict[str, Any] = {
        "label": "a",
        "probability": 0.91,
        "probabilities": {"a": 0.91, "b": 0.06, "c": 0.03},
        "logits": (2.0, -1.0, -2.0),
        "sure": True,
        "prediction_set": None,
        "out_of_distribution": OutOfDistribution(0.2, False, ""),
        "warnings": (),
        "seconds": 0.1,
        "source": "",
        "model": "tiny",
        "model_sha256": "0123456789",
        "recipe_sha256": "abc",
        "saliency": saliency,
    }
    return Prediction(**values | fields)
