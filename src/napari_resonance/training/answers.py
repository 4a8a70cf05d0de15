"""Answers to n cases, and every figure of them from one set of draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.training import metrics
from napari_resonance.training.intervals import (
    is_lone,
    widened_auroc,
    widened_share,
    with_intervals,
    without_interval,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Figure = Mapping[str, float | None]

# What cases with a label and cases without it decide together.
_OF_BOTH_SIDES = ("auroc", "auprc", "f1", "precision")
_OF_SECOND = ("auprc", "f1", "sensitivity", "specificity")
_MEANS = ("auroc", "auprc", "f1", "balanced_accuracy", "sensitivity", "specificity")


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities and truths of n cases, and which answers are sure.

    Parameters
    ----------
    probabilities
        ``(n, K)``, calibrated.
    targets, patients
        ``(n,)``.
    sure, odd
        ``(n,)``: the rule holds and nothing is odd; unlike the training data.
    in_set
        ``(n, K)`` prediction sets, None without a conformal rule.
    threshold
        ``(n,)``: probability of the second of two labels from which on a case is called
        so; None: the likelier label is the answer.

    """

    probabilities: FloatArray
    targets: IntArray
    patients: NDArray[Any]
    sure: NDArray[np.bool_]
    odd: NDArray[np.bool_] | None
    in_set: NDArray[np.bool_] | None
    threshold: FloatArray | None = None

    @property
    def predicted(self) -> IntArray:
        """The likeliest labels, ``(n,)``."""
        likeliest: IntArray = self.probabilities.argmax(axis=1).astype(np.int64)
        return likeliest

    @property
    def called(self) -> IntArray:
        """The labels at the operating point, ``(n,)``."""
        if self.threshold is None:
            return self.predicted
        return (self.probabilities[:, 1] >= self.threshold).astype(np.int64)

    def chosen(self, keep: NDArray[np.bool_] | IntArray) -> Answers:
        """Return the answers where `keep` is true, or in the order it names."""
        return Answers(
            self.probabilities[keep],
            self.targets[keep],
            self.patients[keep],
            self.sure[keep],
            None if self.odd is None else self.odd[keep],
            None if self.in_set is None else self.in_set[keep],
            None if self.threshold is None else self.threshold[keep],
        )


def answers_of(
    logits: FloatArray,
    targets: IntArray,
    patients: NDArray[Any],
    calibration: Calibration,
    *,
    odd: NDArray[np.bool_] | None = None,
    threshold: float | None = None,
) -> Answers:
    """Return what a calibration makes of raw answers.

    Parameters
    ----------
    logits
        ``(n, K)``.
    targets, patients
        ``(n,)``.
    calibration
        Temperature and rule.
    odd
        ``(n,)``: which cases are unlike the training data; they are not sure.
    threshold
        Of the second of two labels.

    """
    probabilities = calibration.probabilities(logits)
    sure = np.array([calibration.is_sure(p) for p in probabilities], bool)
    in_set = None
    if calibration.rule["rule"] == "conformal":
        names = tuple(map(str, range(logits.shape[1])))
        sets = [calibration.prediction_set(p, names) or () for p in probabilities]
        in_set = np.array([[n in held for n in names] for held in sets])
    called = None
    if threshold is not None and logits.shape[1] == 2:
        called = np.full(len(targets), threshold)
    if odd is not None:
        sure &= ~odd
    return Answers(probabilities, targets, patients, sure, odd, in_set, called)


def judged_figures(
    answers: Answers, labels: tuple[str, ...]
) -> tuple[dict[str, Figure], dict[str, dict[str, Any]]]:
    """Return all figures with intervals: of all labels together, and by label."""
    present = np.array([bool((answers.targets == k).any()) for k in range(len(labels))])

    def drawn(weights: FloatArray) -> dict[str, FloatArray]:
        by_label = _by_label(answers, len(labels), weights)
        result = _overall(answers, weights)
        averaged = metrics.macro(by_label, present)
        result["auroc"] = averaged["auroc"]
        result["balanced_accuracy"] = averaged["sensitivity"]
        # Of two labels the second is what one looks for: a mean over both would make
        # rare findings that are missed look found.
        shown = (lambda v: v[:, 1]) if len(labels) == 2 else None
        for name in _OF_SECOND:
            result[name] = shown(by_label[name]) if shown else averaged[name]
        if present.sum() < 2:  # what is missed of the others is not known
            nothing = np.full(len(weights), np.nan)
            result |= dict.fromkeys(("f1", "balanced_accuracy"), nothing)
        for name, values in by_label.items():
            result |= {f"{name} {k}": values[:, k] for k in range(len(labels))}
        return result

    found = with_intervals(drawn, answers.patients, raised=("ece",))
    overall: dict[str, Figure] = {n: f for n, f in found.items() if " " not in n}
    names = sorted({n.split()[0] for n in found if " " in n})
    per_class: dict[str, dict[str, Any]] = {}
    for k, label in enumerate(labels):
        figures: dict[str, Any] = {n: found[f"{n} {k}"] for n in names}
        counts = patients_of(answers, answers.targets == k)
        others = patients_of(answers, answers.targets != k)
        if is_lone(answers.targets == k, answers.patients):
            for name in _OF_BOTH_SIDES:
                figures[name] = without_interval(figures[name])
        figures["sensitivity"] = widened_share(figures["sensitivity"], counts)
        figures["specificity"] = widened_share(figures["specificity"], others)
        figures["auroc"] = widened_auroc(figures["auroc"], counts, others)
        cases = int((answers.targets == k).sum())
        per_class[label] = {"cases": cases, "patients": counts, **figures}
    _widen(overall, per_class, answers)
    return overall, per_class


def _overall(answers: Answers, weights: FloatArray) -> dict[str, FloatArray]:
    right, sure = answers.predicted == answers.targets, answers.sure
    cells = answers.probabilities, answers.targets
    result = {
        "accuracy": metrics.share(right, weights),
        "ece": metrics.ece(*cells, weights),
        "brier": metrics.share(metrics.brier(*cells), weights),
        "sure": metrics.share(sure, weights),
        "accuracy_when_sure": metrics.share(right, weights, sure),
    }
    if answers.threshold is not None:
        called = answers.called == answers.targets
        result["accuracy_at_operating_point"] = metrics.share(called, weights)
    if answers.odd is not None:
        result["out_of_distribution"] = metrics.share(answers.odd, weights)
    if answers.in_set is not None:
        held = answers.in_set[np.arange(len(answers.targets)), answers.targets]
        result["coverage"] = metrics.share(held, weights)
        result["set_size"] = metrics.share(answers.in_set.sum(axis=1), weights)
    return result


def _by_label(
    answers: Answers, n_labels: int, weights: FloatArray
) -> dict[str, FloatArray]:
    matrix = metrics.confusion(answers.called, answers.targets, n_labels, weights)
    areas: dict[str, list[FloatArray]] = {"auroc": [], "auprc": []}
    for k in range(n_labels):
        scores, truth = answers.probabilities[:, k], answers.targets == k
        areas["auroc"].append(metrics.auroc(scores, truth, weights))
        areas["auprc"].append(metrics.average_precision(scores, truth, weights))
    stacked = {name: np.stack(parts, axis=1) for name, parts in areas.items()}
    return stacked | metrics.of_confusion(matrix)


def _widen(
    overall: dict[str, Figure], per_class: Mapping[str, Any], answers: Answers
) -> None:
    """Give shares of all or none, and perfect areas, bounds that are not themselves."""
    everyone = np.ones(len(answers.targets), bool)
    among = {"accuracy_when_sure": answers.sure}
    shares = ("accuracy", "accuracy_at_operating_point", "sure", "accuracy_when_sure")
    for name in (*shares, "coverage", "out_of_distribution"):
        if name in overall:
            count = patients_of(answers, among.get(name, everyone))
            overall[name] = widened_share(overall[name], count)
    known = [figures for figures in per_class.values() if figures["cases"]]
    _alone(overall, answers)
    pairs = {n: n for n in ("auroc", "sensitivity", "specificity")}
    for name, part in (pairs | {"balanced_accuracy": "sensitivity"}).items():
        if overall[name]["value"] == 1:
            lows = [f[part]["low"] for f in known]
            if lows and None not in lows:
                bounds = {"low": float(np.mean(lows)), "high": 1.0}
                overall[name] = {**overall[name], **bounds}
    for part_of in (overall, *per_class.values()):
        _unbounded(part_of)
    if len(per_class) == 2:
        second = list(per_class.values())[1]
        for name in ("sensitivity", "specificity"):
            overall[name] = second[name]


def _alone(overall: dict[str, Figure], answers: Answers) -> None:
    """Take the interval from means to which a single patient's label contributes."""
    present = [answers.targets == k for k in np.unique(answers.targets)]
    if any(is_lone(truth, answers.patients) for truth in present):
        for name in _MEANS:
            overall[name] = without_interval(overall[name])


def _unbounded(figures: dict[str, Any]) -> None:
    """Take the interval from perfect figures for which no exact bound is known."""
    for name in ("auprc", "f1", "precision"):
        if name in figures and figures[name]["value"] == 1:
            figures[name] = without_interval(figures[name])


def patients_of(answers: Answers, keep: NDArray[np.bool_]) -> int:
    """Return how many patients some cases are of."""
    return len(np.unique(answers.patients[keep]))
