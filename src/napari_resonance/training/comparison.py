"""Two classifiers on the same cases: which is better, and could that be chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_resonance.training.estimates import auroc_influence, clustered_variance
from napari_resonance.training.intervals import (
    is_lone,
    with_intervals,
    without_interval,
)
from napari_resonance.training.metrics import auroc, share

FloatArray = NDArray[np.float64]


def delong(
    first: ArrayLike,
    second: ArrayLike,
    positive: ArrayLike,
    patients: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Compare two AUROCs on the same cases (DeLong et al. 1988).

    Parameters
    ----------
    first, second
        ``(n,)`` scores of two models.
    positive
        ``(n,)`` truth.
    patients
        ``(n,)`` whose the cases are: those of one patient are alike (Obuchowski 1997).
        None: each is of another.

    Returns
    -------
    dict
        ``first``, ``second`` (AUROC), ``difference`` with ``low`` and ``high`` of its
        95 % interval, ``z`` and ``p`` (two-sided), None where not defined: the spread
        of the positives or negatives of a single patient is not known. A few patients
        of a side make p too small.

    """
    from scipy.stats import norm

    truth = np.asarray(positive, bool)
    scores = np.stack([np.asarray(s, np.float64) for s in (first, second)])
    empty = dict.fromkeys(("first", "second", "difference", "low", "high", "z", "p"))
    if truth.all() or not truth.any():
        return empty
    areas, parts = zip(*(auroc_influence(s, truth) for s in scores), strict=True)
    difference = areas[0] - areas[1]
    result: dict[str, Any] = empty | {
        "first": areas[0],
        "second": areas[1],
        "difference": difference,
    }
    whose = np.arange(len(truth)) if patients is None else patients
    if is_lone(truth, whose):
        return result
    variance = clustered_variance(parts[0] - parts[1], truth, whose)
    if variance <= 0:
        return result | {"p": 1.0 if difference == 0 else None}
    spread = variance**0.5
    z = difference / spread
    return result | {
        "low": difference - 1.959964 * spread,
        "high": difference + 1.959964 * spread,
        "z": z,
        "p": float(2 * norm.sf(abs(z))),
    }


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> dict[str, Any]:
    """Compare two models' right answers to the same cases (exact McNemar test).

    Returns
    -------
    dict
        ``only_first`` and ``only_second``: cases that one alone got right; ``p``,
        two-sided.

    """
    from scipy.stats import binomtest

    a, b = np.asarray(first_right, bool), np.asarray(second_right, bool)
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    n = only_first + only_second
    p = float(binomtest(only_first, n).pvalue) if n else 1.0
    return {"only_first": only_first, "only_second": only_second, "p": p}


def compare_answers(
    first: FloatArray,
    second: FloatArray,
    targets: NDArray[np.int64],
    patients: NDArray[Any],
    labels: tuple[str, ...],
    names: tuple[str, str],
) -> dict[str, Any]:
    """Compare the probabilities ``(n, K)`` of two models for the same cases.

    Returns
    -------
    dict
        ``models``, ``cases``; ``accuracy`` and ``auroc``: the differences (first minus
        second) with bootstrap intervals over patients; ``mcnemar``; ``delong`` by
        label, only for the second of two.

    """
    right = [p.argmax(axis=1) == targets for p in (first, second)]
    present = [k for k in range(len(labels)) if 0 < (targets == k).sum() < len(targets)]

    def differences(weights: FloatArray) -> dict[str, FloatArray]:
        areas = [
            np.mean([auroc(p[:, k], targets == k, weights) for k in present], axis=0)
            if present
            else np.full(len(weights), np.nan)
            for p in (first, second)
        ]
        shares = [share(r, weights) for r in right]
        return {"accuracy": shares[0] - shares[1], "auroc": areas[0] - areas[1]}

    found = with_intervals(differences, patients)
    if any(is_lone(targets == k, patients) for k in present):
        found["auroc"] = without_interval(found["auroc"])
    judged = present[1:] if len(labels) == 2 else present
    return {
        "models": list(names),
        "cases": len(targets),
        **found,
        "mcnemar": mcnemar(*right),
        "delong": {
            labels[k]: delong(first[:, k], second[:, k], targets == k, patients)
            for k in judged
        },
    }
