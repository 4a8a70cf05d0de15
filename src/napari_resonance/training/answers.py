"""Answers to n cases, and every figure of them from one set of draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.training import metrics
from napari_resonance.training.estimates import (
    Estimate,
    auroc_estimate,
    mean_estimate,
    share_estimate,
)
from napari_resonance.training.intervals import (
    is_lone,
    with_intervals,
    without_interval,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Figure = Mapping[str, float | None]

# What cases with a label and cases without it decide together.
_OF_BOTH_SIDES = ("auroc", "auprc", "f1", "precision")
_DRAWN = ("auprc", "f1")
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
    # Numbers are told apart more quickly than names are, and that is done often.
    numbers = np.unique(answers.patients, return_inverse=True)[1]
    answers = replace(answers, patients=numbers)
    present = np.array([bool((answers.targets == k).any()) for k in range(len(labels))])

    def drawn(weights: FloatArray) -> dict[str, FloatArray]:
        by_label = _drawn_by_label(answers, len(labels), weights)
        result = _drawn_overall(answers, weights)
        # Of two labels the second is what one looks for: a mean over both would make
        # rare findings that are missed look found.
        if len(labels) == 2:
            result |= {name: values[:, 1] for name, values in by_label.items()}
        else:
            result |= metrics.macro(by_label, present)
        if present.sum() < 2:  # what is missed of the others is not known
            result["f1"] = np.full(len(weights), np.nan)
        for name, values in by_label.items():
            result |= {f"{name} {k}": values[:, k] for k in range(len(labels))}
        return result

    found = with_intervals(
        drawn, answers.patients, raised={"ece": _ece_by_chance(answers)}
    )
    estimates = [_estimates(answers, k) for k in range(len(labels))]
    per_class: dict[str, dict[str, Any]] = {}
    for k, label in enumerate(labels):
        truth = answers.targets == k
        figures: dict[str, Any] = {n: found[f"{n} {k}"] for n in _DRAWN}
        figures |= {n: estimate.to_json() for n, estimate in estimates[k].items()}
        if is_lone(truth, answers.patients):
            for name in _OF_BOTH_SIDES:
                figures[name] = without_interval(figures[name])
        of_label = {"cases": int(truth.sum()), "patients": patients_of(answers, truth)}
        per_class[label] = of_label | dict(sorted(figures.items()))
    overall = _shares(answers) | _means([estimates[k] for k in np.flatnonzero(present)])
    overall |= {name: figure for name, figure in found.items() if " " not in name}
    _alone(overall, answers)
    if len(labels) == 2:
        second = per_class[labels[1]]
        overall |= {name: second[name] for name in ("sensitivity", "specificity")}
    for part in (overall, *per_class.values()):
        _unbounded(part)
    return overall, per_class


def _ece_by_chance(answers: Answers) -> float:
    """Return what a calibrated model reaches whose answers to a patient are alike."""
    # Of a patient with cases of two labels, an error in one tells nothing of the other.
    pairs = np.stack([answers.patients, answers.targets], axis=1)
    alike = np.unique(pairs, axis=0, return_inverse=True)[1]
    return metrics.ece_by_chance(answers.probabilities, alike)


def _drawn_overall(answers: Answers, weights: FloatArray) -> dict[str, FloatArray]:
    cells = answers.probabilities, answers.targets
    result = {
        "ece": metrics.ece(*cells, weights),
        "brier": metrics.share(metrics.brier(*cells), weights),
    }
    if answers.in_set is not None:
        result["set_size"] = metrics.share(answers.in_set.sum(axis=1), weights)
    return result


def _drawn_by_label(
    answers: Answers, n_labels: int, weights: FloatArray
) -> dict[str, FloatArray]:
    matrix = metrics.confusion(answers.called, answers.targets, n_labels, weights)
    areas = [
        metrics.average_precision(
            answers.probabilities[:, k], answers.targets == k, weights
        )
        for k in range(n_labels)
    ]
    return {
        "auprc": np.stack(areas, axis=1),
        "f1": metrics.of_confusion(matrix)["f1"],
    }


def _estimates(answers: Answers, k: int) -> dict[str, Estimate]:
    """Return the figures of a label against the rest that have bounds of their own."""
    truth, called = answers.targets == k, answers.called == k
    patients, scores = answers.patients, answers.probabilities[:, k]
    if k == 0 and answers.probabilities.shape[1] == 2:
        # What differs by rounding alone in one column may be a tie in the other.
        scores = -answers.probabilities[:, 1]
    return {
        "auroc": auroc_estimate(scores, truth, patients),
        "sensitivity": share_estimate(called, patients, truth),
        "specificity": share_estimate(~called, patients, ~truth),
        "precision": share_estimate(truth, patients, called),
    }


def _shares(answers: Answers) -> dict[str, Figure]:
    right, patients = answers.predicted == answers.targets, answers.patients
    found = {
        "accuracy": share_estimate(right, patients),
        "sure": share_estimate(answers.sure, patients),
        "accuracy_when_sure": share_estimate(right, patients, answers.sure),
    }
    if answers.threshold is not None:
        called = answers.called == answers.targets
        found["accuracy_at_operating_point"] = share_estimate(called, patients)
    if answers.odd is not None:
        found["out_of_distribution"] = share_estimate(answers.odd, patients)
    if answers.in_set is not None:
        held = answers.in_set[np.arange(len(answers.targets)), answers.targets]
        found["coverage"] = share_estimate(held, patients)
    return {name: estimate.to_json() for name, estimate in found.items()}


def _means(present: Sequence[Mapping[str, Estimate]]) -> dict[str, Figure]:
    """Return means over the labels that cases have."""
    means: dict[str, Figure] = {
        name: mean_estimate([label[name] for label in present]).to_json()
        for name in ("auroc", "sensitivity", "specificity")
    }
    means["balanced_accuracy"] = means["sensitivity"]
    if len(present) < 2:
        means["balanced_accuracy"] = {"value": None, "low": None, "high": None}
    return means


def _alone(overall: dict[str, Figure], answers: Answers) -> None:
    """Take the interval from means to which a single patient's label contributes."""
    present = [answers.targets == k for k in np.unique(answers.targets)]
    if any(is_lone(truth, answers.patients) for truth in present):
        for name in _MEANS:
            overall[name] = without_interval(overall[name])


def _unbounded(figures: dict[str, Any]) -> None:
    """Take the interval from perfect figures for which no exact bound is known."""
    for name in _DRAWN:
        if figures[name]["value"] == 1:
            figures[name] = without_interval(figures[name])


def patients_of(answers: Answers, keep: NDArray[np.bool_]) -> int:
    """Return how many patients some cases are of."""
    return len(np.unique(answers.patients[keep]))
