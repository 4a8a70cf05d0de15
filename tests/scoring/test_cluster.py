"""Several workers give what one process gives, whatever happens to one of them."""

import ast
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from support.killing import MARK, left_processes
from support.scoring import (
    DEADLY,
    ENDLESS,
    SLOW,
    TRACE,
    load,
    run,
    slow_load,
    write_scan,
)
from support.tables import scores_of

import napari_resonance.scoring.cluster as cluster_module
from napari_resonance.errors import ModelError, ScoringError
from napari_resonance.progress import no_progress
from napari_resonance.scoring.cluster import Cluster, Tasks
from napari_resonance.scoring.options import ScoreOptions
from napari_resonance.scoring.plan import find
from napari_resonance.scoring.preparing import Ended, Job
from napari_resonance.scoring.reader import Models
from napari_resonance.scoring.run import score
from napari_resonance.scoring.worker import Readings, end_readers, score_jobs

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
    readings = Readings(Models(load, ("stub",), "cpu", ("stub",)), 20, "run")
    try:
        first, lost, last = score_jobs(readings, jobs)
    finally:
        end_readers("run")
    assert (first.status, last.status) == ("scored", "scored")
    assert [item for item, _ in lost.job.wanted] == [items[1]]


def test_tasks_grow_until_they_take_long_enough():
    def took(seconds, n_jobs):
        cluster = SimpleNamespace(run="run", check=lambda readings: None)
        tasks = Tasks(cluster, iter(()), None, ScoreOptions(), None, alone=False)
        ended = Ended("key", 0, "scored", {}, seconds=(seconds / n_jobs, 0, 0))
        tasks._pace([ended] * n_jobs, n_jobs)
        return tasks._together

    assert took(0.01, 1) == 2  # at most twice as many as before
    assert took(0.25, 4) == 8
    assert took(0.5, 8) == 8
    assert took(2.0, 4) == 1
    assert took(0.001, 16) == 16  # all of them are suspects if the run is killed


def test_workers_that_lack_a_module_end_the_run_instead_of_holding_it_up(
    studies, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "only_here", ModuleType("only_here"))

    def load_here(name, device):
        return load(name, device)

    load_here.__module__, load_here.__qualname__ = "only_here", "load_here"
    sys.modules["only_here"].load_here = load_here
    options = ScoreOptions(workers=1)
    with pytest.raises(ScoringError, match=r"'only_here'.*the same versions"):
        score(studies, "stub", out=tmp_path / "out", options=options, load=load_here)


def test_a_machine_with_another_model_is_refused():
    models = Models(load, ("stub",), "cpu", ("another",))
    with pytest.raises(ModelError, match="another one on this machine"):
        models.loaded()


def test_a_suspect_is_begun_when_a_process_waits_for_it(studies, tmp_path, monkeypatch):
    """Else runs that are ended while processes start would make it guilty."""
    trace, begun = tmp_path / "trace", []
    monkeypatch.setenv(TRACE, str(trace))
    (item,) = find([studies / "p0/t1.nii"], tmp_path / "out").items
    (job,) = Job(((item, (0,)),)).alone()
    models = Models(slow_load, ("stub",), "cpu", ("stub",))
    with Cluster(ScoreOptions(workers=1)) as cluster:
        tasks = Tasks(
            cluster,
            iter([job, job]),
            models,
            ScoreOptions(),
            lambda job: begun.append(trace.exists()),
            alone=True,
        )
        found = []
        while not tasks.is_done:
            found += tasks.messages(wait=True)
        tasks.close()
    assert begun == [True, True]
    assert [one.status for one in found] == ["scored", "scored"]


def test_a_run_that_is_killed_at_any_step_loses_doubles_and_blames_nothing(tmp_path):
    studies = tmp_path / "studies"
    for n in range(60):
        write_scan(studies / f"p{n}/t1.nii", n)
    run(studies, tmp_path / "calm")
    done = subprocess.run(
        [sys.executable, "-m", "support.killing", studies, tmp_path / "out", "20", "2"],
        env=os.environ | {MARK: str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = ast.literal_eval(done.stdout.splitlines()[-1])
    assert said["killed"] >= 10
    assert said["left"] == 0  # no worker, no reading process
    assert (said["scored"], said["failed"]) == (60, 0)
    assert scores_of(tmp_path / "out") == scores_of(tmp_path / "calm")


@pytest.mark.parametrize("options", [{"workers": 1}, {"readers": 1}], ids=str)
def test_a_run_that_is_killed_takes_processes_over_endless_scans_along(
    studies, tmp_path, monkeypatch, options
):
    trace = tmp_path / "trace"
    monkeypatch.setenv(TRACE, str(trace))
    monkeypatch.setenv(MARK, str(tmp_path))
    write_scan(studies / "p0/t1.nii", ENDLESS)
    code = (
        "import sys\n"
        "from support.scoring import run\n"
        "if __name__ == '__main__':\n"
        f"    run(*sys.argv[1:], **{options})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, studies, tmp_path / "out"])
    ends = time.monotonic() + 60
    while not trace.exists() and time.monotonic() < ends:
        time.sleep(0.1)
    assert trace.exists()
    process.kill()
    process.wait()
    assert left_processes(20) == 0
