"""How good answers are: every figure with its interval, by label and by subgroup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.distribution import TrainingStatistics
from napari_resonance.errors import TrainingError
from napari_resonance.export.wording import counted
from napari_resonance.training import metrics
from napari_resonance.training.answers import (
    Answers,
    Figure,
    answers_of,
    judged_figures,
    patients_of,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LIKELIER = "the likelier label"
"""Where an operating point comes from that was not chosen."""
MOST_WRONG = 6
"""Wrong answers that are named."""
_LEAST_IN_GROUP = 2
FEW_PATIENTS = 20
"""Below this, intervals hold less than they claim."""
_FEW_OF_LABEL = 10


@dataclass(frozen=True)
class Wrong:
    """A wrong answer: which case, what it is, what was said, and how firmly."""

    case: int
    source: str
    truth: str
    label: str
    probability: float
    sure: bool
    picture: bytes | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it without the picture."""
        names = ("case", "source", "truth", "label", "probability", "sure")
        return {name: getattr(self, name) for name in names}


def _cautions(counts: Mapping[str, int], total: int) -> list[str]:
    """Return what patients are too few for: how many have each label, and in all."""
    none, lone, few = (
        [name for name, n in counts.items() if low <= n <= high]
        for low, high in ((0, 0), (1, 1), (2, _FEW_OF_LABEL - 1))
    )
    found = []
    if none:
        found.append(
            f"no case has the {_labels(none)}: means over the labels leave "
            f"{'it' if len(none) == 1 else 'them'} out"
        )
    if lone and total > 1:
        found.append(
            f"a single patient has the {_labels(lone)}: what depends on that has no "
            "interval, or a wide one"
        )
    if few and total >= FEW_PATIENTS:
        found.append(
            f"fewer than {_FEW_OF_LABEL} patients have the {_labels(few)}: intervals "
            "and tests of what depends on that may claim too much"
        )
    if total < FEW_PATIENTS:
        them = f"{counted(total, 'patient')} {'is' if total == 1 else 'are'} few"
        found.append(f"{them}: intervals of so few may be too narrow")
    return found


def _labels(names: Sequence[str]) -> str:
    return f"label{'s' if len(names) > 1 else ''} {', '.join(names)}"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What held-out cases say of a classifier.

    Parameters
    ----------
    labels
        In the order of the network's outputs.
    answers
        What was said of each case.
    metrics
        Figures with ``value``, ``low`` and ``high``: 95 % intervals over patients.
    per_class
        The same by label, each against the rest.
    confusion
        Counts, a row for each true label.
    reliability
        What was claimed and what was right, by bins of probability.
    operating_point
        ``label``, ``threshold`` and where it comes ``from``: "the model", "validation",
        "other patients" or `LIKELIER`.
    rule
        Of a sure answer.
    subgroups
        Rows with ``group``, ``value``, ``cases``, ``patients`` and figures.
    worst
        The wrong answers that were given with the highest probability.
    details
        What else is known of the run: ``model``, ``split``, ``leaks``, ``left_out``,
        ``comparison``, ``seconds``, ``report`` and more.

    """

    labels: tuple[str, ...]
    answers: Answers
    metrics: Mapping[str, Figure]
    per_class: Mapping[str, Mapping[str, Any]]
    confusion: IntArray
    reliability: Sequence[Mapping[str, Any]]
    operating_point: Mapping[str, Any] | None
    rule: Mapping[str, Any]
    subgroups: Sequence[Mapping[str, Any]]
    worst: tuple[Wrong, ...]
    details: Mapping[str, Any]

    @property
    def n_cases(self) -> int:
        """How many cases were judged."""
        return len(self.answers.targets)

    @property
    def n_patients(self) -> int:
        """How many patients these are of."""
        return len(np.unique(self.answers.patients))

    @property
    def cautions(self) -> tuple[str, ...]:
        """What the cases are too few to say, in sentences."""
        counts = {name: row["patients"] for name, row in self.per_class.items()}
        return tuple(_cautions(counts, self.n_patients))

    @property
    def report(self) -> Path | None:
        """The HTML report, if one was written."""
        path = self.details.get("report")
        return None if path is None else Path(path)

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``resonance evaluate --json``: None, never NaN."""
        return {
            "model": None,
            "folds": 0,
            "labels": list(self.labels),
            "cases": self.n_cases,
            "patients": self.n_patients,
            "metrics": {name: dict(f) for name, f in self.metrics.items()},
            "per_class": {name: dict(f) for name, f in self.per_class.items()},
            "confusion": self.confusion.tolist(),
            "reliability": [dict(row) for row in self.reliability],
            "operating_point": self.operating_point and dict(self.operating_point),
            "rule": dict(self.rule),
            "subgroups": [dict(row) for row in self.subgroups],
            "worst": [wrong.to_json() for wrong in self.worst],
            "cautions": list(self.cautions),
            "split": {},
            "leaks": [],
            "left_out": [],
            "comparison": None,
            "seconds": None,
            "report": None,
        } | dict(self.details)


def evaluate_answers(  # noqa: PLR0913, PLR0917
    logits: ArrayLike,
    features: ArrayLike,
    targets: ArrayLike,
    patients: Sequence[Any] | NDArray[Any],
    labels: Sequence[str],
    calibration: Calibration,
    statistics: TrainingStatistics | None = None,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    operating_threshold: float | None = None,
    chosen_on: str = "validation",
    sources: Sequence[str] = (),
    odd: NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Judge answers to cases that the network was not trained on.

    Parameters
    ----------
    logits, features
        ``(n, K)`` and ``(n, F)`` pooled features, empty where they are not known.
    targets, patients
        ``(n,)``: index of the true label, and whose the case is.
    labels
        In the order of the outputs.
    calibration, statistics
        Of the classifier; answers to cases far from the statistics are not sure.
    groups
        Value of each case (``(n,)``, empty where unknown) by name of the subgroup.
    operating_threshold, chosen_on
        Of the second of two labels, and what it was chosen on.
    sources
        How reports name the cases.
    odd
        Which cases are unlike the training data, where that is known already.

    Raises
    ------
    TrainingError
        If there is no case, or the arrays do not fit together.

    """
    values = np.asarray(logits, np.float64)
    truth = np.asarray(targets, np.int64)
    if not len(truth):
        raise TrainingError("there is no case to judge the classifier by")
    if values.shape != (len(truth), len(labels)) or len(patients) != len(truth):
        raise TrainingError("logits, targets, patients and labels do not fit together")
    if odd is None:
        odd = _odd(np.asarray(features, np.float64), statistics, len(truth))
    answers = answers_of(
        values,
        truth,
        np.asarray(patients),
        calibration,
        odd=odd,
        threshold=operating_threshold,
    )
    return judge(
        answers,
        tuple(labels),
        calibration.rule,
        groups=groups,
        operating_threshold=operating_threshold,
        chosen_on=chosen_on,
        sources=sources,
    )


def _odd(
    features: FloatArray, statistics: TrainingStatistics | None, n: int
) -> NDArray[np.bool_] | None:
    if statistics is None or len(features) != n or features.ndim != 2:
        return None
    return np.array([statistics.distance(f) > statistics.limit for f in features])


def judge(  # noqa: PLR0913
    answers: Answers,
    labels: tuple[str, ...],
    rule: Mapping[str, Any],
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    operating_threshold: float | None = None,
    sources: Sequence[str] = (),
    chosen_on: str = "validation",
) -> Evaluation:
    """Judge calibrated answers.

    Parameters
    ----------
    answers
        What was said of each case.
    labels
        In the order of the outputs.
    rule
        Of a sure answer, as the classifier keeps it.
    groups, operating_threshold, sources
        As `evaluate_answers` takes them.
    chosen_on
        Which cases the operating point was chosen on.

    """
    everyone = np.ones((1, len(answers.targets)))
    matrix = metrics.confusion(answers.called, answers.targets, len(labels), everyone)
    overall, per_class = judged_figures(answers, labels)
    point = None
    if len(labels) == 2:
        given = answers.threshold is not None and operating_threshold is not None
        point = {
            "label": labels[1],
            "threshold": operating_threshold if given else 0.5,
            "from": chosen_on if given else LIKELIER,
        }
    return Evaluation(
        labels=labels,
        answers=answers,
        metrics=overall,
        per_class=per_class,
        confusion=matrix[0].astype(np.int64),
        reliability=metrics.reliability(answers.probabilities, answers.targets),
        operating_point=point,
        rule=rule,
        subgroups=_subgroups(answers, labels, groups or {}),
        worst=_worst(answers, labels, sources),
        details={},
    )


def _subgroups(
    answers: Answers, labels: tuple[str, ...], groups: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    rows = []
    for name, values in groups.items():
        given = np.array([str(v) for v in values])
        for value in sorted(set(given) - {""}):
            keep = given == value
            if keep.sum() < _LEAST_IN_GROUP:
                continue
            part = answers.chosen(keep)
            overall, _ = judged_figures(part, labels)
            shown = ("accuracy", "auroc", "sure")
            rows.append(
                {
                    "group": name,
                    "value": str(value),
                    "cases": int(keep.sum()),
                    "patients": patients_of(answers, keep),
                    **{n: overall[n] for n in shown},
                }
            )
    return rows


def _worst(
    answers: Answers, labels: tuple[str, ...], sources: Sequence[str]
) -> tuple[Wrong, ...]:
    top = answers.probabilities.max(axis=1)
    wrong = np.flatnonzero(answers.predicted != answers.targets)
    chosen = wrong[np.argsort(-top[wrong], kind="stable")][:MOST_WRONG]
    return tuple(
        Wrong(
            case=int(n) + 1,
            source=sources[n] if sources else "",
            truth=labels[answers.targets[n]],
            label=labels[answers.predicted[n]],
            probability=float(top[n]),
            sure=bool(answers.sure[n]),
        )
        for n in chosen
    )
