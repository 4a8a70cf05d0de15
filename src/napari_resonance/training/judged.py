"""From held-out answers to calibration, the rule for a sure answer, and limits."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.calibration import Calibration, fit_temperature
from napari_resonance.classifier.distribution import (
    TrainingStatistics,
    fit_statistics,
    measure,
)
from napari_resonance.export.wording import counted
from napari_resonance.training.parts import parts_by_patient
from napari_resonance.training.samples import Samples

FloatArray = NDArray[np.float64]

# Few cases say little about a temperature; it stays near 1 with fewer.
_FEWEST_FOR_TEMPERATURE = 10
_FEWEST_SURE = 5
_WITHIN_LIMIT = 0.99
# Share of scans like those in training that lie outside in anything that is measured,
# where few patients showed what is usual.
_FALSE_ALARMS = 0.01
# Of a standard deviation: where all features are alike, rounding must not pass it.
_LEAST_LIMIT = 1.0


def choose_threshold(
    probabilities: FloatArray, targets: NDArray[np.int64], accuracy: float
) -> float:
    """Return the least top probability above which held-out answers are that accurate.

    Never below 0.5, so that a sure answer is always more likely than all others. 1, so
    that none is sure, where fewer than five answers would be: a coin is right so in
    one of 32 tries.
    """
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    order = np.argsort(-top)
    running = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Answers of one probability are sure together, so only the last of them counts.
    last = np.append(np.diff(top[order]) != 0, True)
    good = np.flatnonzero((running >= accuracy) & last)
    good = good[good + 1 >= _FEWEST_SURE]
    if not len(good):
        return 1.0
    return float(max(0.5, top[order][good[-1]]))


def calibrated(
    logits: FloatArray,
    targets: NDArray[np.int64],
    patients: NDArray[np.str_],
    coverage: float = 0.9,
) -> tuple[Calibration, str]:
    """Return temperature and rule that held-out answers support, and why this rule.

    Parameters
    ----------
    logits, targets, patients
        ``(n, K)``, ``(n,)`` and ``(n,)`` of cases the network was not trained on.
    coverage
        Wanted share of prediction sets that hold the true label.

    """
    temperature = 1.0
    if len(targets) >= _FEWEST_FOR_TEMPERATURE:
        temperature = fit_temperature(logits, targets)
    probabilities = Calibration(temperature).probabilities(logits)
    needed = math.ceil(1 / (1 - coverage) - 1e-9) - 1
    fewest = min(len(np.unique(patients[targets == k])) for k in range(logits.shape[1]))
    if fewest >= needed:
        quantile = _conformal_quantile(probabilities, targets, patients, coverage)
        rule = {"rule": "conformal", "coverage": coverage, "quantile": quantile}
        why = f"each label has {fewest} calibration patients or more"
        return Calibration(temperature, rule), why
    threshold = choose_threshold(probabilities, targets, accuracy=0.95)
    why = (
        f"a label has {counted(fewest, 'calibration patient')}; prediction sets with "
        f"coverage {coverage:g} need {needed}"
    )
    rule = {"rule": "threshold", "probability": threshold}
    return Calibration(temperature, rule), why


def _conformal_quantile(
    probabilities: FloatArray,
    targets: NDArray[np.int64],
    patients: NDArray[np.str_],
    coverage: float,
) -> float:
    """Return the quantile of 1 - p(true), one score a patient: their worst case."""
    scores = 1 - probabilities[np.arange(len(targets)), targets]
    worst = np.sort([scores[patients == p].max() for p in np.unique(patients)])
    place = math.ceil((len(worst) + 1) * coverage)
    return float(worst[place - 1]) if place <= len(worst) else 1.0


def statistics_of(
    features: FloatArray, training: Samples, held_out: FloatArray
) -> TrainingStatistics:
    """Return where the training cases lie, with a limit from held-out features.

    Parameters
    ----------
    features
        ``(n, F)`` of the training cases.
    training
        Their inputs and labels.
    held_out
        ``(m, F)`` of cases that were not trained on. Where empty, the limit comes from
        training cases, each measured by the statistics of other patients: by its own it
        would lie far nearer than any scan that comes later.

    """
    shown = np.arange(0, len(training), max(1, len(training) // 200))
    inputs = [
        training.images(shown[n : n + 1], "cpu").numpy() for n in range(len(shown))
    ]
    measured = np.stack([measure(array) for array in inputs])
    n_patients = len(np.unique(training.patients[shown]))
    lowest, highest = _usual_range(measured, n_patients)
    # What else is measured holds of heads: symmetry, and how far they fill the box.
    lowest[..., 2:4] = -1.0
    statistics = fit_statistics(features, training.targets, 1.0, (lowest, highest))
    if len(held_out):
        distances = np.array([statistics.distance(f) for f in held_out])
    else:
        distances = _distances_to_others(features, training, (lowest, highest))
    limit = float(np.quantile(distances, _WITHIN_LIMIT)) * 1.1
    return TrainingStatistics(
        statistics.means,
        statistics.whitening,
        max(limit, _LEAST_LIMIT),
        lowest,
        highest,
    )


def _usual_range(
    measured: FloatArray, n_patients: int
) -> tuple[FloatArray, FloatArray]:
    """Return between which ends what was measured in ``(n, ...)`` cases usually lies.

    Farther than any of them by half of their range; and where patients are so few that
    others will differ more than that, where a normal variable of the same variance
    would be of a new patient, of all that is measured together.
    """
    from scipy.stats import t

    lowest, highest = measured.min(axis=0), measured.max(axis=0)
    reach = 0.5 * (highest - lowest) + 0.05
    lowest, highest = lowest - reach, highest + reach
    if n_patients < 2:
        return lowest, highest
    tail = _FALSE_ALARMS / (2 * measured[0].size)
    spread = measured.std(axis=0, ddof=1) * (1 + 1 / n_patients) ** 0.5
    reach = float(t.ppf(1 - tail, n_patients - 1)) * spread
    middle = measured.mean(axis=0)
    return np.minimum(lowest, middle - reach), np.maximum(highest, middle + reach)


def _distances_to_others(
    features: FloatArray, training: Samples, descriptors: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Return how far each case lies from where the cases of other patients lie."""
    parts = parts_by_patient(training.patients, seed=0)
    distances = np.zeros(len(features))
    for part in np.unique(parts):
        here = parts == part
        # A single patient has nobody else to be compared with.
        rest = here if here.all() else ~here
        others = fit_statistics(
            features[rest], training.targets[rest], 1.0, descriptors
        )
        distances[here] = [others.distance(f) for f in features[here]]
    return distances
