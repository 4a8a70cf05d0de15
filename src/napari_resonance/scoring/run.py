"""Score many studies: plan them, do what is missing, keep each result at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from napari_resonance.classifier.place import refuse_model
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import ReadError, ScoringError
from napari_resonance.export.atomic import writable_folder
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.scoring import views
from napari_resonance.scoring.choosing import chosen
from napari_resonance.scoring.inputs import Input, inputs_of
from napari_resonance.scoring.journal import (
    BEGUN,
    FILE_NAME,
    Journal,
)
from napari_resonance.scoring.names import CODE_LENGTH, Shown
from napari_resonance.scoring.options import Load, ScoreOptions, Scorer
from napari_resonance.scoring.plan import Item, Plan, find, root_of, stamp_of
from napari_resonance.scoring.preparing import Ended, Job, prepared
from napari_resonance.scoring.reader import Models
from napari_resonance.scoring.report import REPORT
from napari_resonance.scoring.summary import Forecast, Summary
from napari_resonance.scoring.work import Work

Studies = str | PathLike[str] | Sequence[str | PathLike[str]]

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
        If another run writes to the folder, what others wrote is there, the readers
        cannot start, or the scheduler does not answer.
    ReadError
        If an input does not exist, holds no scan, or vanishes meanwhile.
    ModelError
        If a model cannot be loaded, or the folder is that of one.
    ExportError
        If the folder or the journal cannot be written.
    CancelledError
        If `should_stop` returned True.

    """
    options = options or ScoreOptions()
    _check_place(Path(out))
    folder = writable_folder(out)
    names = (model,) if isinstance(model, str) else tuple(model)
    with _locked(folder), _opened(folder) as journal:
        progress(0, 0, "looking for scans")
        inputs = inputs_of(_listed(studies))
        make_plan(inputs, options.series, journal, should_stop)
        scorers = [load(name, options.device) for name in names]
        kept = {"force": options.force, "study": options.study, "maps": options.maps}
        journal.keep_fact("options", json.dumps(kept))
        for scorer in scorers:
            journal.keep_model(scorer.sha256, scorer.name, scorer.labels)
        hashes = tuple(scorer.sha256 for scorer in scorers)
        models = Models(load, names, options.device, hashes)
        work = Work(scorers, journal, options, progress)
        started = time.perf_counter()
        try:
            work.all(models, should_stop)
        finally:
            work.end()
        work.pipeline.stages.wall = time.perf_counter() - started
        summary = work.summary(folder)
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
    folder = _with_journal(out)
    with _locked(folder), _opened(folder) as journal:
        kept = json.loads(journal.fact("options") or "{}")
        options = ScoreOptions(**kept, identifiers=identifiers)
        views.write_all(journal, folder, options, None)
    return folder


def reveal(
    out: str | PathLike[str], codes: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return what codes in the tables of a folder stand for, as the journal tells.

    Parameters
    ----------
    out
        The folder, with the journal and the key.
    codes
        Sources as they stand in a table, or single codes in them.

    Returns
    -------
    dict
        By code, paths relative to the input folder, or identifiers.

    Raises
    ------
    ReadError
        If the folder holds no journal, or a code stands for nothing in it.

    """
    folder = _with_journal(out)
    found: dict[str, dict[str, None]] = {code: {} for code in codes}
    shown = Shown(folder, identifiers=False)
    with _opened(folder) as journal:
        for item in journal.items():
            source = shown.source(item.source)
            if source in found:
                found[source][item.source] = None
                continue
            for code, name in shown.meanings(item):
                for form in {code, code[:CODE_LENGTH]} & found.keys():
                    found[form][name] = None
    unknown = [code for code, names in found.items() if not names]
    if unknown:
        raise ReadError(
            f"nothing here has the code {unknown[0]}",
            source=folder,
            remedy="Copy it out of scores.csv or report.html of this folder",
        )
    return {code: tuple(names) for code, names in found.items()}


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
    _check_place(Path(out))
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


def make_plan(
    inputs: Sequence[Input], rule: str, journal: Journal, should_stop: ShouldStop
) -> None:
    """Keep a new plan in the journal, unless no file has changed since the last one."""
    paths, folder = _paths(inputs), journal.path.parent
    root = root_of(paths)
    asked = "\n".join([rule, *(f"{i.path.absolute()}\t{i.center_mm}" for i in inputs)])
    if journal.fact("asked") == asked and journal.fact("root") == str(root):
        stamp = stamp_of(paths, folder)
        if stamp == journal.fact("stamp"):
            return
    found = _some(find(paths, folder, should_stop), paths)
    journal.keep_plan(chosen(found, rule, inputs))
    journal.keep_fact("asked", asked)
    journal.keep_fact("series", rule)


def _measured(
    one: tuple[Item, int], scorers: Sequence[Scorer], options: ScoreOptions
) -> float:
    started = time.perf_counter()
    item, number = one
    job = Job(((item, (number,)),), options.force, whole=True)
    ended = list(prepared(job, scorers))
    assert all(isinstance(e, Ended) for e in ended)  # noqa: S101
    return time.perf_counter() - started


def _check_place(folder: Path) -> None:
    """Refuse a folder in which a scoring would replace what others wrote."""
    refuse_model(folder)
    ours = any((folder / name).exists() for name in (FILE_NAME, views.TABLE))
    if not ours and (folder / REPORT).exists():
        raise ScoringError(
            "there is a report of something else here, which would be replaced",
            source=folder / REPORT,
            remedy="Choose another folder",
        )


def _with_journal(out: str | PathLike[str]) -> Path:
    folder = Path(out)
    if not (folder / FILE_NAME).is_file():
        raise ReadError(
            "holds no journal of an earlier run",
            source=folder,
            remedy="Name the folder that was given as --out",
        )
    return folder


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
