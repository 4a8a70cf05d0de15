"""Results made for tests: a prediction, a saliency map whose peak is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_resonance.classifier.prediction import (
    OutOfDistribution,
    Prediction,
    Saliency,
)
from napari_resonance.geometry import to_index
from napari_resonance.scan import Scan


def saliency_at(scan: Scan, mm: Any, *, stride: int = 4) -> Saliency:
    """Return a coarse map on the scan's own axes, largest in the cell nearest `mm`."""
    steps = np.minimum(stride, scan.grid_shape)
    affine = scan.affine @ np.diag([*steps, 1.0])
    shape = tuple(
        int(np.ceil(n / s)) for n, s in zip(scan.grid_shape, steps, strict=True)
    )
    values = np.linspace(0, 0.3, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    cell = np.clip(np.round(to_index(affine, mm)).astype(int), 0, np.array(shape) - 1)
    values[tuple(cell)] = 1.75
    return Saliency(values, affine, "gradcam", "T1w", (scan.grid_shape, scan.affine))


def prediction(**changes: Any) -> Prediction:
    """Return a sure T1w, with `changes` to its fields."""
    fields: dict[str, Any] = {
        "label": "T1w",
        "probability": 0.973,
        "probabilities": {"T1w": 0.973, "T2w": 0.02, "FLAIR": 0.007},
        "logits": (4.0, 0.1, -1.0),
        "sure": True,
        "prediction_set": None,
        "out_of_distribution": None,
        "warnings": (),
        "seconds": 0.25,
        "source": "scans/head.nii.gz",
        "model": "mr-sequence",
        "model_sha256": "ab12" * 16,
        "recipe_sha256": "cd34" * 16,
    }
    return Prediction(**fields | changes)


def strange(why: str = "not a head") -> OutOfDistribution:
    """Return a flagged out-of-distribution score."""
    return OutOfDistribution(score=1.7, flag=True, why=why)
