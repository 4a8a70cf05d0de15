"""The journal keeps what it was told, and says so where it cannot."""

import os

import pytest
from support.disks import mounted

from napari_resonance.errors import ExportError
from napari_resonance.scoring.journal import (
    BEGUN,
    FAILED,
    SCORED,
    Journal,
    Result,
    Task,
)
from napari_resonance.scoring.plan import Item, Plan

TASK = Task("item", "model", "options")


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "journal.sqlite")
    yield made
    made.close()


def state(journal):
    return journal.states("model", "options").get("item")


def test_a_result_is_there_once_however_often_it_was_begun(journal):
    journal.begin([TASK])
    journal.begin([TASK])
    assert state(journal) == (BEGUN, 2)
    journal.finish([Result(TASK, FAILED, {"error": "broken"})])
    journal.finish([Result(TASK, SCORED, {"label": "T1w"}, "content")])
    assert state(journal) == (SCORED, 2)


def test_only_what_was_not_ended_is_forgotten(journal):
    other = Task("other", "model", "options")
    journal.begin([TASK, other])
    journal.finish([Result(other, SCORED, {})])
    journal.forget([TASK, other])
    assert journal.states("model", "options") == {"other": (SCORED, 1)}


def test_a_run_that_ends_in_order_takes_back_its_own_try_only(journal):
    journal.begin([TASK])  # by a run that was killed
    journal.begin([TASK])
    journal.forget([TASK])
    assert state(journal) == (BEGUN, 1)


def test_it_says_where_each_planned_scan_stands(journal, tmp_path):
    names = ("a.zip/1.nii", "b.nii", "a.zip/2.nii")
    items = [Item(n, n, (f"/in/{n.partition('/')[0]}",)) for n in names]
    journal.keep_plan(
        Plan(tmp_path, "stamp", (*items, Item("c", "c", ("c",), refused="cut")))
    )
    journal.finish([Result(Task("b.nii", "m1", "o"), SCORED, {})])
    journal.begin([Task("a.zip/2.nii", "m2", "o")])
    new = ("", 0)
    assert list(journal.standing(["m1", "m2"], "o")) == [
        (0, 0, False, [new, new]),
        (2, 0, False, [new, (BEGUN, 1)]),
        (1, 1, False, [(SCORED, 1), new]),
        (3, 3, True, [new, new]),
    ]
    assert list(journal.items([2, 0])) == [items[0], items[2]]


def test_only_its_owner_may_read_it(journal):
    if os.name == "posix":
        assert journal.path.stat().st_mode & 0o777 == 0o600


def test_another_connection_sees_a_result_at_once(journal, tmp_path):
    journal.finish([Result(TASK, SCORED, {"probability": 0.1 + 0.2})])
    again = Journal(tmp_path / "journal.sqlite")
    assert state(again) == (SCORED, 1)
    again.close()


def test_results_come_together_or_not_at_all(journal):
    not_json = Result(Task("second", "model", "options"), SCORED, {"p": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        journal.finish([Result(TASK, SCORED, {}), not_json])
    assert journal.states("model", "options") == {}


def test_a_plan_takes_the_place_of_the_one_before_and_results_stay(journal, tmp_path):
    first = Item(
        "item", "a.nii", ("/in/a.nii",), shape=(3, 4, 5), description="T1 \ud83d"
    )
    journal.keep_plan(Plan(tmp_path, "stamp 1", (first,), (("b.txt", "a text file"),)))
    journal.finish([Result(TASK, SCORED, {"label": "T1w"}, "content")])
    assert list(journal.items()) == [first]
    assert list(journal.left_out()) == [("b.txt", "a text file")]
    assert [(i.source, s) for i, _, s, _, _ in journal.rows("options")] == [
        ("a.nii", SCORED)
    ]
    second = Item("changed", "a.nii", ("/in/a.nii",))
    journal.keep_plan(Plan(tmp_path, "stamp 2", (second,)))
    assert list(journal.items()) == [second]
    assert list(journal.left_out()) == []
    assert list(journal.rows("options")) == []
    assert state(journal) == (SCORED, 1)


def test_models_of_one_name_are_told_apart_and_the_last_has_the_name(journal):
    for sha256 in ("abcdefghij", "0123456789", "other"):
        journal.keep_model(sha256, sha256 if sha256 == "other" else "m", ("a", "b"))
    names = {sha: name for sha, (name, _) in journal.models().items()}
    assert names == {"abcdefghij": "m (abcdefgh)", "0123456789": "m", "other": "other"}
    journal.keep_model("abcdefghij", "m", ("a", "b"))
    names = {sha: name for sha, (name, _) in journal.models().items()}
    assert names == {"0123456789": "m (01234567)", "abcdefghij": "m", "other": "other"}


def test_a_file_that_is_no_journal_is_named(tmp_path):
    (tmp_path / "journal.sqlite").write_bytes(b"something else " * 100)
    with pytest.raises(ExportError, match="the journal cannot be used"):
        Journal(tmp_path / "journal.sqlite")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    with mounted(tmp_path / "small", "size=512k") as folder:
        yield folder


def test_a_full_disk_ends_it_and_all_before_is_kept(small_disk):
    journal = Journal(small_disk / "journal.sqlite")
    kept = 0
    with pytest.raises(ExportError, match=r"full.*space"):  # noqa: PT012
        for n in range(2000):
            answer = {"text": "x" * 1000}
            journal.finish([Result(Task(str(n), "m", "o"), SCORED, answer)])
            kept += 1
    journal.close()
    again = Journal(small_disk / "journal.sqlite")
    assert 0 < kept < 2000
    assert again.states("m", "o") == {str(n): (SCORED, 1) for n in range(kept)}
    again.close()
