"""From labelled scans to a classifier that others can run."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.classifier.place import check_place
from napari_resonance.errors import TrainingError
from napari_resonance.export.atomic import replacing, writable_folder
from napari_resonance.export.table import write_records
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.training.cases import LabelledSet
from napari_resonance.training.epochs import OnEpoch, no_epoch
from napari_resonance.training.options import AUTO, Decision, FinetuneOptions

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle
    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.training.leaks import Leak
    from napari_resonance.training.plan import Start
    from napari_resonance.training.prepared import PreparedSet
    from napari_resonance.training.samples import Samples
    from napari_resonance.training.splits import Split


_LEAKS_TOLD = 3


@dataclass(frozen=True, eq=False)
class FinetuneResult:
    """A classifier that was trained, and how good it is.

    Parameters
    ----------
    bundle
        The folder, as `load_bundle` reads it.
    metrics
        Figures on held-out cases, each with ``value``, ``low`` and ``high``.
    folds
        Of the cross-validation; 0 for one split.
    split
        Sources of the cases on each side; a list of such with folds.
    leaks
        What is on two sides, where that was allowed.
    left_out
        ``source`` and ``error`` of cases that could not be prepared.
    decisions
        What was decided, with reasons.
    report
        The HTML report.
    notes
        What went otherwise than planned, in sentences.
    resumed_at
        Epochs that an earlier process had done.
    seconds
        Wall time.

    """

    bundle: Bundle
    metrics: Mapping[str, Any]
    folds: int
    split: Any
    leaks: tuple[Any, ...]
    left_out: tuple[Mapping[str, str], ...]
    decisions: tuple[Decision, ...]
    report: Path | None
    notes: tuple[str, ...]
    resumed_at: int
    seconds: float

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier, ready to be asked about scans."""
        from napari_resonance.classifier.predict import Classifier

        return Classifier(self.bundle)

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``resonance finetune --json`` prints."""
        return {
            "model": str(self.bundle.path),
            "folds": self.folds,
            "metrics": dict(self.metrics),
            "split": self.split,
            "leaks": list(self.leaks),
            "left_out": list(self.left_out),
            "decisions": [d.to_json() for d in self.decisions],
            "notes": list(self.notes),
            "resumed_at": self.resumed_at,
            "seconds": self.seconds,
            "report": None if self.report is None else str(self.report),
        }


@dataclass(frozen=True, eq=False)
class Run:
    """What all steps of one fine-tuning share."""

    options: FinetuneOptions
    pretrained: str
    out: Path
    work: Path
    resume: bool
    progress: Progress
    should_stop: ShouldStop
    on_epoch: OnEpoch = no_epoch
    should_finish: ShouldStop = never


def finetune(  # noqa: PLR0913
    labels: str | PathLike[str] | LabelledSet,
    out: str | PathLike[str],
    *,
    pretrained: str | PathLike[str] = AUTO,
    options: FinetuneOptions | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
    on_epoch: OnEpoch = no_epoch,
    should_finish: ShouldStop = never,
) -> FinetuneResult:
    """Train a classifier on labelled scans, judge it, and write it as a bundle.

    Parameters
    ----------
    labels
        A CSV file or a folder, see ``labels.read_labels``, or what was read of them.
    out
        Folder of the new classifier. What is needed to go on with an interrupted
        training lies beside it, in ``NAME.training``, until it has ended.
    pretrained
        A name of ``resonance models list``, the folder of a classifier, a file of
        weights, ``"none"``, or ``"auto"``: see ``plan.usual_start``.
    options
        What may be chosen.
    resume
        Go on with an interrupted training.
    overwrite
        Replace the model that is in the folder already, once the new one is there, and
        an interrupted training at once.
    progress, should_stop
        Told after each step; asked after each step.
    on_epoch, should_finish
        Told after each epoch; asked after each epoch. True ends the training early:
        the best weights so far are judged and stored, and no further member is begun.

    Raises
    ------
    ModelError
        If there is a model in the folder that shall not be replaced, or something else.
    TrainingError
        If the labels do not allow a training, scans leak between the sides of the
        split, an interrupted training would be lost, another process writes to the
        folder, or the loss is not a number.
    CancelledError
        If `should_stop` said so; go on with `resume`.

    """
    target = Path(out)
    work = work_folder(target)
    chosen = options or FinetuneOptions()
    run = Run(
        chosen,
        str(pretrained),
        target,
        work,
        resume,
        progress,
        should_stop,
        on_epoch,
        should_finish,
    )
    began = time.perf_counter()
    # What was begun here had leave to replace the model, if there was one.
    interrupted = is_interrupted(target)
    check_place(target, overwrite=overwrite or (resume and interrupted))
    with locked(work):
        if interrupted and not (resume or overwrite):
            raise TrainingError(
                "a training into this folder was interrupted, and would be lost",
                source=target,
                remedy="Go on with it (--resume), or begin anew (--overwrite)",
            )
        result = _finetune(labels, run)
    shutil.rmtree(work, ignore_errors=True)
    return replace(result, seconds=time.perf_counter() - began)


def work_folder(out: Path) -> Path:
    """Return where the parts of a training lie until its model is there."""
    return out.with_name(f"{out.name}.training")


def is_interrupted(out: Path) -> bool:
    """Tell whether a training into this folder was begun and can go on."""
    places = ("*/last.ckpt", "*/member-*/last.ckpt")
    return any(any(work_folder(out).glob(place)) for place in places)


@contextmanager
def locked(work: Path) -> Iterator[None]:
    """Keep other processes away from the output until this one ends."""
    from filelock import FileLock, Timeout

    writable_folder(work)
    lock = FileLock(work / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise TrainingError(
            "another process is training into this folder",
            source=work,
            remedy="Wait for it, or choose another --out",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _finetune(labels: str | PathLike[str] | LabelledSet, run: Run) -> FinetuneResult:
    from napari_resonance.training.labels import read_labels

    # What is wrong with labels is told before torch is imported.
    if not isinstance(labels, LabelledSet):
        labels = read_labels(str(labels))
    from napari_resonance.training.beginning import start_of
    from napari_resonance.training.checking import prepare_and_split
    from napari_resonance.training.outcome import conclude
    from napari_resonance.training.runs import learn_splits
    from napari_resonance.training.verdict import Training

    options = run.options
    beginning, prepared, splits, found = prepare_and_split(labels, run)
    leaks = _refuse_leaks(prepared, found, run)
    labelled = prepared.labelled
    samples = samples_of(prepared)
    start, state, decision = start_of(
        run.pretrained,
        beginning,
        samples,
        len(labelled.labels),
        options,
        run.progress,
    )
    _write_sheet(samples, splits[0], labelled.labels, start, run)
    learned, final, decided = learn_splits(run, start, state, samples, splits)
    return conclude(
        Training(
            run=run,
            beginning=beginning,
            prepared=prepared,
            splits=splits,
            samples=samples,
            start=start,
            learned=learned,
            final=final,
            decisions=(*beginning.decisions, decision, *decided),
            leaks=leaks,
        )
    )


def samples_of(prepared: PreparedSet) -> Samples:
    """Return prepared cases as what a network is trained on."""
    from napari_resonance.training.samples import Samples

    cases = prepared.labelled.cases
    weights = np.array([case.weight for case in cases], np.float32)
    return Samples(
        prepared.inputs,
        np.asarray(prepared.targets, np.int64),
        np.array([case.patient for case in cases]),
        tuple(case.source or str(case.paths[0]) for case in cases),
        weights / weights.mean(),
    )


def _refuse_leaks(
    prepared: PreparedSet, leaks: Sequence[Leak], run: Run
) -> tuple[dict[str, Any], ...]:
    """Return leaks by their fields, for reports; refuse them unless they are allowed.

    Raises
    ------
    TrainingError
        If there are any; all of them are in a table beside the output then.

    """
    cases = prepared.labelled.cases
    named = tuple(
        {
            "kind": leak.kind,
            "cases": [cases[n].source for n in leak.cases],
            "sentence": leak.sentence,
        }
        for leak in leaks
    )
    if not named or run.options.allow_leaks:
        return named
    table = run.work / "leaks.csv"
    write_records(
        [
            {"kind": leak.kind, "one": cases[one].source, "other": cases[other].source}
            for leak in leaks
            for one, other in [leak.cases]
        ],
        table,
    )
    told = [leak.sentence.rstrip(".") for leak in leaks[:_LEAKS_TOLD]]
    if len(leaks) > _LEAKS_TOLD:
        told.append(f"and {len(leaks) - _LEAKS_TOLD} more, see {table}")
    raise TrainingError(
        f"what is tested was trained on: {'; '.join(told)}",
        remedy="Leave the copies out, or give them the same patient; if they are no "
        "copies, --allow-leaks goes on and the report names them",
    )


def _write_sheet(
    samples: Samples, split: Split, labels: tuple[str, ...], start: Start, run: Run
) -> None:
    from napari_resonance.training.contact_sheet import write_contact_sheet
    from napari_resonance.training.plan import augmentation_of

    training = samples.chosen(split.train)
    augmentation = augmentation_of(run.options, start, training.inputs)[0]
    path = run.work / "contact-sheet.png"
    write_contact_sheet(path, training, labels, augmentation, run.options.seed)


def write_json(path: Path, document: Any) -> None:
    """Write JSON, whole or not at all."""
    with replacing(path) as draft:
        text = json.dumps(document, indent=2, allow_nan=False)
        draft.write_text(text + "\n", encoding="utf-8")
