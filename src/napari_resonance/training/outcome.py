"""The end of a fine-tuning: calibrated, judged on held-out cases, and stored."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.bundle import save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.definition import ensemble_definition
from napari_resonance.classifier.openvino_engine import is_installed
from napari_resonance.training.answer_table import write_answers
from napari_resonance.training.cross_fitted import (
    cross_fitted,
    parts_by_patient,
)
from napari_resonance.training.described import (
    CROSS_FITTED,
    SAME_ANSWERS,
    SAME_EPOCH,
    card_of,
    extent,
    sides_of,
    training_extent,
)
from napari_resonance.training.evaluation import (
    LIKELIER,
    Evaluation,
    evaluate_answers,
    judge,
)
from napari_resonance.training.finetune import FinetuneResult, Run, write_json
from napari_resonance.training.judged import calibrated, statistics_of
from napari_resonance.training.learn import curve_json
from napari_resonance.training.metrics import operating_point
from napari_resonance.training.options import Decision
from napari_resonance.training.pictured import pictured
from napari_resonance.training.seen_before import write_fingerprints
from napari_resonance.training.subgroups import groups_of, with_groups

if TYPE_CHECKING:
    from pathlib import Path

    from napari_resonance.classifier.distribution import TrainingStatistics
    from napari_resonance.training.beginning import Beginning
    from napari_resonance.training.learn import Learned
    from napari_resonance.training.plan import Start
    from napari_resonance.training.prepared import PreparedSet
    from napari_resonance.training.samples import Samples
    from napari_resonance.training.splits import Split

FloatArray = NDArray[np.float64]


ANSWERS = "training/answers.csv"
"""File of a bundle: what was said of each case that it was judged by."""


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


def conclude(  # noqa: PLR0913
    run: Run,
    *,
    beginning: Beginning,
    prepared: PreparedSet,
    splits: Sequence[Split],
    samples: Samples,
    learned: Sequence[Learned],
    final: Learned,
    start: Start,
    decisions: list[Decision],
    leaks: tuple[Any, ...],
) -> FinetuneResult:
    """Calibrate, judge and store a trained network."""
    folds = len(splits) if len(splits) > 1 else 0
    # Folds: the answers of each network about patients that it had not seen.
    validation = _HeldOut(learned, splits, "test" if folds else "validation")
    test = _HeldOut(learned, splits, "test")
    judged = test if len(test.rows) else validation
    calibration, why = calibrated(
        validation.logits,
        samples.targets[validation.rows],
        samples.patients[validation.rows],
        run.options.coverage,
    )
    decisions.append(Decision("sure", calibration.rule["rule"], why))
    trained_on = samples if folds else samples.chosen(splits[0].train)
    statistics = statistics_of(
        final.features["train"],
        trained_on,
        validation.features if not folds else np.zeros((0, 0)),
    )
    cases = [prepared.labelled.cases[n] for n in judged.rows]
    evaluation, how = _judged(
        run, prepared, splits, (validation, judged), calibration, statistics
    )
    point = evaluation.operating_point
    if point is not None and point["from"] != LIKELIER:
        calibration = replace(calibration, operating_point=point["threshold"])
    metrics = evaluation.to_json()["metrics"]
    notes = tuple(
        n
        for part in {id(x): x for x in [*learned, final]}.values()
        for n in part.trained.notes
    )
    side = "left out in turn" if folds else "test" if len(test.rows) else "validation"
    judged_on = f"{extent(cases)} ({side})"
    # Whoever reads a card takes its figures for those of scans never seen.
    notes = (*notes, *how, *prepared.labelled.notes)
    extents = (training_extent(splits, prepared.labelled.cases), judged_on)
    card = card_of(run, beginning, prepared, start, metrics, (*extents, notes))
    bundle = save_bundle(
        run.out,
        network=final.network,
        network_def=ensemble_definition(start.definition, len(final.networks)),
        recipe=beginning.recipe,
        calibration=calibration,
        card=card,
        statistics=statistics,
        convert=run.options.convert and is_installed(),
    )
    split = [s.to_json(prepared.labelled) for s in splits]
    sides = [sides_of(s, prepared.labelled.cases) for s in splits]
    left_out = tuple(
        {"source": source, "error": reason} for source, reason in prepared.left_out
    )
    result = FinetuneResult(
        bundle=bundle,
        metrics=metrics,
        folds=folds,
        split=split if folds else split[0],
        leaks=leaks,
        left_out=left_out,
        decisions=tuple(decisions),
        report=None,
        notes=notes,
        resumed_at=max(x.trained.resumed_at for x in [*learned, final]),
        seconds=0.0,
    )
    learned_from = range(len(prepared)) if folds else _learned_from(splits[0])
    write_fingerprints(bundle.path, prepared.fingerprints[list(learned_from)])
    evaluation = replace(
        evaluation,
        details={
            "model_sha256": bundle.weights_sha256,
            "recipe_sha256": bundle.recipe.sha256,
            "seed": run.options.seed,
            "notes": notes,
        },
    )
    if not folds:
        # With folds, other networks made the errors than the one that is kept.
        worst = pictured(evaluation.worst, result.classifier, cases, run.progress)
        evaluation = replace(evaluation, worst=worst)
    (run.out / "training").mkdir(exist_ok=True)
    write_answers(
        run.out / ANSWERS,
        prepared.labelled.labels,
        cases=cases,
        sides=[f"fold {n + 1}" if folds else side for n in judged.parts],
        probabilities=evaluation.answers.probabilities,
        called=evaluation.answers.called.tolist(),
        sure=evaluation.answers.sure.tolist(),
    )
    return _stored(run, result, learned, evaluation, calibration, sides)


def _learned_from(split: Split) -> list[int]:
    """Return the cases that weights or their epoch were chosen by."""
    return sorted({*split.train, *split.validation})


def _judged(
    run: Run,
    prepared: PreparedSet,
    splits: Sequence[Split],
    chosen_on_and_judged: tuple[_HeldOut, _HeldOut],
    calibration: Calibration,
    statistics: TrainingStatistics,
) -> tuple[Evaluation, tuple[str, ...]]:
    """Judge the held-out answers; say in sentences what flatters them."""
    chosen_on, judged = chosen_on_and_judged
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
    folds = len(splits) > 1
    notes: tuple[str, ...] = ()
    if folds or judged is chosen_on:
        here = patients[judged.rows]
        parts = judged.parts if folds else parts_by_patient(here, run.options.seed)
        answers = cross_fitted(
            judged.logits, targets[judged.rows], here, parts, run.options.coverage
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


def _stored(
    run: Run,
    result: FinetuneResult,
    learned: Sequence[Learned],
    evaluation: Any,
    calibration: Calibration,
    sides: list[dict[str, str]],
) -> FinetuneResult:
    """Write what was done beside the weights: split, decisions, curves, report."""
    from dataclasses import replace

    folder = run.out / "training"
    folder.mkdir(exist_ok=True)
    write_json(folder / "split.json", result.split)
    runs = [run for x in learned for run in x.runs]
    curves = [curve_json(x.trained) for x in runs]
    probes = [[p.to_json() for p in x.probes] for x in runs]
    record = {
        "decisions": [d.to_json() for d in result.decisions],
        "curves": curves,
        "probes": probes,
        "notes": list(result.notes),
        "left_out": list(result.left_out),
        "calibration": calibration.to_json(),
        "operating_point": evaluation.operating_point,
        "epoch_seconds": [x.trained.epoch_seconds for x in runs],
        "settings": _settings(learned[0]),
    }
    write_json(folder / "record.json", record)
    sheet = run.work / "contact-sheet.png"
    if sheet.exists():
        shutil.copyfile(sheet, folder / sheet.name)
    report = _report(folder / "report.html", result, evaluation, curves, sides)
    return replace(result, report=report)


def _settings(learned: Learned) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(learned.settings)


def _report(
    path: Path,
    result: FinetuneResult,
    evaluation: Any,
    curves: list[list[dict[str, Any]]],
    sides: list[dict[str, str]],
) -> Path:
    """Write the HTML report."""
    from napari_resonance.training.report import write_report

    write_report(
        path,
        title=result.bundle.card.name,
        evaluation=evaluation,
        card=result.bundle.card,
        decisions=result.decisions,
        curves=curves,
        split=sides,
        leaks=result.leaks,
        left_out=result.left_out,
        contact_sheet=path.parent / "contact-sheet.png",
    )
    return path
