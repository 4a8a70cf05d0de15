"""Runs with a real network that are killed in the middle of a scan, and go on."""

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from support.tables import scores_of

from napari_resonance import ScoreOptions, score
from napari_resonance.samples import sample_path
from napari_resonance.scoring.journal import BEGUN, FILE_NAME, SCORED

N_SCANS, N_KILLS = 15, 5


@pytest.fixture
def studies(tmp_path):
    sample = sample_path("icbm-t1")
    for n in range(N_SCANS):
        path = tmp_path / f"studies/sub-{n}/t1{''.join(sample.suffixes[-2:])}"
        path.parent.mkdir(parents=True)
        shutil.copyfile(sample, path)
    return tmp_path / "studies"


def counted(out):
    """Return how many scans were begun and not ended, and how many were scored."""
    with contextlib.suppress(sqlite3.Error):
        base = sqlite3.connect(f"file:{out / FILE_NAME}?mode=ro", uri=True)
        with contextlib.closing(base):
            query = "SELECT status, count(*) FROM results GROUP BY status"
            found = dict(base.execute(query))
            return found.get(BEGUN, 0), found.get(SCORED, 0)
    return 0, 0


def killed_in_a_scan(studies, out):
    """Score until one more scan is done and another one is begun; return how many."""
    _, before = counted(out)
    command = [sys.executable, "-m", "napari_resonance", "score", str(studies)]
    run = subprocess.Popen(
        [*command, "--out", str(out), "--device", "cpu", "--readers", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ends = time.monotonic() + 120
    while run.poll() is None and time.monotonic() < ends:
        begun, scored = counted(out)
        if begun and scored > before:
            break
        time.sleep(0.005)
    run.kill()
    assert run.wait() == -signal.SIGKILL, "it ended before it was killed"
    return counted(out)


def test_five_kills_in_the_middle_of_a_scan_change_no_answer(studies, tmp_path):
    out, calm = tmp_path / "out", tmp_path / "calm"
    done = 0
    for _ in range(N_KILLS):
        begun, scored = killed_in_a_scan(studies, out)
        # It was at work over a scan, and what was done before is there.
        assert begun > 0
        assert done < scored < N_SCANS
        done = scored
    options = ScoreOptions(device="cpu", readers=1)
    summary = score(studies, "mr-sequence", out=out, options=options)
    assert (summary.scored, summary.failed) == (N_SCANS, 0)
    assert summary.resumed >= N_KILLS
    score(studies, "mr-sequence", out=calm, options=options)
    assert scores_of(out) == scores_of(calm)
