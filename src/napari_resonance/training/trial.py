"""A classifier put to the test: asked about labelled scans, and judged."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.files import file_sha256
from napari_resonance.classifier.place import refuse_model
from napari_resonance.errors import (
    CancelledError,
    ExportError,
    ResonanceError,
    TrainingError,
)
from napari_resonance.export.atomic import replacing, writable_folder
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.training.answer_table import write_answers
from napari_resonance.training.cases import Case, LabelledSet
from napari_resonance.training.comparison import compare_answers
from napari_resonance.training.evaluation import (
    LIKELIER,
    Evaluation,
    evaluate_answers,
)
from napari_resonance.training.fingerprints import fingerprints_of
from napari_resonance.training.label_numbers import known_as
from napari_resonance.training.labels import read_labels
from napari_resonance.training.metrics import operating_point
from napari_resonance.training.one_case import scans_of
from napari_resonance.training.pictured import pictured
from napari_resonance.training.seen_before import seen_before
from napari_resonance.training.subgroups import facts_of, groups_of, with_groups

if TYPE_CHECKING:
    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.classifier.prediction import Prediction

REPORT, RECORD, TABLE = "report.html", "evaluation.json", "answers.csv"
"""Files of an evaluation."""


def evaluate(  # noqa: PLR0913
    labels: str | PathLike[str],
    model: str | PathLike[str],
    *,
    out: str | PathLike[str] | None = None,
    overwrite: bool = False,
    compare: str | PathLike[str] | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> Evaluation:
    """Ask a classifier about labelled scans, and say how good its answers are.

    Parameters
    ----------
    labels
        A CSV file or a folder as for training. With a column ``split``, only the
        ``test`` cases are judged; of two labels, the ``validation`` cases choose the
        operating point of a model that has none.
    model
        Name of a classifier or folder of a bundle.
    out
        Folder for ``report.html``, ``evaluation.json`` and ``answers.csv``; nothing is
        written if None.
    overwrite
        Replace the evaluation that is in the folder already.
    compare
        Another classifier with the same labels, asked about the same cases.
    device
        "auto", "cpu", "cuda" or "mps".
    progress, should_stop
        Called after each case, and before.

    Returns
    -------
    Evaluation
        Its ``details`` name the cases that could not be judged in ``left_out``.

    Raises
    ------
    TrainingError
        If the labels cannot be used, are not the classifier's, or no case could be
        judged.
    ModelError
        If a classifier cannot be read, or `out` is the folder of one.
    ExportError
        If there is an evaluation in `out` that shall not be replaced, or something
        else, or it cannot be written to.
    CancelledError
        If `should_stop` said so.

    """
    from napari_resonance.classifier.predict import load_classifier

    began = time.perf_counter()
    if out is not None:
        _check_place(Path(out), overwrite=overwrite)
    classifier = load_classifier(model, device)
    other = None if compare is None else load_classifier(compare, device)
    if other is not None and sorted(_same(other, classifier)) != sorted(
        classifier.labels
    ):
        raise TrainingError(
            "the two models do not have the same labels: "
            f"{', '.join(classifier.labels)}, and {', '.join(other.labels)}",
            remedy="Compare models that answer the same question",
        )
    labelled = read_labels(str(labels), labels=classifier.labels, patients_per_class=0)
    folder = None if out is None else writable_folder(out)
    sides = _sides(labelled)
    asked = [c for c in labelled.cases if c.split in sides]
    trial = _Trial(classifier, other, len(asked), progress, should_stop)
    for case in asked:
        trial.ask(case)
    evaluation = _evaluated(trial, labelled, sides)
    details = _details(trial, labelled, labels)
    evaluation = replace(evaluation, details={**evaluation.details, **details})
    return _recorded(evaluation, trial, folder, began)


def _check_place(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds anything but an evaluation that may be replaced."""
    refuse_model(folder)
    if (folder / RECORD).is_file():
        if overwrite:
            return
        raise ExportError(
            "there is an evaluation here already",
            source=folder,
            remedy="Choose another folder, or replace it with --overwrite "
            "(overwrite=True in Python)",
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise ExportError(
            "there is something else at the place of the evaluation",
            source=folder,
            remedy="Choose a new folder",
        )


def _same(other: Classifier, classifier: Classifier) -> list[str]:
    """Return the labels of another classifier as this one spells them."""
    known = known_as(other.labels, classifier.labels)
    return [known[label] for label in other.labels]


def _sides(labelled: LabelledSet) -> tuple[str, ...]:
    """Return the sides that are asked about: all, or validation and test."""
    found = {case.split for case in labelled.cases}
    if len(found) == 1 and not found & {"test", "validation"}:
        return tuple(found)
    return ("test", "validation")


@dataclass(eq=False)
class _Trial:
    """Two classifiers at most, and what they answered."""

    classifier: Classifier
    other: Classifier | None
    total: int
    progress: Progress
    should_stop: ShouldStop
    cases: list[Case] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    others: list[Prediction] = field(default_factory=list)
    facts: list[Mapping[str, str]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    fingerprints: list[NDArray[np.int8]] = field(default_factory=list)

    def ask(self, case: Case) -> None:
        """Classify a case; what fails is kept in `left_out`."""
        if self.should_stop():
            raise CancelledError("the evaluation was stopped")
        done = len(self.cases) + len(self.left_out)
        self.progress(done, self.total, "classifying")
        try:
            scans = scans_of(case)
            answers = [
                model.classify(scans, center_mm=case.center_mm)
                for model in (self.classifier, self.other)
                if model is not None
            ]
        except CancelledError:
            raise
        except ResonanceError as error:
            self._fail(case, error.message)
            return
        # One damaged scan must not end the evaluation.
        except (OSError, ValueError, ArithmeticError, MemoryError) as error:
            self._fail(case, f"{type(error).__name__}: {error}")
            return
        self.cases.append(case)
        self.predictions.append(answers[0])
        self.others += answers[1:]
        self.facts.append(with_groups(facts_of(scans[0], case), case))
        self.fingerprints.append(fingerprints_of(scans))
        self.progress(done + 1, self.total, "classifying")

    def _fail(self, case: Case, why: str) -> None:
        self.left_out.append({"source": case.source, "error": why})

    def rows(self, side: str | None) -> NDArray[np.int64]:
        """Return the places of the cases on a side."""
        kept = [n for n, c in enumerate(self.cases) if side in (None, c.split)]
        return np.array(kept, np.int64)


def _evaluated(
    trial: _Trial, labelled: LabelledSet, sides: Sequence[str]
) -> Evaluation:
    judged = trial.rows("test" if "test" in sides else None)
    if not len(judged):
        why = trial.left_out[0]["error"] if trial.left_out else "there is no test case"
        raise TrainingError(
            f"no case could be judged: {why}",
            remedy="Mark cases as 'test' in the column 'split', or leave it out",
        )
    names = trial.classifier.labels
    targets = np.array([names.index(c.label) for c in trial.cases], np.int64)
    logits = np.array([p.logits for p in trial.predictions])
    bundle = trial.classifier.bundle
    # What the model says of a scan is judged: only without a point of its own may the
    # validation cases choose one.
    threshold, chosen_on = bundle.calibration.operating_point, "the model"
    if threshold is None:
        by, chosen_on = trial.rows("validation"), "validation"
        shares = bundle.calibration.probabilities(logits[by])
        threshold = operating_point(shares, targets[by])
    found = [p.out_of_distribution for p in trial.predictions]
    odd = None
    if bundle.statistics is not None:
        odd = np.array([o is not None and o.flag for o in found])[judged]
    cases = [trial.cases[n] for n in judged]
    evaluation = evaluate_answers(
        logits[judged],
        np.zeros((0, 0)),
        targets[judged],
        [case.patient for case in cases],
        names,
        bundle.calibration,
        bundle.statistics,
        groups=groups_of([trial.facts[n] for n in judged]),
        operating_threshold=threshold,
        chosen_on=chosen_on,
        sources=[case.source for case in cases],
        odd=odd,
    )
    worst = pictured(
        evaluation.worst, trial.classifier, cases, trial.progress, trial.should_stop
    )
    evaluation = replace(evaluation, worst=worst)
    return replace(evaluation, details={"comparison": _compared(trial, judged)})


def _compared(trial: _Trial, judged: NDArray[np.int64]) -> dict[str, Any] | None:
    if trial.other is None:
        return None
    names = trial.classifier.labels
    spelled = _same(trial.other, trial.classifier)
    theirs = dict(zip(spelled, trial.other.labels, strict=True))
    both = [
        np.array([[p.probabilities[n] for n in of] for p in answers])[judged]
        for answers, of in (
            (trial.predictions, names),
            (trial.others, [theirs[n] for n in names]),
        )
    ]
    cases = [trial.cases[n] for n in judged]
    first, second = trial.classifier.card.name, trial.other.card.name
    if first == second:
        first, second = f"{first} (first)", f"{second} (second)"
    targets = np.array([names.index(c.label) for c in cases], np.int64)
    patients = np.array([c.patient for c in cases])
    titles = first, second
    found = compare_answers(both[0], both[1], targets, patients, names, titles)
    return found | {"leaks": _leaks(trial, trial.other, judged)}


def _leaks(
    trial: _Trial, model: Classifier, judged: NDArray[np.int64]
) -> list[dict[str, str]] | None:
    """Return the judged cases that a model was trained on; None if it does not say."""
    return seen_before(
        model.bundle.path,
        [trial.cases[n].source for n in judged],
        [trial.fingerprints[n] for n in judged],
    )


def _details(
    trial: _Trial, labelled: LabelledSet, labels: str | PathLike[str]
) -> dict[str, Any]:
    bundle = trial.classifier.bundle
    counts = Counter(case.split or "judged" for case in labelled.cases)
    notes = [*labelled.notes]
    if "train" in counts and "test" in counts:
        notes.append("the cases of the side 'train' were not asked about")
    source = Path(labels)
    source = source / "labels.csv" if source.is_dir() else source
    judged = trial.rows("test") if "test" in counts else trial.rows(None)
    leaks = _leaks(trial, trial.classifier, judged)
    if leaks is None:
        notes.append(
            "the model keeps no record of the scans it was trained on: whether these "
            "are among them is for you to know"
        )
    return {
        "model": bundle.card.name,
        "model_sha256": bundle.weights_sha256,
        "recipe_sha256": bundle.recipe.sha256,
        "labels_sha256": file_sha256(source) if source.is_file() else None,
        "device": trial.classifier.device,
        "split": dict(counts),
        "leaks": leaks or [],
        "leaks_checked": leaks is not None,
        "left_out": trial.left_out,
        "notes": notes,
    }


def _recorded(
    evaluation: Evaluation, trial: _Trial, folder: Path | None, began: float
) -> Evaluation:
    details = dict(evaluation.details)
    if folder is not None:
        from napari_resonance.training.report import write_report

        details["report"] = str(folder / REPORT)
    details["seconds"] = time.perf_counter() - began
    evaluation = replace(evaluation, details=details)
    if folder is None:
        return evaluation
    # First what an evaluation is known by, so that one that was ended can be replaced.
    with replacing(folder / RECORD) as draft:
        text = json.dumps(evaluation.to_json(), indent=2, allow_nan=False)
        draft.write_text(text + "\n", encoding="utf-8")
    card = trial.classifier.card
    write_report(
        folder / REPORT,
        title=f"{card.name} {card.version}",
        evaluation=evaluation,
        card=card,
        split=details["split"],
        leaks=details["leaks"],
        left_out=details["left_out"],
        comparison=details["comparison"],
    )
    _write_answers(trial, evaluation, folder / TABLE)
    return evaluation


def _write_answers(trial: _Trial, evaluation: Evaluation, path: Path) -> None:
    """Write a row for each case that was asked about, validation cases included."""
    names = trial.classifier.labels
    shares = np.array([[p.probabilities[n] for n in names] for p in trial.predictions])
    called = shares.argmax(axis=1)
    point = evaluation.operating_point
    if point is not None and point["from"] != LIKELIER:
        called = (shares[:, 1] >= point["threshold"]).astype(np.int64)
    write_answers(
        path,
        names,
        cases=trial.cases,
        sides=[case.split for case in trial.cases],
        probabilities=shares,
        called=called.tolist(),
        sure=[p.sure for p in trial.predictions],
    )
