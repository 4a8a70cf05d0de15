"""``resonance evaluate`` and ``evaluate``: any model on any labelled set."""

from __future__ import annotations

import csv
import json
import shutil

import nibabel
import numpy as np
import pytest
from support.bundles import spot_bundle, tiny_bundle

from napari_resonance import evaluate
from napari_resonance.errors import CancelledError, TrainingError
from napari_resonance.training.trial import RECORD, REPORT, TABLE


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """Scans with and without a bright spot, and the model that sees it."""
    folder = tmp_path_factory.mktemp("Jane_Doe")
    rows = []
    for number in range(8):
        random = np.random.default_rng(number)
        values = random.normal(100, 10, (24, 24, 24)).astype(np.float32)
        label = "spot" if number % 2 else "nothing"
        # The last of each is the other: the model must be wrong about them.
        if (number % 2 == 1) != (number >= 6):
            values[8:13, 10:15, 9:14] += 3000
        name = f"scan{number}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, np.diag([3, 3, 3, 1])), folder / name)
        rows.append((name, label, f"p{number}", "north" if number < 4 else "south"))
    write(folder / "labels.csv", ("path", "label", "patient", "site"), rows)
    return folder, rows, spot_bundle(folder / "model")


def write(path, names, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])
    return path


@pytest.fixture
def bundle(spots):
    return spots[0] / "model"


def test_the_document_keeps_its_contract(resonance, spots, bundle, tmp_path):
    table, out = spots[0] / "labels.csv", tmp_path / "out"
    ran = resonance("evaluate", table, "--model", bundle, "--out", out, "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    assert {
        "model", "folds", "metrics", "split", "leaks", "seconds", "report",
    } <= set(document)  # fmt: skip
    for name in ("auroc", "accuracy", "ece", "brier"):
        assert set(document["metrics"][name]) >= {"value", "low", "high"}
    assert {row["value"] for row in document["subgroups"]} == {"north", "south"}
    assert document == json.loads((out / RECORD).read_text())
    with (out / TABLE).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    wrong = [row["source"] for row in rows if row["label"] != row["truth"]]
    assert document["metrics"]["accuracy"]["value"] == 1 - len(wrong) / 8
    assert {"scan6.nii.gz", "scan7.nii.gz"} & set(wrong)
    report = (out / REPORT).read_text("utf-8")
    assert "Jane_Doe" not in report
    assert "scan7" not in report
    # Every error has its picture.
    assert {w["source"] for w in document["worst"]} == set(wrong)
    assert report.count('src="data:image/png;base64,') == len(wrong)


def test_people_read_figures_and_the_place_of_the_report(
    resonance, spots, bundle, tmp_path
):
    ran = resonance("evaluate", spots[0], "-m", bundle, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "8 cases of 8 patients" in ran.out
    assert "accuracy" in ran.out
    assert REPORT in ran.out


def test_a_damaged_scan_is_named_and_the_rest_goes_on(
    resonance, spots, bundle, tmp_path
):
    folder, rows, _ = spots
    for name, *_ in rows:
        shutil.copyfile(folder / name, tmp_path / name)
    (tmp_path / "scan2.nii.gz").write_bytes(b"not a scan")
    table = write(tmp_path / "t.csv", ("path", "label", "patient", "site"), rows)
    ran = resonance("evaluate", table, "-m", bundle, "--out", tmp_path / "o", "--json")
    assert ran.code == 3
    assert [e["source"] for e in ran.document["left_out"]] == ["scan2.nii.gz"]
    assert ran.document["cases"] == 7
    assert "scan2.nii.gz" in ran.err


def test_a_wrong_label_fails_with_a_sentence(resonance, spots, bundle, tmp_path):
    rows = [(name, "lesion", *rest) for name, _, *rest in spots[1]]
    path = spots[0] / "wrong.csv"
    write(path, ("path", "label", "patient", "site"), rows)
    ran = resonance("evaluate", path, "-m", bundle, "--out", tmp_path, "--json")
    assert ran.code == 1
    assert "8 scans have unknown labels, 'lesion';" in ran.document["error"]["message"]


def test_nothing_is_written_over_a_model_or_what_is_not_an_evaluation(
    resonance, spots, bundle, tmp_path
):
    def refused(out, message, *more):
        before = {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
        ran = resonance("evaluate", spots[0], "-m", bundle, "--out", out, *more)
        assert ran.code == 1
        assert message in ran.err.replace("\n", " ")
        after = {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
        assert after == before

    model = shutil.copytree(bundle, tmp_path / "model")
    refused(model, "this is the folder of a model: tiny, of ", "--overwrite")
    refused(spots[0], "there is something else at the place", "--overwrite")
    out = tmp_path / "out"
    evaluate(spots[0], bundle, out=out)
    refused(out, "there is an evaluation here already")
    (out / REPORT).unlink()
    arguments = ("evaluate", spots[0], "-m", bundle, "--out", out)
    assert resonance(*arguments, "--overwrite").code == 0
    assert (out / REPORT).is_file()


@pytest.mark.parametrize(
    ("command", "more"),
    [("classify", ()), ("explain", ()), ("score", ("--dry-run",)), ("score", ())],
)
def test_results_are_not_written_into_a_model(
    resonance, spots, bundle, tmp_path, command, more
):
    model = shutil.copytree(bundle, tmp_path / "model")
    scan = spots[0] / "scan0.nii.gz"
    ran = resonance(command, scan, "-m", bundle, "--out", model, *more)
    assert ran.code == 1
    assert "this is the folder of a model" in ran.err
    there = [sorted(p.name for p in folder.iterdir()) for folder in (model, bundle)]
    assert there[0] == there[1]


def test_a_scoring_does_not_replace_the_report_of_an_evaluation(
    resonance, spots, bundle, tmp_path
):
    evaluate(spots[0], bundle, out=tmp_path / "out")
    before = (tmp_path / "out" / REPORT).read_bytes()
    for more in ((), ("--dry-run",)):
        ran = resonance(
            "score", spots[0], "-m", bundle, "--out", tmp_path / "out", *more
        )
        assert ran.code == 1
        assert "there is a report of something else here" in ran.err
    assert (tmp_path / "out" / REPORT).read_bytes() == before


def test_out_has_to_be_given(resonance, spots, bundle):
    assert resonance("evaluate", spots[0], "-m", bundle, "--json").code == 2


def test_the_threshold_comes_from_validation_and_training_is_not_judged(spots, bundle):
    sides = ["train"] * 2 + ["validation"] * 2 + ["test"] * 4
    rows = [(*row, side) for row, side in zip(spots[1], sides, strict=True)]
    table = spots[0] / "split.csv"
    write(table, ("path", "label", "patient", "site", "split"), rows)
    evaluation = evaluate(table, bundle)
    assert evaluation.n_cases == 4
    assert evaluation.operating_point["from"] == "validation"
    assert evaluation.details["split"] == {"train": 2, "validation": 2, "test": 4}
    assert evaluation.report is None


def test_without_test_cases_nothing_is_claimed(spots, bundle):
    sides = ["train"] * 4 + ["validation"] * 4
    rows = [(*row, side) for row, side in zip(spots[1], sides, strict=True)]
    table = spots[0] / "no-test.csv"
    write(table, ("path", "label", "patient", "site", "split"), rows)
    with pytest.raises(TrainingError, match="no test case"):
        evaluate(table, bundle)


def test_a_model_compared_with_itself_does_not_differ(spots, bundle, tmp_path):
    found = evaluate(spots[0], bundle, compare=bundle, out=tmp_path)
    comparison = found.details["comparison"]
    assert comparison["mcnemar"]["p"] == 1
    assert comparison["accuracy"] == {"value": 0, "low": None, "high": None}
    assert "Against another model" in (tmp_path / REPORT).read_text("utf-8")


def test_a_rival_that_knew_the_scans_is_found_out(resonance, spots, bundle, tmp_path):
    rival = shutil.copytree(bundle, tmp_path / "rival")
    (rival / "training").mkdir()
    record = {"train": ["scan0.nii.gz", "scan3.nii.gz"], "validation": [], "test": []}
    (rival / "training" / "split.json").write_text(json.dumps(record))
    arguments = ("evaluate", spots[0], "--model", bundle, "--compare", rival)
    ran = resonance(*arguments, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "Warning: 2 of the scans were trained on by tiny (second)" in ran.err
    assert "sensitivity, specificity and F1 are those for nothing." in ran.out
    assert "tiny (first) minus tiny (second):" in ran.out
    assert "accuracy +0.000" in ran.out
    assert "alone right: 0 and 0 times, p = 1.000 (McNemar)" in ran.out
    document = json.loads((tmp_path / "out" / RECORD).read_text("utf-8"))
    assert document["leaks"] == []  # of the model itself
    found = [leak["first"] for leak in document["comparison"]["leaks"]]
    assert found == ["scan0.nii.gz", "scan3.nii.gz"]
    report = (tmp_path / "out" / REPORT).read_text("utf-8")
    assert "tiny (second) <b>was trained on 2 of them</b>" in report
    unknown = evaluate(spots[0], rival, compare=bundle, out=tmp_path / "other")
    assert unknown.details["comparison"]["leaks"] is None
    report = (tmp_path / "other" / REPORT).read_text("utf-8")
    assert "tiny (first) <b>was trained on some of them</b>" in report
    assert "tiny (second) keeps no record" in report


def test_numbers_are_the_labels_however_a_table_or_a_model_spells_them(
    resonance, spots, tmp_path
):
    for name, numbers in (("whole", ("0", "1")), ("decimal", ("1.0", "0.0"))):
        tiny_bundle(tmp_path / name, labels=numbers, modality=())
    rows = [(name, f"{n % 2}.0", *rest) for n, (name, _, *rest) in enumerate(spots[1])]
    path = spots[0] / "numbers.csv"
    write(path, ("path", "label", "patient", "site"), rows)
    ran = resonance(
        "evaluate", path, "-m", tmp_path / "whole", "--compare", tmp_path / "decimal",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.document["labels"] == ["0", "1"]
    assert sum(map(sum, ran.document["confusion"])) == 8
    assert "Note: labels that are whole numbers: '0.0' as '0', '1.0' as '1'." in ran.err
    # The same network, whose first output is called 1.0: each is wrong where the other
    # is right.
    compared = ran.document["comparison"]["mcnemar"]
    assert compared["only_first"] + compared["only_second"] == 8


def test_models_of_other_labels_are_not_compared(spots, bundle, embedded):
    with pytest.raises(TrainingError, match="do not have the same labels"):
        evaluate(spots[0], bundle, compare=embedded)


def test_scans_that_the_model_was_trained_on_are_told(spots, bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "model")
    record = {"train": ["scan0.nii.gz"], "validation": [], "test": ["scan1.nii.gz"]}
    (copy / "training").mkdir()
    (copy / "training" / "split.json").write_text(json.dumps(record))
    found = evaluate(spots[0], copy, out=tmp_path / "out")
    assert [leak["first"] for leak in found.details["leaks"]] == ["scan0.nii.gz"]
    report = (tmp_path / "out" / REPORT).read_text("utf-8")
    assert "What was judged was also trained on" in report


def test_it_stops_when_asked_to(spots, bundle):
    with pytest.raises(CancelledError):
        evaluate(spots[0], bundle, should_stop=lambda: True)
