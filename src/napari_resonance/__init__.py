"""Classify DICOM and NIfTI scans with MONAI ResNets, and see where they looked.

The names below are the public interface. Each is imported when first used, so that
``import napari_resonance`` stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import list_models
    from napari_resonance.classifier.predict import Classifier, load_classifier
    from napari_resonance.classifier.prediction import (
        OutOfDistribution,
        Prediction,
        Saliency,
    )
    from napari_resonance.classifier.pretrained import load_pretrained
    from napari_resonance.errors import ResonanceError
    from napari_resonance.reading import read_scan, read_scans
    from napari_resonance.saliency.explain import (
        ExplainOptions,
        Explanation,
        explain,
    )
    from napari_resonance.samples import sample_path
    from napari_resonance.scan import Scan
    from napari_resonance.scoring.options import ScoreOptions
    from napari_resonance.scoring.run import score
    from napari_resonance.training.evaluation import Evaluation
    from napari_resonance.training.finetune import finetune
    from napari_resonance.training.trial import evaluate

_HOME = {
    "Classifier": "classifier.predict",
    "Evaluation": "training.evaluation",
    "ExplainOptions": "saliency.explain",
    "Explanation": "saliency.explain",
    "OutOfDistribution": "classifier.prediction",
    "Prediction": "classifier.prediction",
    "ResonanceError": "errors",
    "Saliency": "classifier.prediction",
    "Scan": "scan",
    "ScoreOptions": "scoring.options",
    "evaluate": "training.trial",
    "explain": "saliency.explain",
    "finetune": "training.finetune",
    "list_models": "classifier.bundle",
    "load_classifier": "classifier.predict",
    "load_pretrained": "classifier.pretrained",
    "read_scan": "reading",
    "read_scans": "reading",
    "sample_path": "samples",
    "score": "scoring.run",
}

__all__ = [
    "Classifier",
    "Evaluation",
    "ExplainOptions",
    "Explanation",
    "OutOfDistribution",
    "Prediction",
    "ResonanceError",
    "Saliency",
    "Scan",
    "ScoreOptions",
    "evaluate",
    "explain",
    "finetune",
    "list_models",
    "load_classifier",
    "load_pretrained",
    "read_scan",
    "read_scans",
    "sample_path",
    "score",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
