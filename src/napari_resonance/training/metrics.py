"""Figures of answers: discrimination, calibration, abstention; each draw by draw.

Every figure is computed from weights ``(draws, n)``: how often each case counts. One
row of ones gives the figure itself; rows of a bootstrap give its interval, all draws at
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_resonance.errors import TrainingError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BINS = 10
"""Bins of equal width of the expected calibration error and the reliability diagram."""
_NUMBERS = 2_000_000  # drawn at once, so that those of 10⁵ cases fit in memory


def auroc(scores: ArrayLike, positive: ArrayLike, weights: FloatArray) -> FloatArray:
    """Return the area under the ROC curve of each draw.

    Parameters
    ----------
    scores, positive
        ``(n,)``: higher means more likely positive; whether it is.
    weights
        ``(draws, n)``.

    Returns
    -------
    FloatArray
        ``(draws,)``, NaN where positives or negatives are absent. Ties count half.

    """
    hits, misses = _by_score(scores, positive, weights)
    below = np.cumsum(misses, axis=1) - misses
    pairs = hits.sum(axis=1) * misses.sum(axis=1)
    return _ratio((hits * (below + misses / 2)).sum(axis=1), pairs)


def average_precision(
    scores: ArrayLike, positive: ArrayLike, weights: FloatArray
) -> FloatArray:
    """Return the area under the precision-recall curve of each draw, as steps.

    Parameters and result are those of `auroc`: with positives alone every answer is a
    right alarm, which says nothing.
    """
    hits, misses = (a[:, ::-1] for a in _by_score(scores, positive, weights))
    found = np.cumsum(hits, axis=1)
    taken = found + np.cumsum(misses, axis=1)
    precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
    both = np.where(misses.sum(axis=1) > 0, hits.sum(axis=1), 0)
    return _ratio((hits * precision).sum(axis=1), both)


def _by_score(
    scores: ArrayLike, positive: ArrayLike, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the weight of positives and negatives at each score, ascending."""
    values, is_positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, np.diff(ordered) > 0))
    parts = []
    for chosen in (is_positive, ~is_positive):
        kept = weights[:, order] * chosen[order]
        parts.append(np.add.reduceat(kept, starts, axis=1))
    return parts[0], parts[1]


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    empty = np.full(numerator.shape, np.nan)
    result: FloatArray = np.divide(
        numerator, denominator, out=empty, where=denominator > 0
    )
    return result


def share(
    values: ArrayLike, weights: FloatArray, among: ArrayLike | None = None
) -> FloatArray:
    """Return the weighted mean of ``(n,)`` values, among some cases, of each draw."""
    part = weights if among is None else weights * np.asarray(among, np.float64)
    result = _ratio(part @ np.asarray(values, np.float64), part.sum(axis=1))
    return result


def confusion(
    predicted: IntArray, targets: IntArray, n_labels: int, weights: FloatArray
) -> FloatArray:
    """Return confusion matrices ``(draws, truth, answer)``."""
    cells = np.zeros((len(targets), n_labels * n_labels))
    cells[np.arange(len(targets)), targets * n_labels + predicted] = 1
    matrix: FloatArray = (weights @ cells).reshape(-1, n_labels, n_labels)
    return matrix


def of_confusion(matrix: FloatArray) -> dict[str, FloatArray]:
    """Return one-against-the-rest figures ``(draws, K)`` of confusion matrices."""
    right = np.diagonal(matrix, axis1=1, axis2=2)
    truth, answers = matrix.sum(axis=2), matrix.sum(axis=1)
    everything = truth.sum(axis=1, keepdims=True)
    rest = everything - truth
    return {
        "sensitivity": _ratio(right, truth),
        "specificity": _ratio(rest - (answers - right), rest),
        "precision": _ratio(right, answers),
        "f1": _ratio(2 * right, truth + answers),
    }


def brier(probabilities: FloatArray, targets: IntArray) -> FloatArray:
    """Return each case's Brier score ``(n,)``: 0 is best, 2 worst, over all labels."""
    truth = np.eye(probabilities.shape[1])[targets]
    result: FloatArray = ((probabilities - truth) ** 2).sum(axis=1)
    return result


def ece(
    probabilities: FloatArray, targets: IntArray, weights: FloatArray, bins: int = BINS
) -> FloatArray:
    """Return the expected calibration error of the likeliest label, of each draw."""
    sums = _bin_sums(probabilities, targets, weights, bins)
    gaps = np.abs(sums["right"] - sums["claimed"]).sum(axis=1)
    return _ratio(gaps, sums["cases"].sum(axis=1))


def ece_by_chance(
    probabilities: FloatArray, alike: ArrayLike, *, draws: int = 1000, seed: int = 0
) -> float:
    """Return what 95 of 100 calibrated models of as many cases stay below (`ece`).

    Few cases give gaps where the probabilities are what they claim. Draws answers that
    are right as often as they claim (consistency resampling, Bröcker & Smith 2007).

    Parameters
    ----------
    probabilities
        ``(n, K)``.
    alike
        ``(n,)``: cases of one value are drawn together, such as those of a patient.
    draws, seed
        Number of draws, and of the random numbers.

    """
    top = probabilities.max(axis=1)
    names, owner = np.unique(np.asarray(alike), return_inverse=True)
    random = np.random.default_rng(seed)
    inside = _in_bins(top, BINS)
    each = max(1, _NUMBERS // len(top))
    gaps = []
    for start in range(0, draws, each):
        chances = random.random((min(each, draws - start), len(names)))[:, owner]
        gaps.append(np.abs(((chances < top) - top) @ inside).sum(axis=1) / len(top))
    # Where few values can come out, rounding must not decide which is beyond.
    return float(np.quantile(np.concatenate(gaps), 0.95)) + 1e-9


def reliability(
    probabilities: FloatArray, targets: IntArray, bins: int = BINS
) -> list[dict[str, Any]]:
    """Return what was claimed and what was right, by bins of the top probability."""
    sums = _bin_sums(probabilities, targets, np.ones((1, len(targets))), bins)
    rows = []
    for n in range(bins):
        count = int(sums["cases"][0, n])
        rows.append(
            {
                "from": n / bins,
                "to": (n + 1) / bins,
                "cases": count,
                "claimed": float(sums["claimed"][0, n] / count) if count else None,
                "right": float(sums["right"][0, n] / count) if count else None,
            }
        )
    return rows


def _bin_sums(
    probabilities: FloatArray, targets: IntArray, weights: FloatArray, bins: int
) -> dict[str, FloatArray]:
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    inside = _in_bins(top, bins)
    return {
        "cases": weights @ inside,
        "claimed": weights @ (inside * top[:, None]),
        "right": weights @ (inside * right[:, None]),
    }


def _in_bins(top: FloatArray, bins: int) -> FloatArray:
    inside = np.zeros((len(top), bins))
    place = np.minimum((top * bins).astype(int), bins - 1)
    inside[np.arange(len(top)), place] = 1
    return inside


def choose_operating_point(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the threshold with the largest sensitivity + specificity (Youden).

    To be chosen on validation cases, never on those that are judged.

    Parameters
    ----------
    probabilities
        Of the second of two labels, ``(n,)`` or ``(n, 2)``.
    targets
        ``(n,)``, 1 where the second label is true.

    Returns
    -------
    float
        A case is called positive at this probability or above. Halfway between two
        cases; of equally good ones the nearest to 0.5.

    Raises
    ------
    TrainingError
        If there are more labels than two, or only cases of one.

    """
    values = np.asarray(probabilities, np.float64)
    positive = np.asarray(targets) == 1
    if values.ndim == 2:
        if values.shape[1] != 2:
            raise TrainingError("an operating point is chosen between two labels")
        values = values[:, 1]
    if positive.all() or not positive.any():
        raise TrainingError(
            "an operating point needs cases of both labels",
            remedy="Choose validation cases of both",
        )
    distinct = np.unique(values)
    places = (distinct[1:] + distinct[:-1]) / 2
    candidates = np.concatenate([[distinct[0]], places, [np.nextafter(1, 2)]])
    called = values[None] >= candidates[:, None]
    youden = called[:, positive].mean(axis=1) - called[:, ~positive].mean(axis=1)
    best = candidates[np.isclose(youden, youden.max())]
    return float(min(best[np.abs(best - 0.5).argmin()], 1.0))


def operating_point(probabilities: FloatArray, targets: IntArray) -> float | None:
    """Return the threshold of the second of two labels, None where there is none."""
    if probabilities.shape[1] != 2 or len(np.unique(targets)) < 2:
        return None
    return choose_operating_point(probabilities[:, 1], targets)


def ood_auroc(known: ArrayLike, odd: ArrayLike) -> float:
    """Return how well out-of-distribution scores tell odd scans from known ones."""
    scores = np.concatenate([np.ravel(known), np.ravel(odd)])
    positive = np.arange(len(scores)) >= np.size(known)
    return float(auroc(scores, positive, np.ones((1, len(scores))))[0])


def macro(figures: Mapping[str, FloatArray], present: NDArray[np.bool_]) -> Any:
    """Return the means ``(draws,)`` of figures ``(draws, K)`` over labels present.

    A draw that lacks one of them has no mean (NaN).
    """
    return {name: values[:, present].mean(axis=1) for name, values in figures.items()}
