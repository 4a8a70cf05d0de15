"""What a run costs beside its model: 100,000 small studies, and a model that waits.

Planning, journal, resuming and tables of a large run, with the memory of all processes;
how well a stage hides behind another one, and how well workers share the work, where
each step waits as long as a real one and so no core is in the way::

    python benchmarks/scoring_scale.py [--studies 100000]
    python benchmarks/scoring_scale.py --overlap
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import psutil
from pace import Pace
from stub_scorer import load

from napari_resonance import ScoreOptions, score
from napari_resonance.scoring.inputs import Input
from napari_resonance.scoring.journal import SCORED, Journal, Result, Task
from napari_resonance.scoring.run import make_plan
from napari_resonance.scoring.summary import Summary
from napari_resonance.scoring.views import write_all

FAST = "stub-0-0"
# Reading and preparing a brain scan, and its network on two busy cores.
READ_MS, NETWORK_MS = 60, 40


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--overlap", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.overlap:
            overlap(Path(folder))
        else:
            large_run(Path(folder), options.studies)


def large_run(folder: Path, n_studies: int) -> None:
    """Plan, score, resume and tabulate many studies."""
    studies, out = written(folder / "studies", n_studies), folder / "out"
    out.mkdir()
    journal = Journal(out / "journal.sqlite")
    started, worked = time.perf_counter(), time.process_time()
    make_plan([Input(studies)], "", journal, lambda: False)
    seconds, own = time.perf_counter() - started, time.process_time() - worked
    print(f"planning: {seconds:.1f} s, {own:.1f} of the processor (target: at most 60)")
    journal.close()

    seen: list[tuple[int, float, int]] = []

    def told(done: int, total: int, text: str) -> None:
        if done and done % (n_studies // 10) == 0:
            seen.append((done, time.perf_counter(), memory()))

    started = time.perf_counter()
    scored(studies, out, FAST, progress=told)
    print(
        f"whole run: {time.perf_counter() - started:.0f} s, rate and memory of all:",
        flush=True,
    )
    for (_, before, _), (done, now, taken) in pairwise(seen):
        rate = n_studies / 10 / (now - before)
        print(f"  {done}: {rate:.0f} scans/s, {taken / 1e6:.0f} MB")

    began: list[float] = []
    started = time.perf_counter()
    scored(
        studies,
        out,
        FAST,
        progress=lambda done, total, text: (
            began.append(time.perf_counter()) if total else None
        ),
    )
    print(f"resuming: {began[0] - started:.1f} s (target: at most 10)")
    journal = Journal(out / "journal.sqlite")
    before = memory()
    started = time.perf_counter()
    write_all(journal, out, ScoreOptions(identifiers=True), None)
    seconds = time.perf_counter() - started
    more = (memory() - before) / 1e6
    print(f"table, Parquet and report: {seconds:.1f} s, {more:.0f} MB more")
    journal.close()
    size = (out / "journal.sqlite").stat().st_size
    print(f"journal: {size / n_studies:.0f} bytes a scan")
    journal_rate(folder / "rate.sqlite")


def journal_rate(path: Path) -> None:
    """Print how many results a second are on the disk, one transaction each."""
    answer = load(FAST, "").judge(None, None).to_json()  # type: ignore[arg-type]
    for batch in (1, 16):
        journal = Journal(path.with_suffix(f".{batch}"))
        results = [Result(Task(str(n), "m", "o"), SCORED, answer) for n in range(8000)]
        started = time.perf_counter()
        for n in range(0, len(results), batch):
            part = results[n : n + batch]
            journal.begin([result.task for result in part])
            journal.finish(part)
        rate = len(results) / (time.perf_counter() - started)
        print(f"journal, {batch} at a time: {rate:.0f} results/s (target: 2000)")
        journal.close()


def overlap(folder: Path) -> None:
    """Print how much of the slowest stage's rate a run has, and what workers add."""
    studies = written(folder / "studies", 600)
    slowest = 1000 / READ_MS
    share = steady(studies, folder / "out") / slowest
    print(f"score / slowest stage alone: {share:.2f} (target: at least 0.9)")
    rates = {n: steady(studies, folder / f"out-{n}", workers=n) / n for n in (1, 2, 4)}
    for n in (2, 4):
        print(f"{n} workers / {n} × 1 worker: {rates[n] / rates[1]:.2f} (target 0.9)")


def steady(studies: Path, out: Path, **given: Any) -> float:
    """Return the scans a second once all processes have started."""
    pace = Pace()
    summary = scored(
        studies, out, f"stub-{READ_MS}-{NETWORK_MS}", progress=pace, **given
    )
    print(f"  {summary.stages}")
    return pace.rate


def scored(studies: Path, out: Path, model: str, **given: Any) -> Summary:
    """Score with the stub, in one reading process if nothing else is said."""
    progress = given.pop("progress", None)
    options = ScoreOptions(**{"readers": 1, "identifiers": True} | given)
    more = {} if progress is None else {"progress": progress}
    summary = score(studies, model, out=out, options=options, load=load, **more)
    if summary.failed:
        raise RuntimeError(str(summary))
    return summary


def written(folder: Path, n_studies: int) -> Path:
    """Write small NIfTI files, a folder each."""
    folder.mkdir()
    sample = folder / "sample.nii"
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.float32), np.eye(4)), sample)
    data = sample.read_bytes()
    sample.unlink()
    for n in range(n_studies):
        path = folder / f"site{n // 1000}" / f"sub-{n}" / "t1.nii"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    return folder


def memory() -> int:
    """Return the bytes that this process and its children take, shared ones once."""
    me = psutil.Process()
    processes = (me, *me.children(recursive=True))
    return sum(process.memory_full_info().pss for process in processes)


if __name__ == "__main__":
    main()
