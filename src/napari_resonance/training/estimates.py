"""Shares and areas under ROC curves with 95 % intervals for scans of few patients.

In closed form: draws of few patients spread less than new patients would, and not at
all where every answer is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_ALPHA = 0.05
_Z = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure, the bounds of its 95 % interval, and what each patient does to it.

    Parameters
    ----------
    value, low, high
        None where not known.
    influence
        ``(patients,)``: by how much each patient moves the value, summing to 0.

    """

    value: float | None
    low: float | None
    high: float | None
    influence: FloatArray

    def to_json(self) -> dict[str, float | None]:
        """Return the figure without what its patients do to it."""
        return {"value": self.value, "low": self.low, "high": self.high}


def share_estimate(
    values: ArrayLike, patients: NDArray[Any], among: ArrayLike | None = None
) -> Estimate:
    """Return the share of cases for which something holds.

    The interval is that of Korn & Graubard (1998): Clopper and Pearson's, for as many
    independent cases as the cases of the patients are worth.

    Parameters
    ----------
    values, among
        ``(n,)``: where it holds; which cases count, all if None.
    patients
        ``(n,)``.

    """
    from scipy.stats import beta

    owner, n_patients = _owners(patients)
    held = np.asarray(values, np.float64)
    counts = np.ones(len(held)) if among is None else np.asarray(among, np.float64)
    n = counts.sum()
    if not n:
        return Estimate(None, None, None, np.zeros(n_patients))
    value = float(held @ counts / n)
    influence = _summed((held - value) * counts / n, owner, n_patients)
    sizes = _summed(counts, owner, n_patients)
    alone = value * (1 - value) / max(n - 1, 1)
    worth = n / _design_effect(_spread(influence, sizes), alone, sizes)
    right = value * worth
    low = beta.ppf(_ALPHA / 2, right, worth - right + 1) if right > 0 else 0.0
    high = beta.ppf(1 - _ALPHA / 2, right + 1, worth - right) if right < worth else 1.0
    return Estimate(value, float(low), float(high), influence)


def auroc_estimate(
    scores: ArrayLike, positive: ArrayLike, patients: NDArray[Any]
) -> Estimate:
    """Return the area under a ROC curve; ties count half.

    The interval is that of Newcombe's method 5 (2006), for as many independent cases as
    the cases of the patients are worth: those for which DeLong's variance would be that
    of Obuchowski (1997), which knows that scans of a patient are alike.

    Parameters
    ----------
    scores, positive
        ``(n,)``: higher means more likely positive; whether it is.
    patients
        ``(n,)``. Without two patients of each side there is no interval, nor is there
        one where all scores are the same.

    """
    owner, n_patients = _owners(patients)
    truth = np.asarray(positive, bool)
    if truth.all() or not truth.any():
        return Estimate(None, None, None, np.zeros(n_patients))
    values = np.asarray(scores, np.float64)
    area, parts = auroc_influence(values, truth)
    sides = [np.where(side, parts, 0.0) for side in (truth, ~truth)]
    summed = [_summed(part, owner, n_patients) for part in sides]
    influence = summed[0] + summed[1]
    sizes = [_summed(side * 1.0, owner, n_patients) for side in (truth, ~truth)]
    if min(np.count_nonzero(size) for size in sizes) < 2 or np.ptp(values) == 0:
        return Estimate(area, None, None, influence)
    among_patients = clustered_variance(parts, truth, patients)
    alone = clustered_variance(parts, truth, np.arange(len(truth)))
    effect = max(_design_effect(among_patients, alone, size) for size in sizes)
    low, high = _newcombe(area, *(float(size.sum()) / effect for size in sizes))
    return Estimate(area, low, high, influence)


def mean_estimate(parts: Sequence[Estimate]) -> Estimate:
    """Return the mean of estimates of the same patients.

    The width of its interval is recovered from theirs and from how alike the patients
    move them (MOVER, Zou & Donner 2008), and it is the less askew the less alike these
    are; None where one of them has none.
    """
    values = [part.value for part in parts if part.value is not None]
    if not values or len(values) < len(parts):
        nothing = parts[0].influence * 0 if parts else np.zeros(0)
        return Estimate(None, None, None, nothing)
    value = float(np.mean(values))
    influence = np.mean([part.influence for part in parts], axis=0)
    lows = [part.low for part in parts if part.low is not None]
    highs = [part.high for part in parts if part.high is not None]
    if len(lows) < len(parts) or len(highs) < len(parts):
        return Estimate(value, None, None, influence)
    half, middle = np.subtract(highs, lows) / 2, np.add(highs, lows) / 2
    square = half @ _alike(np.stack([part.influence for part in parts])) @ half
    reach = float(max(square, 0.0) ** 0.5) / len(parts)
    # As many as these say something of their own: one if all are moved alike.
    own = float(np.clip((half.mean() / reach) ** 2, 1, len(parts))) if reach else 1.0
    centre = value + float(np.mean(middle - values)) / own
    low, high = max(centre - reach, 0.0), min(centre + reach, 1.0)
    return Estimate(value, min(low, value), max(high, value), influence)


def auroc_influence(
    scores: FloatArray, positive: NDArray[np.bool_]
) -> tuple[float, FloatArray]:
    """Return an area under the ROC curve, and ``(n,)`` by how much each case moves it.

    A positive by the share of negatives below it, less the area; a negative by the
    share of positives above it (DeLong et al. 1988).
    """
    from scipy.stats import rankdata

    hits, misses = scores[positive], scores[~positive]
    m, n = len(hits), len(misses)
    ranks = rankdata(np.concatenate([hits, misses]))
    below = (ranks[:m] - rankdata(hits)) / n
    above = 1 - (ranks[m:] - rankdata(misses)) / m
    area = float(below.mean())
    influence = np.empty(len(scores))
    influence[positive] = (below - area) / m
    influence[~positive] = (above - area) / n
    return area, influence


def clustered_variance(
    influence: FloatArray, positive: NDArray[np.bool_], patients: NDArray[Any]
) -> float:
    """Return the variance of an area, or of a difference of two (Obuchowski 1997).

    With one case a patient it is that of DeLong et al. (1988). 0 with fewer than two
    patients of a side.

    Parameters
    ----------
    influence
        ``(n,)`` of each case, as `auroc_influence` returns it.
    positive, patients
        ``(n,)``.

    """
    owner, n_patients = _owners(patients)
    parts = []
    variance = 0.0
    for side in (positive, ~positive):
        sizes = _summed(side * 1.0, owner, n_patients)
        if np.count_nonzero(sizes) < 2:
            return 0.0
        parts.append(_summed(np.where(side, influence, 0.0), owner, n_patients))
        variance += _spread(parts[-1], sizes)
    both = 2 * float(parts[0] @ parts[1]) * n_patients / (n_patients - 1)
    return max(variance + both, 0.0)


def _owners(patients: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    names, owner = np.unique(patients, return_inverse=True)
    return owner, len(names)


def _summed(
    values: NDArray[Any], owner: NDArray[np.int64], n_patients: int
) -> FloatArray:
    total: NDArray[Any] = np.bincount(owner, values, minlength=n_patients)
    return total.astype(np.float64)


def _spread(influence: FloatArray, sizes: FloatArray) -> float:
    """Return the variance that patients make who have `sizes` cases."""
    n = np.count_nonzero(sizes)
    return float(influence @ influence) * n / (n - 1) if n > 1 else 0.0


def _design_effect(variance: float, alone: float, sizes: FloatArray) -> float:
    """Return how many cases are worth one that is a patient's only one.

    Never less than 1, nor more than if all cases of a patient were the same (Kish); the
    latter too where nothing varies, so that nothing can be known of it.
    """
    most = float(sizes @ sizes / sizes.sum())
    if alone <= 0 or np.count_nonzero(sizes) < 2:
        return most
    return float(np.clip(variance / alone, 1.0, most))


def _newcombe(area: float, positives: float, negatives: float) -> tuple[float, float]:
    """Return the bounds of method 5 of Newcombe (2006), for any numbers of cases."""
    from scipy.optimize import brentq

    half = (positives + negatives) / 2 - 1

    def excess(true: float) -> float:
        spread = 1 + half * ((1 - true) / (2 - true) + true / (1 + true))
        variance = true * (1 - true) * spread / (positives * negatives)
        return float((area - true) ** 2 - _Z**2 * variance)

    # Besides a perfect area the equation holds at its own end, where nothing varies.
    ends = 1e-9, 1 - 1e-9
    inside = min(max(area, ends[0]), ends[1])
    low = brentq(excess, ends[0], inside) if area > ends[0] else 0.0
    high = brentq(excess, inside, ends[1]) if area < ends[1] else 1.0
    return float(low), float(high)


def _alike(influences: FloatArray) -> FloatArray:
    """Return correlations ``(k, k)``; 1 with what does not vary, the widest that is."""
    products = influences @ influences.T
    sizes = np.sqrt(np.diagonal(products))
    scale = np.outer(sizes, sizes)
    same = np.ones_like(products)
    result: FloatArray = np.divide(products, scale, out=same, where=scale > 1e-24)
    return result
