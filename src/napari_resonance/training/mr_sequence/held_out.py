"""Cross-validation by patient and by site, and figures with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_resonance.classifier.calibration import Calibration, fit_temperature
from napari_resonance.classifier.distribution import TrainingStatistics, describe
from napari_resonance.classifier.network import ResNet
from napari_resonance.preprocessing.intensity import foreground_ranks
from napari_resonance.training.intervals import interval
from napari_resonance.training.judged import choose_threshold
from napari_resonance.training.mr_sequence.heads import (
    FloatVolumes,
    HeadSet,
    without_margin,
)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Answers of networks about heads of patients they had not seen.

    Parameters
    ----------
    logits
        ``(n, K)``.
    features
        ``(n, F)`` pooled features.
    descriptors
        ``(n, D)`` of the network inputs.
    distances
        ``(n,)`` to what the network was trained on.
    targets, patients, sites, variants
        ``(n,)`` truth, whose head, from where, and how it was degraded.

    """

    logits: FloatArray
    features: FloatArray
    descriptors: FloatArray
    distances: FloatArray
    targets: NDArray[np.int64]
    patients: NDArray[np.str_]
    sites: NDArray[np.str_]
    variants: NDArray[np.str_]

    @classmethod
    def joined(cls, parts: Sequence[HeldOut]) -> HeldOut:
        """Return the answers of several folds as one."""
        names = tuple(cls.__dataclass_fields__)
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))

    def chosen(self, keep: NDArray[np.bool_]) -> HeldOut:
        """Return the answers where `keep` is true."""
        names = tuple(type(self).__dataclass_fields__)
        return type(self)(*(getattr(self, n)[keep] for n in names))


def variants_of(heads: HeadSet) -> dict[str, FloatVolumes]:
    """Return the boxes as they are, and degraded as other archives degrade them.

    Without skull, with slices three times as thick, cut off above the ears, and as an
    8-bit copy at half the resolution.
    """
    from scipy import ndimage

    boxes = heads.centers
    third = ndimage.uniform_filter1d(boxes, 3, axis=3)[..., 1::3]
    thick = np.repeat(third, 3, axis=3)[..., : boxes.shape[3]]
    missing = boxes.shape[3] - thick.shape[3]
    thick = np.pad(thick, [(0, 0)] * 3 + [(0, missing)], mode="edge")
    cut = boxes.copy()
    cut[..., : boxes.shape[3] // 3] = 0
    smooth = ndimage.gaussian_filter(boxes, (0, 0.6, 0.6, 0.6))
    eight_bit = np.rint(np.clip(smooth, 0, 1.2) * 200) / 200
    return {
        "as acquired": boxes,
        "without skull": boxes * (without_margin(heads.depth) > 3),
        "thick slices": thick.astype(np.float32),
        "cut off": cut,
        "8 bit": eight_bit.astype(np.float32),
    }


def network_inputs(boxes: FloatVolumes, threshold: float = 0.08) -> FloatVolumes:
    """Return ``(n, 1, X, Y, Z)`` foreground ranks of boxes."""
    return np.stack([foreground_ranks(b, threshold) for b in boxes])[:, None]


def answer(
    network: ResNet, inputs: FloatVolumes, batch: int = 8
) -> tuple[FloatArray, FloatArray]:
    """Return logits ``(n, K)`` and pooled features ``(n, F)`` of network inputs."""
    logits, features = [], []
    network.eval()
    with torch.no_grad():
        for start in range(0, len(inputs), batch):
            chunk = torch.from_numpy(inputs[start : start + batch])
            out, cells = network.logits_and_features(chunk)
            logits.append(out.numpy())
            features.append(cells.flatten(2).mean(dim=2).numpy())
    return (
        np.concatenate(logits).astype(np.float64),
        np.concatenate(features).astype(np.float64),
    )


def held_out(
    network: ResNet, heads: HeadSet, statistics: TrainingStatistics
) -> HeldOut:
    """Return the network's answers to heads and to their degraded variants.

    `statistics` are those of the heads it was trained on.
    """
    parts = []
    for name, boxes in variants_of(heads).items():
        inputs = network_inputs(boxes)
        logits, features = answer(network, inputs)
        descriptors = [describe(i[None]) for i in inputs]
        distances = [statistics.distance(f) for f in features]
        parts.append(
            HeldOut(
                logits,
                features,
                np.stack(descriptors),
                np.array(distances),
                heads.targets,
                heads.patients,
                heads.sites,
                np.full(len(boxes), name),
            )
        )
    return HeldOut.joined(parts)


def folds_of(heads: HeadSet) -> dict[str, list[str]]:
    """Return the patients to leave out, by fold: each patient, and each larger site."""
    folds = {f"patient {p}": [str(p)] for p in sorted(set(heads.patients))}
    for site in sorted(set(heads.sites)):
        patients = sorted({str(p) for p in heads.patients[heads.sites == site]})
        if len(patients) > 1:
            folds[f"site {site}"] = patients
    return folds


def calibrate(
    answers: HeldOut,
    harder: HeldOut | None = None,
    *,
    accuracy: float = 0.98,
    coverage: float = 0.9,
) -> Calibration:
    """Return the temperature and threshold that held-out answers support.

    The temperature is fitted on `answers` and on `harder` ones together (whole sites
    left out), for scans from elsewhere are less sure than those of a known site.
    The threshold is the strictest that leaves the share `coverage` of the scans as
    acquired sure, and never less strict than what makes sure answers right in the
    share `accuracy` of all held-out scans.
    """
    fitted = HeldOut.joined([answers, harder]) if harder else answers
    temperature = fit_temperature(fitted.logits, fitted.targets)
    probabilities = Calibration(temperature).probabilities(answers.logits)
    threshold = choose_threshold(probabilities, answers.targets, accuracy)
    acquired = probabilities[answers.variants == "as acquired"].max(axis=1)
    covering = np.quantile(acquired, 1 - coverage, method="lower")
    rule = {"rule": "threshold", "probability": max(threshold, float(covering))}
    return Calibration(temperature, rule)


def figures(
    answers: HeldOut, calibration: Calibration, limit: float
) -> dict[str, Mapping[str, float]]:
    """Return accuracy, balanced accuracy, share of sure answers and their accuracy.

    An answer is sure where the rule holds and the distance is within the limit.
    """
    probabilities = calibration.probabilities(answers.logits)
    right = (probabilities.argmax(axis=1) == answers.targets).astype(float)
    sure = np.array([calibration.is_sure(p) for p in probabilities])
    sure &= answers.distances <= limit
    rows = np.column_stack([right, sure, answers.targets])

    def balanced(values: NDArray[Any]) -> float:
        present = np.unique(values[:, 2])
        return float(np.mean([values[values[:, 2] == k, 0].mean() for k in present]))

    def right_when_sure(values: NDArray[Any]) -> float:
        chosen = values[values[:, 1] > 0, 0]
        return float(chosen.mean()) if len(chosen) else float("nan")

    patients = answers.patients
    result: dict[str, Mapping[str, float]] = {
        "accuracy": interval(right, patients),
        "balanced_accuracy": interval(rows, patients, balanced),
        "sure": interval(sure.astype(float), patients),
    }
    if sure.any():
        result["accuracy_when_sure"] = interval(rows, patients, right_when_sure)
    return result
