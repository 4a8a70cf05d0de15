"""How often 95 % intervals and 90 % prediction sets hold what they should.

Draws sets of patients from a world whose true figures are known, judges each by the
functions that `resonance evaluate` uses, and counts. Scores are normal, patients of two
labels 1.6 standard deviations apart, 40 % of them with the second; several scans of a
patient are correlated by 0.7. Prints, by figure, the share of sets whose interval held
the truth, and of prediction sets that held the label.

    python benchmarks/intervals.py
    python benchmarks/intervals.py --sets 1000
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.training.answers import answers_of, judged_figures
from napari_resonance.training.judged import calibrated

APART, SHARE, ALIKE, OFF = 1.6, 0.4, 0.7, 0.3
SIZES = ((10, 1), (20, 1), (20, 4), (40, 1), (100, 1))
"""Patients, and scans of each."""

Array = NDArray[np.float64]


def drawn(
    random: np.random.Generator, patients: int, scans: int = 1
) -> tuple[Array, NDArray[np.int64], NDArray[np.str_]]:
    """Return logits ``(n, 2)``, labels and patients; a little biased to the second."""
    ill = (np.arange(patients) < max(2, round(SHARE * patients))).astype(np.int64)
    targets, whose = np.repeat(ill, scans), np.repeat(np.arange(patients), scans)
    own = np.repeat(random.normal(size=patients), scans) * ALIKE**0.5
    scores = own + random.normal(size=len(targets)) * (1 - ALIKE) ** 0.5
    scores += APART * targets - APART / 2 + OFF
    logits = np.stack([np.zeros(len(targets)), APART * scores], axis=1)
    return logits, targets, whose.astype(str)


def truth(random: np.random.Generator) -> dict[str, float]:
    """Return the figures of a very large set."""
    logits, targets, _ = drawn(random, 400_000)
    p = Calibration().probabilities(logits)
    called = p.argmax(axis=1)
    right = called == targets
    ill = targets == 1
    found = {
        "auroc": roc_auc_score(targets, p[:, 1]),
        "auprc": average_precision_score(targets, p[:, 1]),
        "accuracy": right.mean(),
        "sensitivity": right[ill].mean(),
        "specificity": right[~ill].mean(),
        "balanced_accuracy": (right[ill].mean() + right[~ill].mean()) / 2,
        "brier": (2 * (p[:, 1] - targets) ** 2).mean(),
    }
    return {name: float(value) for name, value in found.items()}


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200, help="sets of each size")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    expected = truth(random)
    print("sets whose 95 % interval held the truth (of those that had an interval)")
    print("patients", "scans", *expected)
    for patients, scans in SIZES:
        held: dict[str, list[bool]] = {name: [] for name in expected}
        for _ in range(options.sets):
            answers = answers_of(*drawn(random, patients, scans), Calibration())
            figures, _ = judged_figures(answers, ("healthy", "ill"))
            for name, value in expected.items():
                low, high = figures[name]["low"], figures[name]["high"]
                if low is not None and high is not None:
                    held[name].append(low <= value <= high)
        shares = [f"{np.mean(h):.2f}" if h else "-" for h in held.values()]
        print(f"{patients:8d} {scans:5d}", *shares, flush=True)
    print("prediction sets made for 0.90, of new patients: mean, and 5 of 100 below")
    for patients, scans in ((30, 1), (60, 1), (200, 1), (30, 4)):
        shares = []
        for _ in range(options.sets):
            calibration, _ = calibrated(*drawn(random, patients, scans))
            later = answers_of(*drawn(random, 1000), calibration)
            if later.in_set is not None:
                rows = np.arange(len(later.targets))
                shares.append(later.in_set[rows, later.targets].mean())
        low = np.quantile(shares, 0.05)
        print(f"{patients:8d} {scans:5d} {np.mean(shares):.3f} {low:.3f}", flush=True)


if __name__ == "__main__":
    main()
