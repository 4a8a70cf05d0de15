"""The end of a fine-tuning: calibrated, judged on held-out cases, and stored."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.bundle import Bundle, save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.definition import ensemble_definition
from napari_resonance.classifier.openvino_engine import is_installed
from napari_resonance.export.wording import counted
from napari_resonance.training.cross_fitted import (
    cross_fitted,
    parts_by_patient,
)
from napari_resonance.training.evaluation import (
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

if TYPE_CHECKING:
    from pathlib import Path

    from napari_resonance.classifier.distribution import TrainingStatistics
    from napari_resonance.training.beginning import Beginning
    from napari_resonance.training.cases import Case
    from napari_resonance.training.learn import Learned
    from napari_resonance.training.plan import Start
    from napari_resonance.training.prepared import PreparedSet
    from napari_resonance.training.samples import Samples
    from napari_resonance.training.splits import Split

FloatArray = NDArray[np.float64]


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


_SAME_ANSWERS = (
    "temperature, operating point and the rule for sure answers were chosen on the "
    "answers that are judged, which flatters calibration, sensitivity and specificity"
)
_CROSS_FITTED = (
    "temperature, operating point and the rule for sure answers of each judged answer "
    "were chosen on the answers about other patients; the classifier keeps those that "
    "all of them chose"
)
_SAME_EPOCH = (
    "the cases that are judged are those of validation, on which the epoch was chosen "
    "whose weights are kept: a test side would be stricter"
)
_ON_JUDGED = (_SAME_ANSWERS, _CROSS_FITTED, _SAME_EPOCH)


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
    metrics = evaluation.to_json()["metrics"]
    notes = tuple(
        n
        for part in {id(x): x for x in [*learned, final]}.values()
        for n in part.trained.notes
    )
    side = "left out in turn" if folds else "test" if len(test.rows) else "validation"
    judged_on = f"{_extent(cases)} ({side})"
    # Whoever reads a card takes its figures for those of scans never seen.
    notes = (*notes, *how)
    card = _card(run, beginning, prepared, start, metrics, (judged_on, notes))
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
    if not folds:
        # With folds, other networks made the errors than the one that is kept.
        worst = pictured(evaluation.worst, result.classifier, cases, run.progress)
        evaluation = replace(evaluation, worst=worst)
    return _stored(run, result, learned, evaluation, calibration)


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
        notes = () if folds else (_SAME_EPOCH,)
        if answers is not None:
            evaluation = judge(
                answers, labels, calibration.rule, chosen_on="other patients", **shown
            )
            return evaluation, (*notes, _CROSS_FITTED)
        notes = (*notes, _SAME_ANSWERS)
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


def _card(
    run: Run,
    beginning: Beginning,
    prepared: PreparedSet,
    start: Start,
    metrics: Mapping[str, Any],
    judged_on_and_notes: tuple[str, tuple[str, ...]],
) -> ModelCard:
    options, labelled = run.options, prepared.labelled
    judged_on, notes = judged_on_and_notes
    origin = "from scratch" if start.scratch else f"from {start.pretrained}"
    inherited = beginning.bundle.card if beginning.bundle is not None else None
    modality = options.modality or beginning.found.modalities
    limits = (
        f"Its figures are those of {judged_on}; other scanners and patients may differ",
        *(n for n in notes if "not a number" in n or n in _ON_JUDGED),
    )
    figures = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, Mapping)
        and "value" in value
        and value["value"] is not None
    }
    return ModelCard(
        name=run.out.name,
        version="1.0.0",
        task=options.task or f"Tell {_listed(labelled.labels)} apart",
        labels=labelled.labels,
        dimensions=beginning.recipe.dimensions,
        modality=tuple(modality),
        body_part=options.body_part,
        training_data=f"{_extent(labelled.cases)}; trained {origin}",
        performance=figures,
        licence=options.licence,
        attributions=inherited.attributions if inherited else (),
        intended_use="Research on scans like those it was trained on",
        limits=limits,
    )


def _extent(cases: Sequence[Case]) -> str:
    patients = len({case.patient for case in cases})
    return f"{counted(len(cases), 'scan')} of {counted(patients, 'patient')}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}"


def _groups(prepared: PreparedSet, rows: NDArray[np.int64]) -> dict[str, list[str]]:
    """Return the subgroups that labels and headers name, with each case's value."""
    known = [{**prepared.facts[n], **prepared.labelled.cases[n].groups} for n in rows]
    names = dict.fromkeys(name for facts in known for name in facts)
    return {name: [facts.get(name, "") for facts in known] for name in names}


def _stored(
    run: Run,
    result: FinetuneResult,
    learned: Sequence[Learned],
    evaluation: Any,
    calibration: Calibration,
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
        "epoch_seconds": [x.trained.epoch_seconds for x in runs],
        "settings": _settings(learned[0]),
    }
    write_json(folder / "record.json", record)
    sheet = run.work / "contact-sheet.png"
    if sheet.exists():
        shutil.copyfile(sheet, folder / sheet.name)
    report = _report(folder / "report.html", result, evaluation, curves, result.bundle)
    return replace(result, report=report)


def _settings(learned: Learned) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(learned.settings)


def _report(
    path: Path,
    result: FinetuneResult,
    evaluation: Any,
    curves: list[list[dict[str, Any]]],
    bundle: Bundle,
) -> Path:
    """Write the HTML report."""
    from napari_resonance.training.report import write_report

    write_report(
        path,
        title=bundle.card.name,
        evaluation=evaluation,
        card=bundle.card,
        decisions=result.decisions,
        curves=curves,
        split=result.split,
        leaks=result.leaks,
        left_out=result.left_out,
        contact_sheet=path.parent / "contact-sheet.png",
    )
    return path
