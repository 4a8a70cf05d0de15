"""The end of a fine-tuning: what was trained is judged, and stored with its record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_resonance.classifier.bundle import Bundle, save_bundle
from napari_resonance.classifier.definition import ensemble_definition
from napari_resonance.classifier.openvino_engine import is_installed
from napari_resonance.training.answer_table import write_answers
from napari_resonance.training.described import (
    card_of,
    extent,
    sides_of,
    training_extent,
)
from napari_resonance.training.finetune import FinetuneResult, write_json
from napari_resonance.training.learn import curve_json
from napari_resonance.training.pictured import pictured
from napari_resonance.training.seen_before import write_fingerprints
from napari_resonance.training.verdict import Training, Verdict, verdict_on

if TYPE_CHECKING:
    from pathlib import Path

    from napari_resonance.training.evaluation import Evaluation
    from napari_resonance.training.learn import Learned

ANSWERS = "training/answers.csv"
"""File of a bundle: what was said of each case that it was judged by."""


def conclude(training: Training) -> FinetuneResult:
    """Calibrate, judge and store a trained network."""
    verdict = verdict_on(training)
    notes = _notes(training, verdict)
    bundle = _saved(training, verdict, notes)
    result = _result(training, verdict, bundle, notes)
    evaluation = _detailed(training, verdict, result)
    curves = [curve_json(run.trained) for run in _runs(training.learned)]
    _write_record(training, verdict, result, evaluation, curves)
    return replace(result, report=_report(training, result, evaluation, curves))


def _notes(training: Training, verdict: Verdict) -> tuple[str, ...]:
    """Return what went otherwise than planned, and what flatters the figures."""
    told = (note for part in training.parts for note in part.trained.notes)
    # Whoever reads a card takes its figures for those of scans never seen.
    return (*told, *verdict.notes, *training.prepared.labelled.notes)


def _saved(training: Training, verdict: Verdict, notes: tuple[str, ...]) -> Bundle:
    """Write the classifier with its card."""
    run, beginning, start = training.run, training.beginning, training.start
    learned_from = training_extent(training.splits, training.prepared.labelled.cases)
    judged_on = f"{extent(verdict.cases)} ({verdict.judged_on})"
    metrics = verdict.evaluation.metrics
    told = (learned_from, judged_on, notes)
    final = training.final
    return save_bundle(
        run.out,
        network=final.network,
        network_def=ensemble_definition(start.definition, len(final.networks)),
        recipe=beginning.recipe,
        calibration=verdict.calibration,
        card=card_of(run, beginning, training.prepared, start, metrics, told),
        statistics=verdict.statistics,
        convert=run.options.convert and is_installed(),
    )


def _result(
    training: Training, verdict: Verdict, bundle: Bundle, notes: tuple[str, ...]
) -> FinetuneResult:
    prepared = training.prepared
    split = [s.to_json(prepared.labelled) for s in training.splits]
    return FinetuneResult(
        bundle=bundle,
        metrics=verdict.evaluation.metrics,
        folds=training.folds,
        split=split if training.folds else split[0],
        leaks=training.leaks,
        left_out=tuple({"source": s, "error": why} for s, why in prepared.left_out),
        decisions=(*training.decisions, verdict.sure),
        report=None,
        notes=notes,
        resumed_at=max(part.trained.resumed_at for part in training.parts),
        seconds=0.0,
    )


def _detailed(
    training: Training, verdict: Verdict, result: FinetuneResult
) -> Evaluation:
    """Return the evaluation with what is known of the run, and pictures of errors."""
    bundle = result.bundle
    details = {
        "model_sha256": bundle.weights_sha256,
        "recipe_sha256": bundle.recipe.sha256,
        "seed": training.run.options.seed,
        "notes": result.notes,
    }
    evaluation = replace(verdict.evaluation, details=details)
    if training.folds:
        # Other networks made the errors than the one that is kept.
        return evaluation
    progress = training.run.progress
    worst = pictured(evaluation.worst, result.classifier, verdict.cases, progress)
    return replace(evaluation, worst=worst)


def _learned_from(training: Training) -> list[int]:
    """Return the cases that weights or their epoch were chosen by."""
    if training.folds:
        return list(range(len(training.prepared)))
    (split,) = training.splits
    return sorted({*split.train, *split.validation})


def _write_record(
    training: Training,
    verdict: Verdict,
    result: FinetuneResult,
    evaluation: Evaluation,
    curves: Sequence[Sequence[Mapping[str, Any]]],
) -> None:
    """Write what was done beside the weights: split, answers, decisions, curves."""
    out, prepared = training.run.out, training.prepared
    folder = out / "training"
    folder.mkdir(exist_ok=True)
    write_fingerprints(out, prepared.fingerprints[_learned_from(training)])
    write_answers(
        out / ANSWERS,
        prepared.labelled.labels,
        cases=verdict.cases,
        sides=verdict.sides,
        probabilities=evaluation.answers.probabilities,
        called=evaluation.answers.called.tolist(),
        sure=evaluation.answers.sure.tolist(),
    )
    write_json(folder / "split.json", result.split)
    runs = _runs(training.learned)
    record = {
        "decisions": [d.to_json() for d in result.decisions],
        "curves": curves,
        "probes": [[p.to_json() for p in x.probes] for x in runs],
        "notes": list(result.notes),
        "left_out": list(result.left_out),
        "calibration": verdict.calibration.to_json(),
        "operating_point": evaluation.operating_point,
        "epoch_seconds": [x.trained.epoch_seconds for x in runs],
        "settings": _settings(training.learned[0]),
    }
    write_json(folder / "record.json", record)
    sheet = training.run.work / "contact-sheet.png"
    if sheet.exists():
        shutil.copyfile(sheet, folder / sheet.name)


def _runs(learned: Sequence[Learned]) -> list[Learned]:
    """Return the single trainings, members apart."""
    return [run for part in learned for run in part.runs]


def _settings(learned: Learned) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(learned.settings)


def _report(
    training: Training,
    result: FinetuneResult,
    evaluation: Evaluation,
    curves: Sequence[Sequence[Mapping[str, Any]]],
) -> Path:
    """Write the HTML report."""
    from napari_resonance.training.report import write_report

    path = training.run.out / "training" / "report.html"
    cases = training.prepared.labelled.cases
    write_report(
        path,
        title=result.bundle.card.name,
        evaluation=evaluation,
        card=result.bundle.card,
        decisions=result.decisions,
        curves=curves,
        split=[sides_of(split, cases) for split in training.splits],
        leaks=result.leaks,
        left_out=result.left_out,
        contact_sheet=path.parent / "contact-sheet.png",
    )
    return path
