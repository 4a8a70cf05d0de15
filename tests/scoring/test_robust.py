"""Never lose a result, never score twice, whatever ends a run."""

import ast
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.disks import mounted, remount
from support.scoring import (
    DEADLY,
    ENDLESS,
    LABELS,
    load,
    load_with_point,
    run,
    started,
    write_scan,
)
from support.tables import scores_of

from napari_resonance.errors import (
    CancelledError,
    ExportError,
    ReadError,
    ScoringError,
)
from napari_resonance.scoring.journal import BEGUN, FILE_NAME, Journal, Task
from napari_resonance.scoring.options import ScoreOptions
from napari_resonance.scoring.plan import find
from napari_resonance.scoring.run import forecast, rebuild, score

TESTS = Path(__file__).parents[1]


def sources(out, status="scored"):
    return [row["source"] for row in scores_of(out) if row["status"] == status]


@pytest.fixture
def studies(tmp_path):
    for n in range(6):
        write_scan(tmp_path / f"studies/p{n}/t1.nii", 10 * n + 5)
    return tmp_path / "studies"


def test_killed_at_a_hundred_moments_every_scan_is_there_once(tmp_path):
    studies = tmp_path / "studies"
    for n in range(60):
        write_scan(studies / f"p{n}/t1.nii", n)
    run(studies, tmp_path / "calm")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-m", "support.killing", studies, tmp_path / "killed", "100"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = ast.literal_eval(done.stdout)
    assert said["torch"] is False
    assert (said["scored"], said["failed"]) == (60, 0)
    assert said["resumed"] > 0
    assert scores_of(tmp_path / "killed") == scores_of(tmp_path / "calm")


def test_a_run_goes_on_with_what_is_missing_new_or_changed(studies, tmp_path):
    out = tmp_path / "out"
    assert run(studies, out).resumed == 0
    again = run(studies, out)
    assert (again.scored, again.resumed) == (6, 6)
    write_scan(studies / "p9/t1.nii", 99)
    write_scan(studies / "p1/t1.nii", 98)
    more = run(studies, out)
    assert (more.scored, more.resumed) == (7, 5)
    by_source = {row["source"]: row for row in scores_of(out)}
    assert float(by_source["p1/t1.nii"]["p_bright"]) == pytest.approx(0.98)


def test_another_model_and_other_options_score_what_they_must(studies, tmp_path):
    out = tmp_path / "out"
    write_scan(studies / "p7/t1.nii", -3)
    assert run(studies, out).skipped == 1
    forced = run(studies, out, force=True)
    assert (forced.scored, forced.skipped, forced.resumed) == (7, 0, 0)
    options = ScoreOptions(readers=0)
    other = score(studies, "second", out=out, options=options, load=load)
    assert other.resumed == 0
    assert run(studies, out).resumed == 7


def test_a_stopped_run_keeps_what_it_has(studies, tmp_path):
    told = []
    with pytest.raises(CancelledError, match="kept"):
        score(
            studies,
            "stub",
            out=tmp_path / "out",
            options=ScoreOptions(readers=0),
            load=load,
            progress=lambda done, total, text: told.append(done),
            should_stop=lambda: bool(told) and told[-1] >= 2,
        )
    assert run(studies, tmp_path / "out").resumed >= 2


def test_every_tenth_file_corrupt_is_a_row_with_its_reason(tmp_path):
    studies = tmp_path / "studies"
    for n in range(20):
        path = write_scan(studies / f"{n:02}.nii", n)
        if n % 10 == 3:
            path.write_bytes(path.read_bytes()[:400])
    summary = run(studies, tmp_path / "out")
    assert (summary.scored, summary.failed) == (18, 2)
    failed = [row for row in scores_of(tmp_path / "out") if row["status"] == "failed"]
    assert [row["source"] for row in failed] == ["03.nii", "13.nii"]
    assert all(row["error"].endswith(".") for row in failed)
    assert run(studies, tmp_path / "out").resumed == 20
    write_scan(studies / "03.nii", 3)
    assert run(studies, tmp_path / "out").failed == 1


def test_a_scan_that_kills_or_never_ends_is_listed_and_the_rest_is_done(
    studies, tmp_path
):
    write_scan(studies / "p3/deadly.nii", DEADLY)
    write_scan(studies / "p4/endless.nii", ENDLESS)
    out = tmp_path / "out"
    # Long enough for this test on a busy machine, which all the others need no more.
    summary = run(studies, out, readers=1, time_limit=20)
    assert (summary.scored, summary.failed) == (6, 2)
    errors = {
        row["source"]: row["error_type"] for row in scores_of(out) if row["error"]
    }
    assert errors == {
        "p3/deadly.nii": "Quarantined",
        "p4/endless.nii": "TimeLimit",
    }
    write_scan(studies / "p4/endless.nii", 50)
    again = run(studies, out)
    assert (again.scored, again.failed, again.resumed) == (7, 1, 7)


def test_a_second_run_on_one_folder_leaves(studies, tmp_path):
    out = tmp_path / "out"
    run(studies, out)
    held = "import sys, filelock; l = filelock.FileLock(sys.argv[1]); l.acquire()"
    wait = held + "; print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", wait, str(out / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(ScoringError, match="another run"):
            run(studies, out)
    finally:
        holder.kill()
        holder.communicate()
    assert run(studies, out).resumed == 6  # the lock went with its holder


def test_inputs_that_vanish_leave_the_results(studies, tmp_path):
    out = tmp_path / "out"
    run(studies, out)
    before = scores_of(out)
    studies.rename(tmp_path / "away")
    with pytest.raises(ReadError, match="no such file"):
        run(studies, out)
    assert scores_of(out) == before
    (tmp_path / "away").rename(studies)
    assert run(studies, out).resumed == 6


def test_a_share_that_vanishes_while_it_is_scored_makes_no_failures(studies, tmp_path):
    away = tmp_path / "away"

    def unplug(done, total, text):
        if done == 2 and not away.exists():
            studies.rename(away)

    out = tmp_path / "out"
    with pytest.raises(ReadError, match="vanished while they were scored"):
        score(
            studies,
            "stub",
            out=out,
            options=ScoreOptions(readers=0),
            load=load,
            progress=unplug,
        )
    away.rename(studies)
    summary = run(studies, out)
    assert (summary.scored, summary.failed) == (6, 0)
    assert summary.resumed >= 2


def test_a_full_disk_ends_a_run_that_goes_on_when_there_is_space(tmp_path):
    studies = tmp_path / "studies"
    for n in range(300):
        write_scan(studies / f"p{n}/t1.nii", n % 90)
    with mounted(tmp_path / "small", "size=400k") as small:
        with pytest.raises(ExportError, match="space"):
            run(studies, small / "out")
        remount(small, "size=20m")
        summary = run(studies, small / "out")
        assert (summary.scored, summary.failed) == (300, 0)
        assert summary.resumed > 0
        assert len(scores_of(small / "out")) == 300


def test_an_output_that_may_not_be_written_is_named_and_kept(studies, tmp_path):
    with mounted(tmp_path / "small", "size=20m") as small:
        run(studies, small / "out")
        before = scores_of(small / "out")
        write_scan(studies / "p9/t1.nii", 99)
        remount(small, "ro")
        with pytest.raises(ExportError, match="cannot be written") as caught:
            run(studies, small / "out")
        assert str(small / "out") in str(caught.value)
        remount(small, "rw")
        assert run(studies, small / "out").resumed == 6
        assert len(scores_of(small / "out")) == len(before) + 1


def test_memory_does_not_grow_with_the_number_of_scans(tmp_path):
    if not Path("/proc/self/statm").is_file():
        pytest.skip("memory is measured where /proc is")
    studies, taken = tmp_path / "studies", []
    for n in range(1000):
        write_scan(studies / f"s{n}/t1.nii", n % 90)

    def look(done, total, text):
        if done in (200, 1000):
            pages = Path("/proc/self/statm").read_text().split()[1]
            taken.append(int(pages) * os.sysconf("SC_PAGE_SIZE"))

    score(
        studies,
        "stub",
        out=tmp_path / "out",
        options=ScoreOptions(readers=0),
        load=load,
        progress=look,
    )
    assert taken[1] - taken[0] < 4e6  # 5 kB a scan would be kept results


def test_a_clock_that_goes_backwards_changes_nothing(studies, tmp_path):
    out = tmp_path / "out"
    run(studies, out)
    write_scan(studies / "p9/t1.nii", 99)
    os.utime(studies / "p9/t1.nii", (1, 1))
    assert run(studies, out).resumed == 6
    os.utime(studies / "p1/t1.nii", (2, 2))  # touched, though long ago
    assert run(studies, out).resumed == 6


def test_views_are_made_anew_from_the_journal(studies, tmp_path):
    out = tmp_path / "out"
    run(studies, out, force=True, study="mean")
    before = scores_of(out)
    names = ("scores.csv", "scores.parquet", "report.html", "studies.csv")
    for name in names:
        (out / name).unlink()
    rebuild(out)
    assert scores_of(out) == before
    assert all((out / name).is_file() for name in names)
    with pytest.raises(ReadError, match="no journal"):
        rebuild(studies)


def test_a_dry_run_writes_nothing(studies, tmp_path):
    out = tmp_path / "out"
    options = ScoreOptions(series="slices>=5 and not source~p3")
    found = forecast(studies, "stub", out=out, options=options, load=load)
    assert (found.pending, found.there) == (5, 0)
    assert found.sampled > 0
    assert not out.exists()


def test_a_rule_and_regions_choose(studies, tmp_path):
    out = tmp_path / "out"
    run(studies, out, series="source~p2 or source~p4")
    assert sources(out) == ["p2/t1.nii", "p4/t1.nii"]
    regions = tmp_path / "studies/regions.csv"
    regions.write_text(
        "path,center_x,center_y,center_z\np2/t1.nii,1,2,3\np2/t1.nii,4,5,6\n"
    )
    run(regions, out)
    rows = scores_of(out)
    assert [row["source"] for row in rows] == ["t1.nii"] * 2
    places = {tuple(row[f"center_{axis}"] for axis in "xyz") for row in rows}
    assert places == {("1", "2", "3"), ("4", "5", "6")}
    with pytest.raises(ReadError, match="none of the 6 scans"):
        run(studies, out, series="modality=CT")


def test_text_of_files_does_not_become_a_formula(studies, tmp_path):
    write_scan(studies / "=1+1/t1.nii", 40)
    run(studies, tmp_path / "out")
    assert "'=1+1/t1.nii" in sources(tmp_path / "out")


def test_labels_have_columns_in_both_tables(studies, tmp_path):
    from pyarrow import parquet

    out = tmp_path / "out"
    run(studies, out)
    columns = scores_of(out)[0]
    assert all(f"p_{label}" in columns for label in LABELS)
    kept = parquet.read_table(out / "scores.parquet")
    assert kept.num_rows == 6
    assert set(columns) < set(kept.column_names)


def test_what_the_operating_point_says_is_in_the_table(tmp_path):
    write_scan(tmp_path / "in" / "dim.nii", 40)
    write_scan(tmp_path / "in" / "dark.nii", 10)
    for name, loads in (("with", load_with_point), ("without", load)):
        score(tmp_path / "in", "stub", out=tmp_path / name, load=loads)
    said = [(r["label"], r["called"]) for r in scores_of(tmp_path / "with")]
    assert said == [("dark", "dark"), ("dark", "bright")]
    assert {row["called"] for row in scores_of(tmp_path / "without")} == {""}


def begun(out):
    """Sources that were begun and not ended, with the number of tries."""
    journal = Journal(out / FILE_NAME)
    states = journal.states("stub", ScoreOptions().sha256)
    found = {i.source: states.get(i.key, ("", 0)) for i in journal.items()}
    journal.close()
    return {s: tries for s, (status, tries) in found.items() if status == BEGUN}


def killed_by_a_scan(studies, out):
    """Score in a process that reads by itself, and goes down with the scan."""
    child = started(studies, out)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_scan_that_ends_a_run_is_quarantined_after_two_tries_and_no_other(
    studies, tmp_path
):
    write_scan(studies / "p2/scan.nii", DEADLY)
    out = tmp_path / "out"
    killed_by_a_scan(studies, out)
    assert begun(out) == {"p2/scan.nii": 1}
    # As if one had been at work beside it, whose answer was not kept yet.
    journal = Journal(out / FILE_NAME)
    (other,) = [i for i in journal.items() if i.source == "p4/t1.nii"]
    journal.begin([Task(other.key, "stub", ScoreOptions().sha256)])
    journal.close()
    summary = run(studies, out)
    assert (summary.scored, summary.failed) == (6, 1)
    (row,) = [row for row in scores_of(out) if row["error"]]
    assert (row["source"], row["error_type"]) == ("p2/scan.nii", "Quarantined")
    assert "--retry-failed" in row["error"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_scans_over_which_fewer_runs_ended_are_tried_first(
    studies, tmp_path, monkeypatch
):
    write_scan(studies / "p0/scan.nii", DEADLY)
    out = tmp_path / "out"
    killed_by_a_scan(studies, out)
    journal = Journal(out / FILE_NAME)
    keys = {item.source: item.key for item in journal.items()}
    for source, times in (("p1/t1.nii", 3), ("p2/t1.nii", 2), ("p3/t1.nii", 1)):
        for _ in range(times):
            journal.begin([Task(keys[source], "stub", ScoreOptions().sha256)])
    journal.close()
    begun_now, real = [], Journal.begin

    def begin(self, tasks):
        begun_now.extend(task.item for task in tasks)
        real(self, tasks)

    monkeypatch.setattr(Journal, "begin", begin)
    summary = run(studies, out)
    assert (summary.scored, summary.failed) == (6, 1)
    names = {key: source for source, key in keys.items()}
    order = [names[key] for key in begun_now]
    fresh = ["p0/t1.nii", "p4/t1.nii", "p5/t1.nii"]
    suspects = ["p0/scan.nii", "p3/t1.nii", "p2/t1.nii", "p1/t1.nii"]
    assert order == [*fresh, *suspects]


def test_what_five_whole_runs_ended_over_is_not_tried_again(studies, tmp_path):
    out = tmp_path / "out"
    run(studies, out, series="source~p0")
    write_scan(studies / "p2/scan.nii", 50)
    run(studies, out, series="source~p1")  # a plan without it
    (item,) = [i for i in find([studies], out).items if i.source == "p2/scan.nii"]
    journal = Journal(out / FILE_NAME)
    for _ in range(5):
        journal.begin([Task(item.key, "stub", ScoreOptions().sha256)])
    journal.close()
    summary = run(studies, out)
    assert (summary.scored, summary.failed) == (6, 1)
    assert run(studies, out, retry_failed=True).scored == 7


def test_readers_that_are_killed_from_outside_lose_nothing(studies, tmp_path):
    """Whoever ends a reading process, its scan is read once more, alone."""
    ended = []

    def end_one(done, total, text):
        if done == 1 and not ended:
            children = multiprocessing.active_children()
            ended.extend(child.pid for child in children)
            for child in children:
                os.kill(child.pid, signal.SIGKILL)

    summary = score(
        studies,
        "stub",
        out=tmp_path / "out",
        options=ScoreOptions(readers=2),
        load=load,
        progress=end_one,
    )
    assert ended
    assert (summary.scored, summary.failed) == (6, 0)
