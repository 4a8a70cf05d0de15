"""Score many studies: plan them, do what is missing, keep each result at once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import CancelledError, ReadError, ScoringError
from napari_resonance.export.atomic import writable_folder
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.scoring import views
from napari_resonance.scoring.choosing import chosen
from napari_resonance.scoring.inputs import Input, inputs_of
from napari_resonance.scoring.journal import (
    BEGUN,
    FAILED,
    FILE_NAME,
    SCORED,
    SKIPPED,
    Journal,
    Result,
    Task,
)
from napari_resonance.scoring.options import Load, ScoreOptions, Scorer
from napari_resonance.scoring.pipeline import Pipeline
from napari_resonance.scoring.plan import Item, Plan, find, root_of, stamp_of
from napari_resonance.scoring.preparing import Ended, Job, prepared
from napari_resonance.scoring.reader import Models
from napari_resonance.scoring.readers import Inline, Readers, Source, jobs_of
from napari_resonance.scoring.summary import Forecast, Summary

Studies = str | PathLike[str] | Sequence[str | PathLike[str]]

# Whoever ends a run five times over the same scan may be innocent of that scan; a
# computer that goes down with it each time cannot tell us.
_MOST_TRIES = 5
_SAMPLE = 5


def score(  # noqa: PLR0913 - the contract of the Python interface
    studies: Studies,
    model: str | Sequence[str] = "mr-sequence",
    *,
    out: str | PathLike[str],
    options: ScoreOptions | None = None,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
    load: Load = load_classifier,
) -> Summary:
    """Score every scan in folders, files and archives, each exactly once.

    Whatever ends a run, the same call goes on where it was: only what is missing, has
    changed or was asked for with other options is done.

    Parameters
    ----------
    studies
        Files, folders and archives; patterns, lists and tables of them, see
        `inputs_of`.
    model
        Name or folder of a model, or of several: each scan is read once for all.
    out
        Folder on a local disk for the journal, ``scores.csv``, ``scores.parquet``,
        ``report.html`` and ``run.json``.
    options
        How; see `ScoreOptions`.
    progress
        Told how many results are there, how many there will be, and how many failed.
    should_stop
        Asked between batches and files; True ends the run. What was scored is kept.
    load
        Loads a model by name and device.

    Returns
    -------
    Summary
        Counts of results. Scans that fail are rows of the table, not errors.

    Raises
    ------
    ScoringError
        If another run writes to the folder, or the readers cannot start.
    ReadError
        If an input does not exist, or holds no scan.
    ModelError
        If a model cannot be loaded.
    ExportError
        If the folder or the journal cannot be written.
    CancelledError
        If `should_stop` returned True.

    """
    options = options or ScoreOptions()
    folder = writable_folder(out)
    names = (model,) if isinstance(model, str) else tuple(model)
    with _locked(folder), _opened(folder) as journal:
        progress(0, 0, "looking for scans")
        inputs = inputs_of(_listed(studies))
        plan = planned(inputs, options.series, journal, should_stop)
        scorers = [load(name, options.device) for name in names]
        kept = {"force": options.force, "study": options.study}
        journal.keep_fact("options", json.dumps(kept))
        for scorer in scorers:
            journal.keep_model(scorer.sha256, scorer.name, scorer.labels)
        run = _Run(plan, scorers, journal, options, progress)
        started = time.perf_counter()
        try:
            run.all(Models(load, names, options.device), should_stop)
        finally:
            run.end()
        run.pipeline.stages.wall = time.perf_counter() - started
        summary = run.summary(folder)
        stages = {"busy": summary.stages.busy(), "wall": summary.stages.wall}
        views.write_all(journal, folder, options, stages)
    return summary


def rebuild(out: str | PathLike[str], *, identifiers: bool = False) -> Path:
    """Write the table anew from the journal of a folder; return the folder.

    Raises
    ------
    ReadError
        If the folder holds no journal.
    ScoringError, ExportError
        As `score` raises them.

    """
    folder = Path(out)
    if not (folder / FILE_NAME).is_file():
        raise ReadError(
            "holds no journal of an earlier run",
            source=folder,
            remedy="Name the folder that was given as --out",
        )
    with _locked(folder), _opened(folder) as journal:
        kept = json.loads(journal.fact("options") or "{}")
        options = ScoreOptions(**kept, identifiers=identifiers)
        views.write_all(journal, folder, options, None)
    return folder


def forecast(
    studies: Studies,
    model: str | Sequence[str] = "mr-sequence",
    *,
    out: str | PathLike[str],
    options: ScoreOptions | None = None,
    load: Load = load_classifier,
) -> Forecast:
    """Say what a run would score, and how long that takes by a sample; write nothing.

    Parameters and errors are those of `score`.
    """
    options = options or ScoreOptions()
    names = (model,) if isinstance(model, str) else tuple(model)
    inputs, folder = inputs_of(_listed(studies)), Path(out)
    paths = _paths(inputs)
    plan = chosen(_some(find(paths, folder), paths), options.series, inputs)
    scorers = [load(name, options.device) for name in names]
    states: list[dict[str, tuple[str, int]]] = [{} for _ in scorers]
    if (folder / FILE_NAME).is_file():
        with _opened(folder) as journal:
            states = [journal.states(s.sha256, options.sha256) for s in scorers]
    pending = [
        (item, number)
        for item in plan.items
        for number, known in enumerate(states)
        if known.get(item.key, (BEGUN, 0))[0] == BEGUN
    ]
    readable = [(i, n) for i, n in pending if not i.refused]
    sample = readable[:: max(1, len(readable) // _SAMPLE)][:_SAMPLE]
    if sample:  # a network takes its time to start, once
        _measured(sample[0], scorers, options)
    took = [_measured(one, scorers, options) for one in sample]
    seconds = sum(took) / len(took) * len(readable) if took else None
    there = len(plan.items) * len(scorers) - len(pending)
    return Forecast(plan, there, len(pending), len(took), seconds)


def planned(
    inputs: Sequence[Input], rule: str, journal: Journal, should_stop: ShouldStop
) -> Plan:
    """Return the plan of the run before if no file has changed since, or a new one."""
    paths, folder = _paths(inputs), journal.path.parent
    root = root_of(paths)
    asked = "\n".join([rule, *(f"{i.path.absolute()}\t{i.center_mm}" for i in inputs)])
    if journal.fact("asked") == asked and journal.fact("root") == str(root):
        stamp = stamp_of(paths, folder)
        if stamp == journal.fact("stamp"):
            return journal.plan()
    found = _some(find(paths, folder, should_stop), paths)
    plan = chosen(found, rule, inputs)
    journal.keep_plan(plan)
    journal.keep_fact("asked", asked)
    journal.keep_fact("series", rule)
    return plan


@dataclass(eq=False)
class _Run:
    """One run: what is left to do, and what has been done."""

    plan: Plan
    scorers: Sequence[Scorer]
    journal: Journal
    options: ScoreOptions
    progress: Progress
    _open: set[Task] = field(default_factory=set)
    _counts: Counter[str] = field(default_factory=Counter)
    _resumed: int = 0

    def __post_init__(self) -> None:
        self.pipeline = Pipeline(
            self.scorers, self.journal, self.options.sha256, self._ended
        )

    def all(self, models: Models, should_stop: ShouldStop) -> None:
        """Do what is missing: what is new first, then what a run ended over."""
        fresh, suspects = self._missing()
        self._report()
        if fresh:
            source: Source = Inline(fresh, self.scorers, self._begin)
            if self.options.readers:
                self.pipeline.stages.readers = min(self.options.readers, len(fresh))
                source = Readers(fresh, models, self.options, self._begin)
            self._use(source, should_stop)
        if suspects and not should_stop():
            alone = replace(self.options, readers=1)
            self._use(Readers(suspects, models, alone, self._begin), should_stop)
        if should_stop():
            raise CancelledError(
                f"the run was stopped; {self._counts.total()} results are kept",
                remedy="Run the same command again to go on",
            )

    def end(self) -> None:
        """Take back what was begun and not ended by this run, which ends in order."""
        self.journal.forget(self._open)

    def summary(self, folder: Path) -> Summary:
        """Count all results."""
        return Summary(
            scored=self._counts[SCORED],
            failed=self._counts[FAILED],
            skipped=self._counts[SKIPPED],
            resumed=self._resumed,
            out=folder,
            stages=self.pipeline.stages,
        )

    def _use(self, source: Source, should_stop: ShouldStop) -> None:
        try:
            self.pipeline.run(source, should_stop)
        finally:
            source.close()

    def _missing(self) -> tuple[list[Job], list[Job]]:
        fresh: list[tuple[Job, str]] = []
        suspects: list[Job] = []
        known = [self._known(number) for number in range(len(self.scorers))]
        refused: list[Result] = []
        for item in self.plan.items:
            numbers = [n for n, (done, _) in enumerate(known) if item.key not in done]
            if item.refused:
                refused += [self._refused(item, n, item.refused) for n in numbers]
                continue
            tries = max((known[n][1].get(item.key, 0) for n in numbers), default=0)
            if tries >= _MOST_TRIES:
                why = f"{tries} runs ended while it was read"
                refused += [self._refused(item, n, why) for n in numbers]
                continue
            if not numbers:
                continue
            job = Job(((item, tuple(numbers)),), self.options.force)
            if tries:
                # Once more, alone, in a process that may go down with it.
                suspects.append(replace(job, whole=True, attempt=2))
            else:
                fresh.append((job, "\n".join(item.files)))
        if refused:
            self.journal.finish(refused)
            for result in refused:
                self._ended(result)
        return list(jobs_of(fresh)), suspects

    def _known(self, number: int) -> tuple[Set[str], dict[str, int]]:
        """Count the results that are there.

        Returns the items that have one, and the tries of those that were only begun.
        """
        planned = {item.key for item in self.plan.items}
        model, options = self.scorers[number].sha256, self.options.sha256
        states = self.journal.states(model, options)
        done = {k: s for k, (s, _) in states.items() if s != BEGUN and k in planned}
        if self.options.retry_failed:
            failed = [key for key, status in done.items() if status == FAILED]
            self.journal.forget((Task(k, model, options) for k in failed), FAILED)
            for key in failed:
                del done[key]
        self._counts.update(done.values())
        self._resumed += len(done)
        begun = {k: tries for k, (s, tries) in states.items() if s == BEGUN}
        return done.keys(), begun

    def _refused(self, item: Item, number: int, why: str) -> Result:
        answer = {"error": f"{why.rstrip('.')}.", "type": "ReadError"}
        return Result(self.pipeline.task(item.key, number), FAILED, answer)

    def _begin(self, job: Job) -> None:
        tasks = [self.pipeline.task(i.key, m) for i, ms in job.wanted for m in ms]
        self._open.update(tasks)
        self.journal.begin(tasks)

    def _ended(self, result: Result) -> None:
        self._open.discard(result.task)
        self._counts[result.status] += 1
        self._report()

    def _report(self) -> None:
        total = len(self.plan.items) * len(self.scorers)
        text = f"{self._counts[FAILED]} failed"
        self.progress(self._counts.total(), total, text)


def _measured(
    one: tuple[Item, int], scorers: Sequence[Scorer], options: ScoreOptions
) -> float:
    started = time.perf_counter()
    item, number = one
    job = Job(((item, (number,)),), options.force, whole=True)
    ended = list(prepared(job, scorers))
    assert all(isinstance(e, Ended) for e in ended)  # noqa: S101
    return time.perf_counter() - started


def _some(plan: Plan, paths: Sequence[Path]) -> Plan:
    if plan.items:
        return plan
    raise ReadError(
        "there is no scan here",
        source=paths[0],
        remedy="Name a folder that holds DICOM or NIfTI files",
    )


def _listed(studies: Studies) -> Sequence[str | PathLike[str]]:
    return [studies] if isinstance(studies, str | PathLike) else studies


def _paths(inputs: Sequence[Input]) -> list[Path]:
    return list(dict.fromkeys(one.path for one in inputs))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")  # the kernel lets go of it when its holder dies
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ScoringError(
            "another run writes to this folder",
            source=folder,
            remedy="Wait until it is done, or choose another folder",
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _opened(folder: Path) -> Iterator[Journal]:
    journal = Journal(folder / FILE_NAME)
    try:
        yield journal
    finally:
        journal.close()
