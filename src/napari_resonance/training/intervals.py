"""95 % intervals of any figure: a bootstrap over patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

REPEATS = 2000
_SAME = 1e-9
# Weights held at once: draws are made in parts, so that 10⁵ cases fit in memory.
_WEIGHTS = 2_000_000


def interval(
    values: NDArray[Any],
    patients: NDArray[np.str_],
    statistic: Callable[[NDArray[Any]], float] = lambda v: float(np.mean(v)),
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> dict[str, float]:
    """Return any figure of values with its 95 % bootstrap interval over patients.

    One call of `statistic` a draw; `with_intervals` is quicker where figures can be
    computed from weights.
    """
    random = np.random.default_rng(seed)
    groups = [np.flatnonzero(patients == p) for p in np.unique(patients)]
    draws = []
    for _ in range(repeats):
        picked = random.integers(len(groups), size=len(groups))
        draws.append(statistic(values[np.concatenate([groups[g] for g in picked])]))
    low, high = np.nanpercentile(draws, (2.5, 97.5))
    return {"value": statistic(values), "low": float(low), "high": float(high)}


def with_intervals(
    figures: Callable[[FloatArray], Mapping[str, FloatArray]],
    patients: NDArray[Any],
    *,
    raised: Mapping[str, float] | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> dict[str, dict[str, float | None]]:
    """Return figures with their 95 % bootstrap intervals over patients.

    Parameters
    ----------
    figures
        Takes weights ``(draws, n)``, returns each figure's values ``(draws,)``, NaN
        where a draw does not define it.
    patients
        ``(n,)`` whose the cases are; all cases of a patient are drawn together.
    raised
        Figures of 0 and more that noise can only raise, such as a sum of gaps, and what
        they reach by chance alone where they are 0 in truth. Up to that their interval
        begins at 0, beyond as far below the figure as the draws reach above it, for
        these lie above the figure as the figure lies above the truth; it ends where
        they end less their mean excess.
    repeats, seed
        Number of draws, and of the random numbers.

    Returns
    -------
    dict
        Each with ``value``, ``low``, ``high``; None where not defined. The bounds are
        None too where less than half of the draws define the figure, where all draws
        are the same, or there is one patient. ``undefined`` is the share of draws that
        left it undefined (they lacked a label), where there are any; ``by_chance`` what
        `raised` says.

    """
    limits = raised or {}
    value = figures(np.ones((1, len(patients))))
    if len(np.unique(patients)) < 2:  # drawing the one anew says nothing
        alone = np.zeros(0)
        return {
            name: _figure(float(v[0]), alone, limits.get(name))
            for name, v in value.items()
        }
    draws: dict[str, list[FloatArray]] = {name: [] for name in value}
    for weights in _draws(patients, repeats, seed):
        for name, drawn in figures(weights).items():
            draws[name].append(drawn)
    return {
        name: _figure(
            float(value[name][0]),
            np.concatenate(parts or [np.zeros(0)]),
            limits.get(name),
        )
        for name, parts in draws.items()
    }


def _draws(patients: NDArray[Any], repeats: int, seed: int) -> Any:
    names, owner = np.unique(patients, return_inverse=True)
    random = np.random.default_rng(seed)
    each = max(1, _WEIGHTS // max(1, len(patients)))
    for start in range(0, repeats, each):
        count = min(each, repeats - start)
        picked = random.integers(len(names), size=(count, len(names)))
        times = np.zeros((count, len(names)))
        np.add.at(times, (np.arange(count)[:, None], picked), 1)
        yield times[:, owner]


def _figure(
    value: float, draws: FloatArray, by_chance: float | None = None
) -> dict[str, float | None]:
    defined = draws[np.isfinite(draws)]
    result: dict[str, float | None] = {"value": None, "low": None, "high": None}
    if not np.isfinite(value):
        return result
    result["value"] = value
    if by_chance is not None:
        result["by_chance"] = by_chance
    if len(defined) >= len(draws) / 2 and len(defined):
        low, high = np.percentile(defined, (2.5, 97.5))
        if by_chance is not None:
            excess = max(0.0, float(defined.mean()) - value)
            low = 0.0 if value <= by_chance else max(0.0, 2 * value - high)
            high = max(value, high - excess)
        # Draws that never differ (one answer for all, say) know no uncertainty: an
        # interval without width would claim that there is none.
        if np.ptp(defined) > _SAME:
            result |= {"low": float(low), "high": float(high)}
    if len(defined) < len(draws):
        result["undefined"] = 1 - len(defined) / len(draws)
    return result


def is_lone(positive: NDArray[np.bool_], patients: NDArray[Any]) -> bool:
    """Tell whether a single patient has a label, or lacks it.

    All draws then hold that patient or are left out, so they do not know how much
    another one would change.
    """
    return any(len(np.unique(patients[part])) == 1 for part in (positive, ~positive))


def without_interval(figure: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return a figure of which no interval is known."""
    return {**figure, "low": None, "high": None}
