"""What a fine-tuning tells of its labels, its sides and its answers."""

import csv
import json
import re

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score
from support.labelled import write_labelled

from napari_resonance.classifier.card_facts import card_facts
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.reading import read_scan
from napari_resonance.training.answer_table import write_answers
from napari_resonance.training.cases import Case
from napari_resonance.training.finetune import FinetuneOptions, finetune
from napari_resonance.training.trial import evaluate

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]

OPTIONS = FinetuneOptions(
    preset="quick", epochs=1, members=1, device="cpu", convert=False
)


def with_columns(table, **columns):
    """Add columns, whose values are made from the number of the row."""
    with table.open(encoding="utf-8", newline="") as stream:
        head, *rows = csv.reader(stream)
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*head, *columns])
        for n, row in enumerate(rows):
            writer.writerow([*row, *(of(n) for of in columns.values())])
        writer.writerow([*rows[0], *(of(0) for of in columns.values())])
    return table


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    table = write_labelled(tmp_path_factory.mktemp("labelled"), flat=True)
    return with_columns(
        table,
        surname=lambda n: ("Kowalczyk", "Oyelaran")[n % 2],
        site=lambda n: ("north", "south")[n % 2],
    )


@pytest.fixture(scope="module")
def made(labels, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "told"
    return finetune(labels, out, options=OPTIONS)


@pytest.fixture(scope="module")
def words(made):
    page = made.report.read_text("utf-8")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def answers_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_is_odd_about_the_labels_is_told(made, words):
    assert "1 row repeats another: left out" in made.notes
    assert "1 row repeats another: left out." in words.replace("1 Row", "1 row")
    assert "the patients were taken from a column of the labels" in made.notes
    assert "The patients were taken from a column of the labels." in words


def test_a_name_among_the_columns_is_no_subgroup(made, words):
    assert "Kowalczyk" not in words
    assert "north" in words
    stored = (made.bundle.path / "training" / "record.json").read_text("utf-8")
    assert "Kowalczyk" not in stored


def test_the_card_counts_what_was_learned_from(made, words):
    learned = "12 scans of 6 patients, and 4 scans of 2 patients to choose by"
    begun = "trained from synthetic-lesions"
    assert made.bundle.card.training_data == f"{learned}; {begun}"
    assert "8 scans of 4 patients (cube: 4, none: 4)" in words
    assert f"Weights, sha256 {made.bundle.weights_sha256}" in words


def test_a_decision_of_none_is_a_number(words):
    assert "patience 0 " in words


def test_figures_can_be_computed_anew_from_the_answers(made):
    rows = answers_of(made.bundle.path / "training" / "answers.csv")
    assert {row["split"] for row in rows} == {"test"}
    assert sorted({row["patient"] for row in rows}) == ["1", "2", "3", "4"]
    truth = np.array([row["truth"] == "none" for row in rows])
    area = roc_auc_score(truth, [float(row["p_none"]) for row in rows])
    assert made.metrics["auroc"]["value"] == pytest.approx(area, abs=1e-4)
    called = [row["called"] == "none" for row in rows]
    found = made.metrics["sensitivity"]["value"]
    assert found == pytest.approx(recall_score(truth, called))


def test_with_folds_answers_name_their_fold(labels, tmp_path):
    table = write_labelled(tmp_path / "set", n=16, sides=False, flat=True)
    options = FinetuneOptions(
        preset="quick",
        epochs=1,
        members=1,
        folds=2,
        keep_folds=True,
        device="cpu",
        convert=False,
    )
    made = finetune(table, tmp_path / "m", options=options)
    rows = answers_of(tmp_path / "m" / "training" / "answers.csv")
    assert {row["split"] for row in rows} == {"fold 1", "fold 2"}
    assert len({row["source"] for row in rows}) == 16
    of = {row["source"]: row["split"] for row in rows}
    for n, part in enumerate(made.split, 1):
        assert {of[source] for source in part["test"]} == {f"fold {n}"}
    record = json.loads((tmp_path / "m" / "training" / "record.json").read_text())
    threshold = record["operating_point"]["threshold"]
    assert 0 < threshold <= 1


def test_what_is_said_of_a_scan_is_what_the_report_counted(labels, made, tmp_path):
    """Sensitivity and specificity are those of `called`, wherever a scan is asked."""
    classifier = load_classifier(made.bundle.path, "cpu")
    point = json.loads((made.bundle.path / "training/record.json").read_text("utf-8"))
    least = point["operating_point"]["threshold"]
    assert made.bundle.calibration.operating_point == least
    rows = answers_of(made.bundle.path / "training" / "answers.csv")
    said = []
    for row in rows:
        answer = classifier.classify(read_scan(labels.parent / row["source"]))
        assert answer.threshold == least
        assert answer.called == row["called"]
        said.append((row["truth"], answer.called))
    of_none = [called == "none" for truth, called in said if truth == "none"]
    assert made.metrics["sensitivity"]["value"] == pytest.approx(np.mean(of_none))
    # Another set, whose validation cases would choose otherwise, is judged alike.
    found = evaluate(labels, made.bundle.path, out=tmp_path / "out", device="cpu")
    assert found.operating_point["from"] == "the model"
    assert found.operating_point["threshold"] == least
    assert found.metrics["specificity"] == made.metrics["specificity"]
    assert f"none from {least:.3g} on" == card_facts(made.bundle)["Operating point"]


def test_an_evaluation_says_who_the_answers_are_of(labels, made, tmp_path):
    found = evaluate(labels, made.bundle.path, out=tmp_path / "out", device="cpu")
    rows = [
        r for r in answers_of(tmp_path / "out" / "answers.csv") if r["split"] == "test"
    ]
    assert len({row["patient"] for row in rows}) == found.n_patients == 4
    called = [row["called"] == row["truth"] for row in rows]
    figures = found.metrics
    share = figures.get("accuracy_at_operating_point", figures["accuracy"])["value"]
    assert share == pytest.approx(np.mean(called))


def test_no_answer_is_run_as_a_formula(tmp_path):
    label = "=HYPERLINK(1)"
    write_answers(
        tmp_path / "answers.csv",
        (label, "b"),
        cases=[Case((tmp_path / "x.nii",), label, "p", source="+x.nii")],
        sides=["test"],
        probabilities=np.array([[0.75, 0.25]]),
        called=[0],
        sure=[True],
    )
    (row,) = answers_of(tmp_path / "answers.csv")
    assert row["truth"] == row["label"] == row["called"] == f"'{label}"
    assert row["source"] == "'+x.nii"
    assert (row[f"p_{label}"], row["sure"], row["patient"]) == ("0.75", "true", "1")
