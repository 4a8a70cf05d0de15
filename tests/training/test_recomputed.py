"""Every figure, computed anew with scikit-learn from the table that lies beside it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.training.answer_table import write_answers
from napari_resonance.training.cases import Case
from napari_resonance.training.evaluation import evaluate_answers

LABELS = ("alpha", "beta", "gamma", "never seen")


def written(path, labels, present, *, rule=None, threshold=None, seed=0):
    """Judge answers with ties, of patients with one to four scans; keep the table."""
    random = np.random.default_rng(seed)
    whose = np.repeat(np.arange(70), random.integers(1, 5, 70))
    targets = random.integers(present, size=70)[whose]
    logits = random.normal(size=(len(whose), len(labels)))
    logits[np.arange(len(whose)), targets] += 1.2
    logits = np.round(logits * 2) / 2
    calibration = Calibration(1.5, rule or {"rule": "threshold", "probability": 0.7})
    judged = evaluate_answers(
        logits,
        [],
        targets,
        [f"p{n}" for n in whose],
        labels,
        calibration,
        operating_threshold=threshold,
    )
    cases = [
        Case((Path(f"{n}.nii"),), labels[t], f"p{whose[n]}", source=f"{n}.nii")
        for n, t in enumerate(targets)
    ]
    write_answers(
        path,
        labels,
        cases=cases,
        sides=["test"] * len(cases),
        probabilities=judged.answers.probabilities,
        called=judged.answers.called.tolist(),
        sure=judged.answers.sure.tolist(),
    )
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return judged, rows


def columns(rows, labels):
    """Truth, answer, label at the operating point as numbers, and probabilities."""
    number = {name: n for n, name in enumerate(labels)}
    found = [
        np.array([number[row[name]] for row in rows])
        for name in ("truth", "label", "called")
    ]
    p = np.array([[float(row[f"p_{name}"]) for name in labels] for row in rows])
    return *found, p


def error_of_calibration(p, truth):
    top, right = p.max(axis=1), p.argmax(axis=1) == truth
    bins = np.minimum((top * 10).astype(int), 9)
    return sum(
        (bins == b).mean() * abs(right[bins == b].mean() - top[bins == b].mean())
        for b in set(bins)
    )


@pytest.mark.parametrize("present", [2, 3, 4])
def test_of_several_labels(tmp_path, present):
    judged, rows = written(tmp_path / "answers.csv", LABELS, present)
    truth, said, called, p = columns(rows, LABELS)
    assert (said == called).all()
    seen = list(range(present))
    found = judged.metrics
    expected = {
        "accuracy": reference.accuracy_score(truth, said),
        "balanced_accuracy": reference.recall_score(
            truth, said, labels=seen, average="macro"
        ),
        "f1": reference.f1_score(truth, said, labels=seen, average="macro"),
        "sensitivity": reference.recall_score(
            truth, said, labels=seen, average="macro"
        ),
        "specificity": np.mean(
            [reference.recall_score(truth != k, said != k) for k in seen]
        ),
        "auroc": np.mean([reference.roc_auc_score(truth == k, p[:, k]) for k in seen]),
        "auprc": np.mean(
            [reference.average_precision_score(truth == k, p[:, k]) for k in seen]
        ),
        "brier": np.mean(((p - np.eye(4)[truth]) ** 2).sum(axis=1)),
        "ece": error_of_calibration(p, truth),
        "sure": np.mean(p.max(axis=1) >= 0.7),
        "accuracy_when_sure": np.mean((said == truth)[p.max(axis=1) >= 0.7]),
    }
    assert set(expected) == set(found)
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-12), name
        assert found[name]["low"] <= value <= found[name]["high"], name
    for k in seen:
        row = judged.per_class[LABELS[k]]
        assert row["precision"]["value"] == pytest.approx(
            reference.precision_score(truth == k, said == k)
        )
        assert row["cases"] == (truth == k).sum()
        assert row["patients"] == len(
            {r["patient"] for r in rows if r["truth"] == LABELS[k]}
        )
    assert np.array_equal(
        judged.confusion, reference.confusion_matrix(truth, said, labels=range(4))
    )


def test_of_two_labels_with_an_operating_point(tmp_path):
    labels = ("healthy", "ill")
    rule = {"rule": "conformal", "coverage": 0.9, "quantile": 0.6}
    judged, rows = written(
        tmp_path / "answers.csv", labels, 2, rule=rule, threshold=0.35
    )
    truth, said, called, p = columns(rows, labels)
    assert (called == (p[:, 1] >= 0.35)).all()
    inside = 1 - p <= 0.6
    expected = {
        "accuracy": reference.accuracy_score(truth, said),
        "accuracy_at_operating_point": reference.accuracy_score(truth, called),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, called),
        "sensitivity": reference.recall_score(truth, called),
        "specificity": reference.recall_score(truth, called, pos_label=0),
        "f1": reference.f1_score(truth, called),
        "auroc": reference.roc_auc_score(truth, p[:, 1]),
        "auprc": reference.average_precision_score(truth, p[:, 1]),
        "brier": 2 * reference.brier_score_loss(truth, p[:, 1]),
        "ece": error_of_calibration(p, truth),
        "sure": np.mean(inside.sum(axis=1) == 1),
        "accuracy_when_sure": np.mean((said == truth)[inside.sum(axis=1) == 1]),
        "coverage": np.mean(inside[np.arange(len(truth)), truth]),
        "set_size": inside.sum(axis=1).mean(),
    }
    assert set(expected) == set(judged.metrics)
    for name, value in expected.items():
        assert judged.metrics[name]["value"] == pytest.approx(value, abs=1e-12), name
    for row in judged.reliability:
        chosen = (p.max(axis=1) >= row["from"]) & (p.max(axis=1) < row["to"])
        assert row["cases"] == chosen.sum()
        if row["cases"]:
            assert row["right"] == pytest.approx((said == truth)[chosen].mean())
            assert row["claimed"] == pytest.approx(p.max(axis=1)[chosen].mean())


def test_answers_that_are_nearly_certain_are_no_ties(tmp_path):
    logits = np.stack([np.zeros(40), 20 + np.arange(40.0) / 4], axis=1)
    targets = (np.arange(40) >= 20).astype(int)
    judged = evaluate_answers(
        -logits, [], 1 - targets, np.arange(40), ("a", "b"), Calibration()
    )
    path = tmp_path / "answers.csv"
    write_answers(
        path,
        ("a", "b"),
        cases=[Case((Path("x"),), "ab"[1 - t], str(n)) for n, t in enumerate(targets)],
        sides=["test"] * 40,
        probabilities=judged.answers.probabilities,
        called=[0] * 40,
        sure=[True] * 40,
    )
    with path.open(encoding="utf-8", newline="") as stream:
        p = [float(row["p_b"]) for row in csv.DictReader(stream)]
    assert reference.roc_auc_score(1 - targets, p) == 1
    assert judged.metrics["auroc"]["value"] == 1
