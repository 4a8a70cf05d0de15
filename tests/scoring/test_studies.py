"""One answer a study: how several become one, and what is left of the others."""

import csv

import pytest
from support.scoring import load, load_with_point, write_scan

from napari_resonance import ScoreOptions, score
from napari_resonance.errors import ScoringError
from napari_resonance.scoring.studies import columns_of, studies


def row(source, study, p, **given):
    return {
        "source": source,
        "study": study,
        "model": "heads",
        "status": "scored",
        "label": "ill" if p > 0.5 else "well",
        "sure": True,
        "p_ill": p,
        "p_well": 1 - p,
        "p_other_model": None,
    } | given


LOST = {"status": "failed", "label": None, "sure": None, "p_ill": None, "p_well": None}
ROWS = [
    row("p1/a", "s1", 0.25),
    row("p1/b", "s1", 0.875),
    row("p1/c", "s1", 0, **LOST),
    row("p2/a", "s2", 0.75),
    row("p3/a", "", 0.5),
    row("p3/b", "", 0.75),
    row("p4/a", "s4", 0, **LOST),
]


@pytest.mark.parametrize(
    ("way", "ill", "well", "label", "scans"),
    [
        ("max", 0.875, 0.75, "ill", 2),
        ("mean", 0.5625, 0.4375, "ill", 2),
        ("first", 0.25, 0.75, "well", 1),
    ],
)
def test_the_answers_to_a_study_are_joined(way, ill, well, label, scans):
    first, *_ = studies(ROWS, way)
    assert first == {
        "study": "s1",
        "model": "heads",
        "label": label,
        "probability": max(ill, well),
        "p_ill": ill,
        "p_well": well,
        "called": None,
        # Scans that disagree make no sure answer.
        "sure": way == "first",
        "scans": scans,
        "left": 1,
    }


def test_scans_without_a_study_belong_to_their_folder():
    found = {s["study"]: s for s in studies(ROWS, "mean")}
    assert list(found) == ["s1", "s2", "p3", "s4"]
    assert found["p3"]["p_ill"] == 0.625
    assert found["p3"]["scans"] == 2


def test_a_study_without_an_answer_is_there_too():
    last = list(studies(ROWS, "max"))[-1]
    assert last["study"] == "s4"
    assert (last["label"], last["scans"], last["left"]) == (None, 0, 1)


def test_each_model_answers_for_itself():
    other = row("p2/a", "s2", 0.125, model="lungs")
    found = [
        s for s in studies([*ROWS[:4], other, *ROWS[4:]], "mean") if s["study"] == "s2"
    ]
    assert [(s["model"], s["p_ill"]) for s in found] == [
        ("heads", 0.75),
        ("lungs", 0.125),
    ]


@pytest.mark.parametrize(
    ("way", "threshold", "called"),
    [
        # Of the scans, one has .125 and one .75 for the second label, "well".
        ("max", 0.75, "well"),
        ("max", 0.76, "ill"),
        ("mean", 0.4375, "well"),
        ("mean", 0.44, "ill"),
        ("first", 0.75, "well"),
    ],
)
def test_a_study_is_called_by_its_joined_probability(way, threshold, called):
    rows = [one | {"threshold": threshold} for one in ROWS[:3]]
    (found,) = studies(rows, way)
    assert found["called"] == called
    # The likelier label is another question.
    assert found["label"] == ("well" if way == "first" else "ill")


def test_an_unknown_way_is_refused():
    with pytest.raises(ScoringError, match="median"):
        list(studies(ROWS, "median"))


def test_every_value_has_a_column():
    columns = columns_of(ROWS[0])
    assert all(name in columns for study in studies(ROWS, "max") for name in study)


@pytest.mark.parametrize(
    ("loads", "called"), [(load_with_point, ["bright", "dark"]), (load, ["", ""])]
)
def test_the_table_of_studies_has_what_they_are_called(tmp_path, loads, called):
    # The second label is "bright", from 30 % on, in any scan of the study.
    for name, mean in (("a/1", 10), ("a/2", 35), ("b/1", 20), ("b/2", 25)):
        write_scan(tmp_path / "in" / f"{name}.nii", mean)
    options = ScoreOptions(readers=0, study="max")
    score(tmp_path / "in", "stub", out=tmp_path / "out", options=options, load=loads)
    with (tmp_path / "out/studies.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["called"] for row in rows] == called
    assert [row["label"] for row in rows] == ["dark", "dark"]


def test_a_model_that_was_trained_anew_does_not_answer_with_the_old_one(tmp_path):
    write_scan(tmp_path / "in/a/1.nii", 35)
    options = ScoreOptions(readers=0, study="mean")
    for loads in (load, load_with_point):
        score(tmp_path / "in", "m", out=tmp_path / "out", options=options, load=loads)
    with (tmp_path / "out/studies.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    found = {row["model"]: (row["called"], row["scans"]) for row in rows}
    # The hash of the first is its name.
    assert found == {"m (m)": ("", "1"), "m": ("bright", "1")}
