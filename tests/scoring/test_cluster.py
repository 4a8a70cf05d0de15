"""Several workers give what one process gives, whatever happens to one of them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.scoring import DEADLY, ENDLESS, SLOW, load, run, write_scan
from support.tables import scores_of

import napari_resonance.scoring.cluster as cluster_module
from napari_resonance.errors import ModelError, ScoringError
from napari_resonance.progress import no_progress
from napari_resonance.scoring.cluster import Tasks, score_jobs
from napari_resonance.scoring.options import ScoreOptions
from napari_resonance.scoring.plan import find
from napari_resonance.scoring.preparing import Ended, Job
from napari_resonance.scoring.reader import Models
from napari_resonance.scoring.run import score

pytest.importorskip("distributed", reason="needs the extra [cluster]")
TESTS = Path(__file__).parents[1]


@pytest.fixture
def studies(tmp_path):
    for n in range(12):
        write_scan(tmp_path / f"studies/p{n}/t1.nii", 5 * n + 5)
    write_scan(tmp_path / "studies/p1/t2.nii", -3)
    return tmp_path / "studies"


@pytest.fixture(autouse=True)
def workers_find_the_stub(monkeypatch):
    path = os.pathsep.join([str(TESTS), *sys.path])
    monkeypatch.setenv("PYTHONPATH", path)


def scored(studies, out, progress=no_progress, **options):
    chosen = ScoreOptions(**options)
    return score(studies, "stub", out=out, options=chosen, load=load, progress=progress)


def test_workers_give_the_same_and_a_deadly_scan_costs_itself_only(
    studies, tmp_path, monkeypatch
):
    write_scan(studies / "p3/scan.nii", DEADLY)
    write_scan(studies / "p4/scan.nii", ENDLESS)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    many = scored(studies, tmp_path / "many", workers=2, time_limit=20)
    assert "OMP_NUM_THREADS" not in os.environ  # dask would leave it behind
    one = run(studies, tmp_path / "one", readers=1, time_limit=20)
    assert (many.scored, many.failed, many.skipped) == (12, 2, 1)
    assert (one.scored, one.failed, one.skipped) == (12, 2, 1)
    rows = scores_of(tmp_path / "many")
    ours = scores_of(tmp_path / "one")
    assert rows == ours
    errors = {row["source"]: row["error_type"] for row in rows if row["error"]}
    assert errors["p3/scan.nii"] == "Quarantined"
    assert errors["p4/scan.nii"] == "TimeLimit"
    assert scored(studies, tmp_path / "many", workers=2).resumed == 15


def test_a_worker_that_is_lost_loses_no_scan(studies, tmp_path):
    for n in range(6):
        write_scan(studies / f"p{n}/scan.nii", SLOW)
    ended = []

    def end_one(done, total, text):
        if done == 4 and not ended:
            workers = multiprocessing.active_children()
            ended.append(workers[0].pid)
            os.kill(workers[0].pid, signal.SIGKILL)

    summary = scored(studies, tmp_path / "out", end_one, workers=2)
    assert ended
    assert (summary.scored, summary.failed, summary.skipped) == (18, 0, 1)
    run(studies, tmp_path / "calm")
    assert scores_of(tmp_path / "out") == scores_of(tmp_path / "calm")


def test_an_address_is_a_scheduler_with_workers_of_its_own(
    studies, tmp_path, monkeypatch
):
    from distributed import LocalCluster

    monkeypatch.setattr(cluster_module, "_CONNECT_SECONDS", 2)
    with LocalCluster(
        n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address
        assert scored(studies, tmp_path / "out", scheduler=address).scored == 12
    with pytest.raises(ScoringError, match="does not answer"):
        scored(studies, tmp_path / "other", scheduler=address)


def test_jobs_of_one_task_do_not_share_the_end_of_a_process(studies, tmp_path):
    """Of three scans that a worker gets at once, the second ends its process."""
    write_scan(studies / "p0/deadly.nii", DEADLY)
    paths = [studies / f"p0/{n}.nii" for n in ("t1", "deadly", "t1")]
    items = [item for p in paths for item in find([p], tmp_path / "out").items]
    jobs = [Job(((item, (0,)),), whole=True) for item in items]
    models = Models(load, ("stub",), "cpu", ("stub",))
    with ThreadPoolExecutor(1) as thread:
        try:
            first, lost, last = thread.submit(score_jobs, jobs, models, 20).result()
        finally:
            cluster_module._end_readers()
    assert (first.status, last.status) == ("scored", "scored")
    assert [item for item, _ in lost.job.wanted] == [items[1]]


def test_tasks_grow_until_they_take_long_enough():
    def took(seconds, n_jobs):
        tasks = Tasks(None, iter(()), None, ScoreOptions(), None, alone=False)
        ended = Ended("key", 0, "scored", {}, seconds=(seconds / n_jobs, 0, 0))
        tasks._pace([ended] * n_jobs, n_jobs)
        return tasks._together

    assert took(0.01, 1) == 2  # at most twice as many as before
    assert took(0.25, 4) == 8
    assert took(0.5, 8) == 8
    assert took(2.0, 4) == 1
    assert took(0.001, 16) == 16  # all of them are suspects if the run is killed


def test_a_machine_with_another_model_is_refused():
    models = Models(load, ("stub",), "cpu", ("another",))
    with pytest.raises(ModelError, match="another one on this machine"):
        models.loaded()


def test_a_run_that_is_killed_leaves_no_worker(studies, tmp_path):
    code = (
        "from support.scoring import load\n"
        "from napari_resonance import ScoreOptions, score\n"
        "import multiprocessing, sys\n"
        "def told(done, total, text):\n"
        "    if done == 2:\n"
        "        children = multiprocessing.active_children()\n"
        "        print(*[child.pid for child in children], flush=True)\n"
        "        sys.stdin.read()\n"
        "if __name__ == '__main__':\n"
        "    score(sys.argv[1], 'stub', out=sys.argv[2], load=load, progress=told,\n"
        "          options=ScoreOptions(workers=1))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, studies, tmp_path / "out"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = [int(word) for word in process.stdout.readline().split()]
    assert pids
    process.kill()
    process.communicate()
    assert all(is_gone(pid) for pid in pids)
    summary = scored(studies, tmp_path / "out", workers=1)
    assert (summary.scored, summary.failed) == (12, 0)


def is_gone(pid, seconds=30.0):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return True
        time.sleep(0.2)
    return False
