"""From logits to probabilities one may believe, and to a sure or unsure answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_resonance.errors import ModelError

_POINT = "operating_point"
_LOG_SPREAD = 0.5
"""Standard deviation of the logarithm of temperatures, before any case was seen."""


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling (Guo et al. 2017) and the rule for a sure answer.

    Parameters
    ----------
    temperature
        Logits are divided by it before the softmax.
    rule
        ``{"rule": "threshold", "probability": t}``: sure where the top probability is
        at least t. ``{"rule": "conformal", "coverage": c, "quantile": q}``: labels
        with ``1 - probability <= q`` form the prediction set (split conformal
        prediction), sure where it holds one label.
    operating_point
        Of two labels: the probability of the second from which on a scan is called so,
        as it was chosen on held-out cases; None where none was chosen.

    """

    temperature: float = 1.0
    rule: Mapping[str, Any] = field(
        default_factory=lambda: {"rule": "threshold", "probability": 0.9}
    )
    operating_point: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no calibration can be."""
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ModelError(
                f"the temperature must be positive, not {self.temperature}"
            )
        needed = {"threshold": ("probability",), "conformal": ("coverage", "quantile")}
        keys = needed.get(str(self.rule.get("rule")))
        if keys is None or not all(_is_share(self.rule.get(k)) for k in keys):
            raise ModelError(
                f"the rule for a sure answer is not valid: {dict(self.rule)}",
                remedy="Use the rule 'threshold' or 'conformal' with its numbers",
            )
        if self.operating_point is not None and not _is_share(self.operating_point):
            raise ModelError(
                f"an operating point is a probability, not {self.operating_point!r}"
            )

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated probabilities ``(..., K)`` of logits ``(..., K)``."""
        scaled = np.asarray(logits, np.float64) / self.temperature
        scaled = scaled - scaled.max(axis=-1, keepdims=True)
        weights = np.exp(scaled)
        result: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
        return result

    def is_sure(self, probabilities: ArrayLike) -> bool:
        """Tell whether the rule calls the answer with these probabilities sure."""
        values = np.asarray(probabilities, np.float64)
        if self.rule["rule"] == "threshold":
            # 1 means that no answer is sure, and rounding makes a probability 1.
            least = float(self.rule["probability"])
            return least < 1 and bool(values.max() >= least)
        return int(self._in_set(values).sum()) == 1

    def prediction_set(
        self, probabilities: ArrayLike, labels: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        """Return the conformal prediction set, None where the rule is a threshold."""
        if self.rule["rule"] != "conformal":
            return None
        inside = self._in_set(np.asarray(probabilities, np.float64))
        return tuple(name for name, held in zip(labels, inside, strict=True) if held)

    def _in_set(self, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = 1 - probabilities <= self.rule["quantile"]
        return inside

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as a bundle stores it."""
        chosen = {} if self.operating_point is None else {_POINT: self.operating_point}
        return {"temperature": self.temperature, **self.rule, **chosen}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what `to_json` wrote.

        Raises
        ------
        ModelError
            If a number is missing or not valid.

        """
        rule = {k: v for k, v in data.items() if k not in ("temperature", _POINT)}
        temperature = data.get("temperature", 1.0)
        if not isinstance(temperature, int | float):
            raise ModelError(f"the temperature must be a number, not {temperature!r}")
        return cls(float(temperature), rule, data.get(_POINT))


def _is_share(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 1


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """Return the likeliest temperature, given held-out cases and that most are near 1.

    Cross-entropy alone asks for ever surer answers where all are right, as those about
    a few cases often are. So a log-normal prior around 1 counts beside it, which is
    not felt among hundreds of cases of which some are wrong.

    Parameters
    ----------
    logits
        ``(cases, K)``, of cases the network was not trained on.
    targets
        ``(cases,)`` index of the true label.

    """
    from scipy.optimize import minimize_scalar

    values, truth = np.asarray(logits, np.float64), np.asarray(targets, np.intp)

    def unlikeliness(log_temperature: float) -> float:
        probabilities = Calibration(math.exp(log_temperature)).probabilities(values)
        chosen = probabilities[np.arange(len(truth)), truth]
        cross_entropy = float(-np.log(np.maximum(chosen, 1e-12)).sum())
        return cross_entropy + (log_temperature / _LOG_SPREAD) ** 2 / 2

    best = minimize_scalar(unlikeliness, bounds=(-2.0, 2.5), method="bounded")
    return float(math.exp(best.x))
