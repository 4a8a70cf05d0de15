"""What held-out cases say of a network that was trained, and what that decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.training.cross_fitted import cross_fitted
from napari_resonance.training.described import CROSS_FITTED, SAME_ANSWERS, SAME_EPOCH
from napari_resonance.training.evaluation import (
    LIKELIER,
    Evaluation,
    evaluate_answers,
    judge,
)
from napari_resonance.training.judged import calibrated, statistics_of
from napari_resonance.training.metrics import operating_point
from napari_resonance.training.options import Decision
from napari_resonance.training.parts import parts_by_patient
from napari_resonance.training.subgroups import groups_of, with_groups

if TYPE_CHECKING:
    from napari_resonance.classifier.distribution import TrainingStatistics
    from napari_resonance.training.beginning import Beginning
    from napari_resonance.training.cases import Case
    from napari_resonance.training.finetune import Run
    from napari_resonance.training.learn import Learned
    from napari_resonance.training.plan import Start
    from napari_resonance.training.prepared import PreparedSet
    from napari_resonance.training.samples import Samples
    from napari_resonance.training.splits import Split

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Training:
    """All that one fine-tuning came from and led to.

    Parameters
    ----------
    run
        What its steps share.
    beginning, prepared, splits, samples, start
        Recipe, cases, their sides, what a network is shown of them, and the network.
    learned
        For each split, the networks that answer about its held-out cases.
    final
        What is stored.
    decisions
        What was chosen so far.
    leaks
        What is on two sides, where that was allowed.

    """

    run: Run
    beginning: Beginning
    prepared: PreparedSet
    splits: Sequence[Split]
    samples: Samples
    start: Start
    learned: Sequence[Learned]
    final: Learned
    decisions: Sequence[Decision]
    leaks: tuple[Any, ...]

    @property
    def folds(self) -> int:
        """Of the cross-validation; 0 for one split."""
        return len(self.splits) if len(self.splits) > 1 else 0

    @property
    def parts(self) -> list[Learned]:
        """All that was trained, each once."""
        return list({id(x): x for x in [*self.learned, self.final]}.values())


@dataclass(frozen=True, eq=False)
class Verdict:
    """How good a network is, and what its answers shall mean.

    Parameters
    ----------
    calibration, statistics
        What the classifier keeps.
    evaluation
        Of the held-out cases.
    cases, sides
        Those cases, and what each was: ``"test"``, ``"fold 1"``...
    judged_on
        What they are all together, for sentences.
    sure
        The rule for a sure answer, and why it is this one.
    notes
        What flatters the figures, in sentences.

    """

    calibration: Calibration
    statistics: TrainingStatistics
    evaluation: Evaluation
    cases: list[Case]
    sides: list[str]
    judged_on: str
    sure: Decision
    notes: tuple[str, ...]


class _HeldOut:
    """Answers about one side of one split, or of all folds together."""

    def __init__(
        self, learned: Sequence[Learned], splits: Sequence[Split], side: str
    ) -> None:
        rows = [np.array(getattr(s, side), np.int64) for s in splits]
        used = [n for n, r in enumerate(rows) if len(r)]
        self.rows = np.concatenate([rows[n] for n in used] or [rows[0]])
        self.parts = np.concatenate([np.full(len(r), n) for n, r in enumerate(rows)])
        self.logits = _joined([learned[n].logits[side] for n in used])
        self.features = _joined([learned[n].features[side] for n in used])


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros((0, 0))


def verdict_on(training: Training) -> Verdict:
    """Calibrate a trained network, and judge it by cases that it has not seen."""
    samples, folds = training.samples, training.folds
    learned, splits = training.learned, training.splits
    # Folds: the answers of each network about patients that it had not seen.
    validation = _HeldOut(learned, splits, "test" if folds else "validation")
    test = _HeldOut(learned, splits, "test")
    judged = test if len(test.rows) else validation
    calibration, why = calibrated(
        validation.logits,
        samples.targets[validation.rows],
        samples.patients[validation.rows],
        training.run.options.coverage,
    )
    statistics = statistics_of(
        training.final.features["train"],
        samples if folds else samples.chosen(splits[0].train),
        validation.features if not folds else np.zeros((0, 0)),
    )
    evaluation, notes = _judged(training, (validation, judged), calibration, statistics)
    side = "test" if len(test.rows) else "validation"
    point = evaluation.operating_point
    if point is not None and point["from"] != LIKELIER:
        calibration = replace(calibration, operating_point=point["threshold"])
    return Verdict(
        calibration=calibration,
        statistics=statistics,
        evaluation=evaluation,
        cases=[training.prepared.labelled.cases[n] for n in judged.rows],
        sides=[f"fold {n + 1}" if folds else side for n in judged.parts],
        judged_on="left out in turn" if folds else side,
        sure=Decision("sure", calibration.rule["rule"], why),
        notes=notes,
    )


def _judged(
    training: Training,
    chosen_on_and_judged: tuple[_HeldOut, _HeldOut],
    calibration: Calibration,
    statistics: TrainingStatistics,
) -> tuple[Evaluation, tuple[str, ...]]:
    """Judge the held-out answers; say in sentences what flatters them."""
    chosen_on, judged = chosen_on_and_judged
    prepared, options = training.prepared, training.run.options
    cases = [prepared.labelled.cases[n] for n in judged.rows]
    targets = np.asarray(prepared.targets, np.int64)
    patients = np.array([case.patient for case in prepared.labelled.cases])
    threshold = operating_point(
        calibration.probabilities(chosen_on.logits), targets[chosen_on.rows]
    )
    shown: dict[str, Any] = {
        "groups": _groups(prepared, judged.rows),
        "operating_threshold": threshold,
        "sources": [case.source for case in cases],
    }
    labels = prepared.labelled.labels
    folds = training.folds
    notes: tuple[str, ...] = ()
    if folds or judged is chosen_on:
        here = patients[judged.rows]
        parts = judged.parts if folds else parts_by_patient(here, options.seed)
        answers = cross_fitted(
            judged.logits, targets[judged.rows], here, parts, options.coverage
        )
        notes = () if folds else (SAME_EPOCH,)
        if answers is not None:
            evaluation = judge(
                answers, labels, calibration.rule, chosen_on="other patients", **shown
            )
            return evaluation, (*notes, CROSS_FITTED)
        notes = (*notes, SAME_ANSWERS)
    evaluation = evaluate_answers(
        judged.logits,
        judged.features if not folds else (),
        targets[judged.rows],
        patients[judged.rows],
        labels,
        calibration,
        statistics if not folds else None,
        **shown,
    )
    return evaluation, notes


def _groups(prepared: PreparedSet, rows: NDArray[np.int64]) -> dict[str, list[str]]:
    """Return the subgroups that labels and headers name, with each case's value."""
    cases = prepared.labelled.cases
    return groups_of([with_groups(prepared.facts[n], cases[n]) for n in rows])
