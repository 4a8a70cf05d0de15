"""Splits: by patient, with every class on every side, repeatable."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_resonance.errors import TrainingError
from napari_resonance.training.cases import SIDES, Case, LabelledSet
from napari_resonance.training.labels import read_labels
from napari_resonance.training.splits import Split, make_splits


def cases_of(*rows):
    """Cases from (patient, label) or (patient, label, side)."""
    cases = []
    for n, (patient, label, *side) in enumerate(rows):
        name = f"{n}.nii"
        cases.append(Case((Path(name),), label, patient, *side, source=name))
    labels = tuple(sorted({case.label for case in cases}))
    return LabelledSet(tuple(cases), labels, "column")


def shares(labelled, split):
    """Share of each class on each side."""
    result = {}
    for side in SIDES:
        names = [labelled.cases[n].label for n in getattr(split, side)]
        for label in labelled.labels:
            whole = sum(case.label == label for case in labelled.cases)
            result[side, label] = names.count(label) / whole
    return result


def check(labelled, splits, folds):
    everything = set(range(len(labelled.cases)))
    for split in splits:
        sides = [set(getattr(split, side)) for side in SIDES]
        assert set.union(*sides) == everything
        assert sum(map(len, sides)) == len(everything)
        patients = [{labelled.cases[n].patient for n in side} for side in sides]
        assert not patients[0] & patients[1]
        assert not patients[0] & patients[2]
        assert not patients[1] & patients[2]
        for side in filter(None, sides):
            assert {labelled.cases[n].label for n in side} == set(labelled.labels)
    if folds:
        tested = [n for split in splits for n in split.test]
        assert sorted(tested) == sorted(everything)


@st.composite
def sets(draw):
    """Some patients of one class each, with one to four cases."""
    rows = []
    for label in "abc"[: draw(st.integers(2, 3))]:
        for n in range(draw(st.integers(4, 15))):
            rows += [(f"{label}{n}", label)] * draw(st.integers(1, 4))
    return cases_of(*rows)


@given(sets(), st.sampled_from([0, 2, 3]), st.integers(0, 9))
def test_no_patient_is_shared_and_no_class_is_missing(labelled, folds, seed):
    check(labelled, make_splits(labelled, folds=folds, seed=seed), folds)


@given(sets(), st.integers(0, 9))
def test_the_order_of_the_rows_does_not_matter(labelled, seed):
    turned = LabelledSet(labelled.cases[::-1], labelled.labels, "column")
    (one,) = make_splits(labelled, seed=seed)
    (other,) = make_splits(turned, seed=seed)
    for side in SIDES:
        patients = [
            {where.cases[n].patient for n in getattr(split, side)}
            for where, split in ((labelled, one), (turned, other))
        ]
        assert patients[0] == patients[1]


def test_shares_are_kept_for_rare_and_frequent_classes():
    rows = [(f"a{n}", "a") for n in range(200)] + [(f"b{n}", "b") for n in range(20)]
    labelled = cases_of(*rows)
    (split,) = make_splits(labelled)
    for (side, _), share in shares(labelled, split).items():
        assert share == pytest.approx(0.6 if side == "train" else 0.2, abs=0.01)


def test_patients_with_several_classes_and_many_cases():
    random = np.random.default_rng(0)
    rows = []
    for n in range(40):
        for _ in range(random.integers(1, 9)):
            rows.append(
                (f"p{n}", str(random.choice(["a", "b", "c"], p=[0.6, 0.3, 0.1])))
            )
    labelled = cases_of(*rows)
    for folds in (0, 5):
        splits = make_splits(labelled, folds=folds)
        check(labelled, splits, folds)
        for split in splits:
            for (side, _), share in shares(labelled, split).items():
                if side == "test":
                    assert share == pytest.approx(0.2, abs=0.08)


def test_seeds_differ_and_repeat():
    labelled = cases_of(*[(f"{label}{n}", label) for label in "ab" for n in range(20)])
    assert make_splits(labelled, seed=1) == make_splits(labelled, seed=1)
    assert make_splits(labelled, seed=1) != make_splits(labelled, seed=2)


def test_the_least_that_can_be_divided():
    labelled = cases_of(*[(f"{label}{n}", label) for label in "ab" for n in range(3)])
    check(labelled, make_splits(labelled), 0)
    check(labelled, make_splits(labelled, folds=3, validation_share=0.3), 3)
    two = cases_of(*[(f"{label}{n}", label) for label in "ab" for n in range(2)])
    (split,) = make_splits(two, test_share=0)
    assert split.test == ()
    with pytest.raises(TrainingError, match=r"would be missing from the .* 2 patients"):
        make_splits(two)
    with pytest.raises(TrainingError, match="fewer folds"):
        make_splits(two, folds=2)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"folds": 1}, "1 folds are not possible"),
        ({"validation_share": 0.5, "test_share": 0.5}, "leave nothing to train on"),
        ({"validation_share": -0.1}, "leave nothing to train on"),
    ],
)
def test_wishes_that_contradict_each_other(wish, message):
    labelled = cases_of(*[(f"{label}{n}", label) for label in "ab" for n in range(5)])
    with pytest.raises(TrainingError, match=message):
        make_splits(labelled, **wish)


def test_sides_that_the_labels_name_are_kept():
    rows = [
        (f"{label}{n}", label, "test" if n == 0 else "train")
        for label in "ab"
        for n in range(6)
    ]
    labelled = cases_of(*rows)
    (split,) = make_splits(labelled)
    assert split.test == (0, 6)
    assert len(split.validation) == 2
    check(labelled, [split], 0)
    (split,) = make_splits(labelled, validation_share=0)
    assert split.validation == ()
    with pytest.raises(TrainingError, match="no folds to make"):
        make_splits(labelled, folds=3)
    no_training = cases_of(*[(p, label, "test") for p, label, _ in rows])
    with pytest.raises(TrainingError, match="no training case"):
        make_splits(no_training)


def test_a_split_is_stored_by_names():
    labelled = cases_of(*[(f"{label}{n}", label) for label in "ab" for n in range(5)])
    (split,) = make_splits(labelled)
    stored = split.to_json(labelled)
    assert Split.from_json(stored, labelled) == split
    stored["train"][0] = "elsewhere.nii"
    with pytest.raises(TrainingError, match=r"'elsewhere\.nii', which is not among"):
        Split.from_json(stored, labelled)
    with pytest.raises(TrainingError, match="no list 'train'"):
        Split.from_json({}, labelled)
    twice = cases_of(("p", "a"), ("p", "b"), ("q", "a"), ("q", "b"))
    mixed = {"train": ["0.nii", "2.nii"], "validation": [], "test": ["1.nii", "3.nii"]}
    with pytest.raises(TrainingError, match="on two sides"):
        Split.from_json(mixed, twice)


def test_thousands_of_patients_are_divided_in_a_moment():
    random = np.random.default_rng(0)
    rows = [(f"p{n}", str(random.integers(3))) for n in range(5000)]
    labelled = cases_of(*rows)
    check(labelled, make_splits(labelled, folds=5), 5)


def test_the_reference_scans_in_folds(shared_data):
    labelled = read_labels(shared_data / "mr_sequence" / "labels.csv")
    check(labelled, make_splits(labelled), 0)
    check(labelled, make_splits(labelled, folds=4), 4)
