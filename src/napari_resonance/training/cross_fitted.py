"""Held-out answers, calibrated on other patients than those whom they are about.

Temperature, operating point and the rule for a sure answer are chosen on held-out
answers. Judged by the same answers they flatter themselves, so each part of the answers
gets those that the other parts chose (cross-fitting; Chernozhukov et al., The
Econometrics Journal 2018). What the classifier keeps is chosen on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.training.answers import Answers, answers_of
from napari_resonance.training.judged import calibrated
from napari_resonance.training.metrics import operating_point

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def cross_fitted(
    logits: FloatArray,
    targets: IntArray,
    patients: NDArray[Any],
    parts: IntArray,
    coverage: float,
) -> Answers | None:
    """Return answers each of which other patients' answers calibrated.

    Parameters
    ----------
    logits
        ``(n, K)`` of cases that the network was not trained on.
    targets, patients, parts
        ``(n,)``; a patient is in one part.
    coverage
        Wanted share of prediction sets that hold the true label.

    Returns
    -------
    Answers
        In the order of the cases; None where there is one part only.

    """
    found = np.unique(parts)
    if len(found) < 2:
        return None
    order, pieces = [], []
    for part in found:
        rows, rest = np.flatnonzero(parts == part), parts != part
        calibration, _ = calibrated(
            logits[rest], targets[rest], patients[rest], coverage
        )
        threshold = operating_point(
            calibration.probabilities(logits[rest]), targets[rest]
        )
        order.append(rows)
        pieces.append(
            answers_of(
                logits[rows],
                targets[rows],
                patients[rows],
                calibration,
                threshold=threshold,
            )
        )
    return _joined(pieces).chosen(np.argsort(np.concatenate(order)))


def _joined(pieces: Sequence[Answers]) -> Answers:
    def all_of(name: str) -> Any:
        values = [getattr(piece, name) for piece in pieces]
        # A rule that only some parts could support says nothing of all of them.
        return None if any(v is None for v in values) else np.concatenate(values)

    return Answers(
        probabilities=all_of("probabilities"),
        targets=all_of("targets"),
        patients=all_of("patients"),
        sure=all_of("sure"),
        odd=None,
        in_set=all_of("in_set"),
        threshold=all_of("threshold"),
    )
