"""A wall clock that is set back, during a run or between two, changes nothing."""

import csv
import itertools
import re
import time
from pathlib import Path

import pytest
from support.scoring import ENDLESS, run, write_scan
from support.tables import scores_of

import napari_resonance.scoring
from napari_resonance.cli.score import _Pace
from napari_resonance.errors import CancelledError
from napari_resonance.scoring.options import ScoreOptions
from napari_resonance.scoring.run import score

SOURCES = Path(napari_resonance.scoring.__file__).parent


@pytest.fixture
def studies(tmp_path):
    for n in range(8):
        write_scan(tmp_path / f"studies/p{n}/t1.nii", 10 * n + 5)
    return tmp_path / "studies"


@pytest.fixture
def clock_runs_backwards(monkeypatch):
    """Let each look at the wall clock find it an hour earlier."""
    seconds = itertools.count(2_000_000_000, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(seconds)))
    monkeypatch.setattr(time, "time_ns", lambda: next(seconds) * 10**9)
    first = time.time()
    assert time.time() < first


@pytest.mark.parametrize("readers", [0, 1])
def test_a_run_that_is_stopped_goes_on(
    studies, tmp_path, clock_runs_backwards, readers
):
    from support.scoring import load

    done = []
    with pytest.raises(CancelledError):
        score(
            studies,
            "stub",
            out=tmp_path / "out",
            options=ScoreOptions(readers=readers),
            load=load,
            progress=lambda n, total, text: done.append(n),
            should_stop=lambda: bool(done) and done[-1] >= 3,
        )
    kept = done[-1]
    assert 3 <= kept < 8
    again = run(studies, tmp_path / "out", readers=readers)
    assert (again.scored, again.failed, again.resumed) == (8, 0, kept)
    assert all(share >= 0 for share in again.stages.busy().values())
    rows = scores_of(tmp_path / "out")
    assert len({row["source"] for row in rows}) == len(rows) == 8
    with (tmp_path / "out/scores.csv").open(newline="") as table:
        assert all(float(row["seconds"]) >= 0 for row in csv.DictReader(table))


def test_the_time_limit_holds(studies, tmp_path, clock_runs_backwards):
    write_scan(studies / "p3/scan.nii", ENDLESS)
    began = time.monotonic()
    summary = run(studies, tmp_path / "out", readers=1, time_limit=3)
    assert (summary.scored, summary.failed) == (8, 1)
    assert time.monotonic() - began < 60  # not until the clock has caught up


def test_the_time_that_is_left_is_never_negative(clock_runs_backwards):
    pace = _Pace()
    pace.words(0, 100, "0 failed")
    for done in range(1, 100):
        words = pace.words(done, 100, "0 failed")
        assert re.search(r", \d+ a minute, [\d.]+ (s|min|h) left$", words), words


def test_nothing_in_a_run_asks_for_the_wall_clock():
    """So nothing can be set back: neither keys nor results hold the time of day."""
    for path in SOURCES.glob("*.py"):
        text = path.read_text("utf-8")
        assert not re.search(r"time\.time|datetime|CURRENT_TIME|'now'", text), path
