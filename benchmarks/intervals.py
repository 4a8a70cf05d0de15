"""How often 95 % intervals and 90 % prediction sets hold what they should.

Draws sets of patients from a world whose true figures are known, judges each by the
functions that `resonance evaluate` uses, and counts. Scores are normal, patients of two
labels 1.6 standard deviations apart, 40 % of them with the second; several scans of a
patient are correlated by 0.7. Prints the share of sets whose interval held the truth:

- of each figure;
- of AUROCs of 0.7 to 0.97, with half or a quarter of the patients positive, with as
  many scans of each patient or one to seven, and of means of 3 and 9 labels;
- of the calibration error, of answers that are right as often as they claim, and whose
  logits were made steeper or flatter;

and of prediction sets that held the label.

    python benchmarks/intervals.py
    python benchmarks/intervals.py --sets 1000 --only auroc
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.training.answers import answers_of, judged_figures
from napari_resonance.training.estimates import (
    Estimate,
    auroc_estimate,
    mean_estimate,
)
from napari_resonance.training.judged import calibrated
from napari_resonance.training.metrics import ece

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


def of_figures(random: np.random.Generator, sets: int) -> None:
    """Count, by figure, sets whose interval held the truth."""
    expected = truth(random)
    print("sets whose 95 % interval held the truth (of those that had an interval)")
    print("patients", "scans", *expected)
    for patients, scans in SIZES:
        held: dict[str, list[bool]] = {name: [] for name in expected}
        for _ in range(sets):
            answers = answers_of(*drawn(random, patients, scans), Calibration())
            figures, _ = judged_figures(answers, ("healthy", "ill"))
            for name, value in expected.items():
                low, high = figures[name]["low"], figures[name]["high"]
                if low is not None and high is not None:
                    held[name].append(low <= value <= high)
        shares = [f"{np.mean(h):.2f}" if h else "-" for h in held.values()]
        print(f"{patients:8d} {scans:5d}", *shares, flush=True)


def of_aurocs(random: np.random.Generator, sets: int) -> None:
    """Count sets whose interval held the AUROC, and how wide these were."""
    aurocs = (0.7, 0.85, 0.92, 0.97)
    print("AUROC: sets whose interval held it (mean width)")
    print("patients", "scans", "positive", *aurocs)
    for patients in (10, 20, 40, 100):
        for scans, share in itertools.product(("1", "4", "1-7"), (0.5, 0.25)):
            told = []
            for auroc in aurocs:
                held, wide = [], []
                for _ in range(sets):
                    found = auroc_estimate(
                        *_scored(random, patients, scans, share, auroc)
                    )
                    if found.low is not None and found.high is not None:
                        held.append(found.low <= auroc <= found.high)
                        wide.append(found.high - found.low)
                told.append(f"{np.mean(held):.3f} ({np.mean(wide):.2f})")
            print(f"{patients:8d} {scans:>5s} {share:8.2f}", *told, flush=True)
    for count, patients, scans in itertools.product((3, 9), (20, 40, 100), (1, 4)):
        if patients < 2 * count + 2:
            continue
        expected = _mean(random, 40_000, 1, count).value
        parts = [_mean(random, patients, scans, count) for _ in range(sets)]
        held = [p.low <= expected <= p.high for p in parts if p.low is not None]
        print(
            f"{patients:8d} {scans:5d} mean of {count} labels: {np.mean(held):.3f}",
            flush=True,
        )


def _scored(
    random: np.random.Generator, patients: int, scans: str, share: float, auroc: float
) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    times = np.full(patients, int(scans[0]))
    if "-" in scans:
        times = random.integers(1, 8, patients)
    whose = np.repeat(np.arange(patients), times)
    ill = whose < round(share * patients)
    own = random.normal(size=patients)[whose] * ALIKE**0.5
    scores = own + random.normal(size=len(whose)) * (1 - ALIKE) ** 0.5
    return scores + ill * norm.ppf(auroc) * 2**0.5, ill, whose


def _mean(
    random: np.random.Generator, patients: int, scans: int, count: int
) -> Estimate:
    whose = np.repeat(np.arange(patients), scans)
    targets = whose % count
    own = random.normal(size=(patients, count))[whose] * ALIKE**0.5
    logits = own + random.normal(size=(len(whose), count)) * (1 - ALIKE) ** 0.5
    logits[np.arange(len(whose)), targets] += APART
    p = Calibration().probabilities(APART * logits)
    return mean_estimate(
        [auroc_estimate(p[:, k], targets == k, whose) for k in range(count)]
    )


def of_calibration(random: np.random.Generator, sets: int) -> None:
    """Count sets whose interval held the calibration error, and those called off."""
    print("calibration error: sets whose interval held it; that were called off")
    for steeper in (1.0, 1.5, 3.0, 0.5):
        _, p, targets = _claimed(random, 400_000, 1, steeper)
        expected = float(ece(p, targets, np.ones((1, len(targets))))[0])
        expected *= steeper != 1
        for patients, scans in ((20, 1), (20, 4), (40, 1), (100, 1), (100, 4)):
            held, off, values = [], [], []
            for _ in range(sets):
                logits, _, targets = _claimed(random, patients, scans, steeper)
                whose = np.repeat(np.arange(patients), scans).astype(str)
                answers = answers_of(logits, targets, whose, Calibration())
                figure: Any = judged_figures(answers, ("healthy", "ill"))[0]["ece"]
                held.append(figure["low"] <= expected <= figure["high"])
                off.append(figure["value"] > figure["by_chance"])
                values.append(figure["value"])
            print(
                f"steeper {steeper:3.1f}: {expected:.3f} in truth, {patients:3d} "
                f"patients of {scans}: {np.mean(values):.3f} on average, held "
                f"{np.mean(held):.2f}, off {np.mean(off):.2f}",
                flush=True,
            )


def _claimed(
    random: np.random.Generator, patients: int, scans: int, steeper: float
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return logits, probabilities and labels; calibrated where `steeper` is 1."""
    ill = random.random(patients) < SHARE
    targets = np.repeat(ill, scans).astype(np.int64)
    own = np.repeat(random.normal(size=patients), scans) * ALIKE**0.5
    scores = own + random.normal(size=len(targets)) * (1 - ALIKE) ** 0.5
    scores += APART * targets - APART / 2
    claim = APART * scores + np.log(SHARE / (1 - SHARE))
    logits = steeper * np.stack([np.zeros(len(targets)), claim], axis=1)
    return logits, Calibration().probabilities(logits), targets


def of_sets(random: np.random.Generator, sets: int) -> None:
    """Count new cases whose prediction set holds the label."""
    print("prediction sets made for 0.90, of new patients: mean, and 5 of 100 below")
    for patients, scans in ((30, 1), (60, 1), (200, 1), (30, 4)):
        shares = []
        for _ in range(sets):
            calibration, _ = calibrated(*drawn(random, patients, scans))
            later = answers_of(*drawn(random, 1000), calibration)
            if later.in_set is not None:
                rows = np.arange(len(later.targets))
                shares.append(later.in_set[rows, later.targets].mean())
        low = np.quantile(shares, 0.05)
        print(f"{patients:8d} {scans:5d} {np.mean(shares):.3f} {low:.3f}", flush=True)


def main() -> None:
    """Count and print."""
    parts = {
        "figures": of_figures,
        "auroc": of_aurocs,
        "calibration": of_calibration,
        "sets": of_sets,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200, help="sets of each size")
    parser.add_argument("--only", choices=parts, help="one of the tables")
    options = parser.parse_args()
    for name, table in parts.items():
        if options.only in (None, name):
            table(np.random.default_rng(0), options.sets)


if __name__ == "__main__":
    main()
