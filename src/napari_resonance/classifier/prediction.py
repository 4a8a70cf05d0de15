"""What a classifier says of one scan, and where it looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.geometry import FloatArray, to_world


@dataclass(frozen=True, eq=False)
class OutOfDistribution:
    """How unlike its training data a scan looks to the classifier.

    Parameters
    ----------
    score
        Distance to the training data; larger is stranger. Above 1 is flagged.
    flag
        Whether the scan is too unlike the training data for a sure answer.
    why
        The reason in plain words; empty where nothing is odd.

    """

    score: float
    flag: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return the ``out_of_distribution`` entry of a result."""
        return {"score": self.score, "flag": self.flag, "why": self.why}


@dataclass(frozen=True, eq=False)
class Saliency:
    """Where the network looked: values on a grid of their own.

    Parameters
    ----------
    values
        float32 ``(X, Y, Z)`` in the method's own units, neither rescaled nor inverted:
        above 0 is evidence *for* `target`, below 0 evidence against it. 2D networks on
        one image give ``Z = 1``.
    affine
        4×4, index of `values` to RAS+ mm.
    method
        For example ``"gradcam"``.
    target
        The label that is explained.
    extent
        The region the network saw: ``(shape, affine)`` of its input grid. The map says
        nothing outside of it.
    oriented
        False where the scan's file gives no orientation: the affine then says nothing
        of the patient's sides.
    sign
        Which evidence is drawn and exported: "for" the target, "against" it, or
        "both".
    faithfulness
        How well the map says what the network looked at, measured on the scan itself:
        the ``faithfulness`` entry of a document (see ``saliency.faithfulness``). None
        where it was not measured.
    layer
        The layer whose feature map was chosen; empty for the method's own.

    """

    values: NDArray[np.float32]
    affine: FloatArray
    method: str
    target: str
    extent: tuple[tuple[int, int, int], FloatArray]
    oriented: bool = True
    sign: str = "for"
    faithfulness: Mapping[str, Any] | None = None
    layer: str = ""

    @property
    def shown(self) -> NDArray[np.float32]:
        """The evidence of the chosen sign, at least 0; with "both" all, signed."""
        if self.sign == "both":
            return self.values
        return np.maximum(self.values if self.sign == "for" else -self.values, 0)

    @property
    def strength(self) -> NDArray[np.float32]:
        """How strong the shown evidence is, whatever its direction: at least 0."""
        return np.abs(self.shown)

    @property
    def is_empty(self) -> bool:
        """Whether there is no evidence of the chosen sign."""
        return not self.shown.any()

    @property
    def claim(self) -> str:
        """What is shown: "for T1w", "against T1w" or "for and against T1w"."""
        words = "for and against" if self.sign == "both" else self.sign
        return f"{words} {self.target}"

    @property
    def peak_mm(self) -> tuple[float, float, float]:
        """RAS+ mm of the strongest evidence that is shown."""
        index = np.unravel_index(int(np.argmax(self.strength)), self.values.shape)
        x, y, z = to_world(self.affine, [int(n) for n in index])
        return float(x), float(y), float(z)


def called_at(
    probabilities: Mapping[str, float], threshold: float | None
) -> str | None:
    """Return the label at an operating point, None without one.

    Parameters
    ----------
    probabilities
        Of two labels, in their order.
    threshold
        Probability of the second from which on it is called so.

    """
    if threshold is None:
        return None
    first, second = probabilities
    return second if probabilities[second] >= threshold else first


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer of one classifier to one scan.

    Parameters
    ----------
    label, probability
        The most probable label and its calibrated probability.
    probabilities
        Calibrated probability by label, in the classifier's label order.
    logits
        The network's raw outputs, in label order.
    sure
        Not out of distribution, and the model card's rule holds.
    prediction_set
        Labels of the conformal prediction set; None without a conformal rule.
    out_of_distribution
        None where the classifier carries no statistics of its training data.
    warnings
        What was odd about scan or preparation, in sentences.
    seconds
        Wall time from scan to answer.
    source
        File or folder of the scan, as text.
    model, model_sha256, recipe_sha256
        Name of the classifier, sha256 of its weights file and of its recipe.
    per_slice
        ``(Z, labels)`` calibrated probabilities where a 2D network scored a volume.
    saliency
        Where the network looked, if asked for.
    files
        What was written about it: ``"saliency"``, ``"picture"``.
    center_mm, box_mm
        Middle of the region that was classified, RAS+ mm, and its size if that was
        chosen; None for a whole scan.
    channels
        Files or folders of the further scans that were its input channels.
    threshold
        Of two labels: the probability of the second from which on the scan is called
        so at the classifier's operating point; None without one.

    """

    label: str
    probability: float
    probabilities: dict[str, float]
    logits: tuple[float, ...]
    sure: bool
    prediction_set: tuple[str, ...] | None
    out_of_distribution: OutOfDistribution | None
    warnings: tuple[str, ...]
    seconds: float
    source: str
    model: str
    model_sha256: str
    recipe_sha256: str
    per_slice: NDArray[np.float32] | None = None
    saliency: Saliency | None = None
    files: dict[str, Path] = field(default_factory=dict)
    center_mm: tuple[float, float, float] | None = None
    box_mm: tuple[float, float, float] | None = None
    channels: tuple[str, ...] = ()
    threshold: float | None = None

    @property
    def called(self) -> str | None:
        """The label at the classifier's operating point, None without one.

        Sensitivity and specificity of its card are those of this label, which need not
        be the likelier one.
        """
        return called_at(self.probabilities, self.threshold)

    def to_json(self) -> dict[str, Any]:
        """Return one entry of ``results`` in the command line's JSON documents.

        ``center_mm``, ``box_mm`` and ``channels`` are there where they were given.
        """
        odd = self.out_of_distribution
        given = {n: getattr(self, n) for n in ("center_mm", "box_mm", "channels")}
        return {
            "source": self.source,
            "label": self.label,
            "probability": self.probability,
            "probabilities": dict(self.probabilities),
            "called": self.called,
            "threshold": self.threshold,
            "sure": self.sure,
            "prediction_set": (
                None if self.prediction_set is None else list(self.prediction_set)
            ),
            "out_of_distribution": None if odd is None else odd.to_json(),
            "saliency": _text(self.files.get("saliency")),
            "picture": _text(self.files.get("picture")),
            "warnings": list(self.warnings),
            "model": self.model,
            "model_sha256": self.model_sha256,
            "recipe_sha256": self.recipe_sha256,
            "seconds": self.seconds,
            **{name: list(value) for name, value in given.items() if value},
        }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
