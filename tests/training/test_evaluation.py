"""Answers judged: every figure where it belongs, and no claim beyond the data."""

import json
from pathlib import Path

import numpy as np
import pytest

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.distribution import TrainingStatistics
from napari_resonance.errors import TrainingError
from napari_resonance.export import scripts
from napari_resonance.scan import Scan
from napari_resonance.training import subgroups
from napari_resonance.training.cases import Case
from napari_resonance.training.comparison import compare_answers
from napari_resonance.training.evaluation import evaluate_answers
from napari_resonance.training.report import write_report
from napari_resonance.training.report_figures import short_labels
from napari_resonance.training.report_words import probabilities_in_words
from napari_resonance.training.subgroups import age_band, facts_of, groups_of


def judged(n=120, labels=("a", "b", "c"), strength=2.0, seed=0, **more):
    """Answers that are mostly right, of patients with two scans each."""
    random = np.random.default_rng(seed)
    targets = np.arange(n) // 2 % len(labels)
    logits = random.normal(size=(n, len(labels)))
    logits[np.arange(n), targets] += strength
    arguments = {
        "calibration": Calibration(),
        "statistics": None,
        "sources": [f"Jane_Doe/{i}.nii.gz" for i in range(n)],
    } | more
    patients = [f"patient-{i // 2}" for i in range(n)]
    return evaluate_answers(
        logits, np.zeros((0, 0)), targets, patients, labels, **arguments
    )


def test_the_document_has_every_figure_with_its_interval():
    document = judged().to_json()
    json.dumps(document, allow_nan=False)
    assert {
        "model", "folds", "metrics", "split", "leaks", "seconds", "report",
    } <= set(document)  # fmt: skip
    for name in (
        "auroc", "auprc", "accuracy", "balanced_accuracy", "f1", "ece", "brier",
        "sensitivity", "specificity", "sure", "accuracy_when_sure",
    ):  # fmt: skip
        figure = document["metrics"][name]
        assert figure["low"] <= figure["value"] <= figure["high"], name
    assert (document["cases"], document["patients"]) == (120, 60)
    assert np.sum(document["confusion"]) == 120


def test_a_conformal_rule_gives_measured_coverage():
    rule = {"rule": "conformal", "coverage": 0.9, "quantile": 0.8}
    evaluation = judged(calibration=Calibration(1.0, rule))
    answers = evaluation.answers
    held = 1 - answers.probabilities[np.arange(120), answers.targets] <= 0.8
    assert evaluation.metrics["coverage"]["value"] == pytest.approx(held.mean())
    size = (1 - answers.probabilities <= 0.8).sum(axis=1)
    assert evaluation.metrics["set_size"]["value"] == pytest.approx(size.mean())
    assert evaluation.metrics["sure"]["value"] == pytest.approx((size == 1).mean())


def test_cases_far_from_the_training_data_are_never_sure():
    statistics = TrainingStatistics(
        np.zeros((1, 2)), np.eye(2), 1.0, np.zeros(4), np.ones(4)
    )
    features = np.zeros((4, 2))
    features[2:] = 5
    logits = [[9, 0], [0, 9], [9, 0], [0, 9]]
    evaluation = evaluate_answers(
        logits, features, [0, 1, 0, 1], list("wxyz"), ("a", "b"), Calibration(),
        statistics,
    )  # fmt: skip
    assert evaluation.answers.sure.tolist() == [True, True, False, False]
    assert evaluation.metrics["out_of_distribution"]["value"] == 0.5


def test_a_threshold_moves_the_operating_point_and_not_the_likeliest_label():
    plain = judged(labels=("no", "yes"), strength=1.0)
    moved = judged(labels=("no", "yes"), strength=1.0, operating_threshold=0.1)
    assert plain.operating_point["threshold"] == 0.5
    assert moved.operating_point == {
        "label": "yes", "threshold": 0.1, "from": "validation",
    }  # fmt: skip
    higher = moved.metrics["sensitivity"]["value"]
    assert higher > plain.metrics["sensitivity"]["value"]
    assert moved.metrics["accuracy"] == plain.metrics["accuracy"]
    assert moved.metrics["auroc"] == plain.metrics["auroc"]


def test_a_perfect_result_of_few_patients_claims_little():
    metrics = judged(n=12, strength=50).metrics
    assert metrics["accuracy"]["value"] == 1
    assert metrics["accuracy"]["low"] == pytest.approx(0.025 ** (1 / 6))
    for name in ("auroc", "sensitivity", "specificity", "balanced_accuracy"):
        assert metrics[name]["low"] < 0.9, name
    assert metrics["f1"]["low"] is None
    moved = judged(n=12, strength=50, labels=("no", "yes"), operating_threshold=0.5)
    at_point = moved.metrics["accuracy_at_operating_point"]
    assert at_point == moved.metrics["accuracy"]


def test_a_perfect_operating_point_of_few_patients_claims_little():
    figures = judged(
        n=12, labels=("no", "yes"), strength=50, operating_threshold=0.4
    ).metrics
    found = figures["accuracy_at_operating_point"]
    assert found["value"] == found["high"] == 1
    assert found["low"] == pytest.approx(0.025 ** (1 / 6))


def of_claims(n, steeper=1.0, seed=0):
    """Answers of two labels that are right as often as they claim, or made steeper."""
    random = np.random.default_rng(seed)
    logits = np.stack([np.zeros(n), random.normal(size=n)], axis=1)
    targets = random.random(n) < Calibration().probabilities(logits)[:, 1]
    return evaluate_answers(
        steeper * logits, [], targets * 1, np.arange(n), ("a", "b"), Calibration()
    )


@pytest.mark.parametrize("n", [20, 40, 150, 600])
def test_an_error_that_chance_explains_is_not_held_against_a_model(n, written):
    # Draws only raise it: of calibrated answers, their bounds lie above the truth.
    found = of_claims(n, seed=n)
    figure = found.metrics["ece"]
    assert figure["low"] == 0 < figure["value"] < figure["by_chance"]
    assert figure["value"] <= figure["high"] < 3 * figure["value"]
    said = probabilities_in_words(found)
    assert said.endswith("these cases do not show that they are wrong.")
    text = written(found)
    assert said in text
    assert f"chance alone gives up to {figure['by_chance']:.3f}" in text


def test_answers_that_claim_too_much_are_told(written):
    found = of_claims(400, steeper=5.0)
    assert found.metrics["ece"]["low"] > 0.1
    assert "its probabilities are too high." in written(found)
    found = of_claims(2000, steeper=0.2)
    assert probabilities_in_words(found).endswith("its probabilities are too low.")


def test_a_label_without_cases_is_null_and_not_counted():
    n = 20
    logits = np.random.default_rng(0).normal(size=(n, 3))
    evaluation = evaluate_answers(
        logits, [], np.arange(n) % 2, np.arange(n), ("a", "b", "never"), Calibration()
    )
    document = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert document["per_class"]["never"]["auroc"]["value"] is None
    areas = [document["per_class"][k]["auroc"]["value"] for k in ("a", "b")]
    assert document["metrics"]["auroc"]["value"] == pytest.approx(np.mean(areas))


def test_rare_findings_that_are_missed_do_not_look_found(written):
    # A mean over both labels would be above 0.5, whatever is found.
    random = np.random.default_rng(3)
    targets = (np.arange(400) < 12).astype(int)
    logits = np.stack([np.full(400, 3.0), random.normal(size=400)], axis=1)
    found = evaluate_answers(
        logits, [], targets, np.arange(400), ("healthy", "ill"), Calibration()
    )
    assert found.metrics["auprc"]["value"] < 0.2
    assert found.metrics["f1"]["value"] < 0.2
    for name in ("auprc", "f1", "sensitivity", "specificity"):
        assert found.metrics[name] == found.per_class["ill"][name]
    said = "AUPRC, sensitivity, specificity and F1 are those for ill."
    assert said in written(found)


def test_means_over_labels_are_not_known_of_one_label():
    # Nobody can say how many of the others it would call so.
    logits = np.random.default_rng(0).normal(size=(30, 2))
    logits[:, 1] += 1
    found = evaluate_answers(
        logits, [], np.ones(30, int), np.arange(30), ("no", "yes"), Calibration()
    )
    for name in ("balanced_accuracy", "f1", "auroc"):
        assert found.metrics[name]["value"] is None, name
    assert found.metrics["sensitivity"]["value"] == found.metrics["accuracy"]["value"]
    assert found.cautions == (
        "no case has the label no: means over the labels leave it out",
    )
    assert found.to_json()["cautions"] == list(found.cautions)


@pytest.mark.parametrize("labels", [("no", "yes"), ("no", "yes", "other")])
def test_what_hangs_on_one_patient_claims_no_interval(labels):
    # In each draw the one patient is the same or is not there: the draws cannot know
    # how another one would have been called.
    random = np.random.default_rng(1)
    targets = np.array([1] * 3 + [n % len(labels) for n in range(60)])
    targets[3:][targets[3:] == 1] = 0
    patients = np.array(["the one"] * 3 + [f"p{n}" for n in range(60)])
    logits = random.normal(size=(63, len(labels)))
    logits[np.arange(63), targets] += 1.5
    found = evaluate_answers(logits, [], targets, patients, labels, Calibration())
    for name in ("auroc", "auprc", "f1", "balanced_accuracy"):
        assert found.metrics[name]["value"] is not None
        assert found.metrics[name]["low"] is found.metrics[name]["high"] is None, name
    for name in ("auroc", "auprc", "f1", "precision"):
        assert found.per_class["yes"][name]["low"] is None, name
    assert found.metrics["accuracy"]["low"] is not None
    assert found.per_class["no"]["sensitivity"]["low"] is not None
    assert "a single patient has the label yes" in found.cautions[0]


def test_one_case_is_judged_and_none_is_refused():
    one = evaluate_answers([[1, 0]], [], [0], ["p"], ("a", "b"), Calibration())
    json.dumps(one.to_json(), allow_nan=False)
    assert one.metrics["auroc"]["value"] is None
    with pytest.raises(TrainingError, match="no case"):
        evaluate_answers(np.zeros((0, 2)), [], [], [], ("a", "b"), Calibration())
    with pytest.raises(TrainingError, match="do not fit"):
        evaluate_answers([[1, 0]], [], [0], ["p"], ("a", "b", "c"), Calibration())


def test_subgroups_have_figures_of_their_own():
    sites = ["north"] * 80 + ["south"] * 39 + ["alone"]
    rows = judged(groups={"site": sites}).subgroups
    assert [(r["value"], r["cases"]) for r in rows] == [("north", 80), ("south", 39)]
    whole = judged().answers
    right = (whole.predicted == whole.targets)[:80].mean()
    assert rows[0]["accuracy"]["value"] == pytest.approx(right)


def test_worst_errors_are_wrong_and_firmest_first():
    worst = judged(strength=0.5).worst
    assert len(worst) == 6
    assert all(w.truth != w.label for w in worst)
    firm = [w.probability for w in worst]
    assert firm == sorted(firm, reverse=True)


def test_columns_that_may_name_somebody_make_no_groups():
    facts = [
        {"site": "abc"[n % 3], "patient_name": "x" if n % 2 else "y", "mrn": str(n)}
        for n in range(12)
    ]
    assert set(groups_of(facts)) == {"site"}


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("045Y", "40-49"), ("7", "0-9"), ("61.5", "60-69"), ("018M", "0-9"),
        ("093Y", "90+"), ("600M", "50-59"), ("800W", "10-19"), ("50-59", "50-59"),
        ("unknown", ""), ("", ""),
    ],
)  # fmt: skip
def test_ages_become_bands(text, band):
    assert age_band(text) == band


@pytest.mark.parametrize(
    ("header", "band"),
    [
        ({"PatientAge": "047Y", "PatientBirthDate": "19000101"}, "40-49"),
        ({"PatientBirthDate": "19800615", "StudyDate": "20200614"}, "30-39"),
        ({"PatientBirthDate": "19800615", "StudyDate": "20200615"}, "40-49"),
        ({"PatientBirthDate": "19800615"}, None),
        ({"PatientBirthDate": "20300615", "StudyDate": "20200615"}, None),
        ({}, None),
    ],
)
def test_ages_come_from_headers(header, band, monkeypatch):
    monkeypatch.setattr(subgroups, "header_of", lambda path: header)
    scan = Scan(np.zeros((2, 2, 2), np.int16), np.eye(4))
    assert facts_of(scan, Case((Path("x"),), "a", "p")).get("age") == band


# --- the report ----------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    def write(evaluation, **more):
        path = write_report(
            tmp_path / "report.html", title="m <b>", evaluation=evaluation, **more
        )
        return path.read_text("utf-8")

    return write


def test_the_report_is_one_file_that_names_nobody(written):
    text = written(
        judged(strength=0.5, groups={"site": ["north"] * 60 + ["<south>"] * 60}),
        left_out=[{"source": "Jane_Doe/9.nii", "error": "Jane_Doe/9.nii is damaged"}],
        leaks=[{"kind": "patient", "sentence": "Jane_Doe is on two sides"}],
        split={"train": ["Jane_Doe/1", "x"], "validation": [], "test": ["y"]},
        decisions=[{"name": "epochs", "value": 7, "reason": "few <cases>"}],
        curves=[[{"epoch": 0, "loss": 1.0}, {"epoch": 1, "loss": None}]],
    )
    assert "Jane" not in text
    assert "patient-" not in text
    assert "m &lt;b&gt;" in text
    assert "&lt;south&gt;" in text
    assert "the scan is damaged" in text
    assert "a patient is on two sides" in text
    assert "few &lt;cases&gt;" in text
    assert "Research use only" in text
    for outside in ('src="http', "<a href", "<link", "@import", "<script"):
        assert outside not in text
    assert text.count("<svg") > 10


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c"), tuple("abcdefghijk")])
def test_a_report_can_be_written_of_any_number_of_labels(written, labels):
    text = written(judged(n=60, labels=labels))
    assert "Confusion" in text


def test_a_report_bears_any_label(written, recwarn):
    # What our font lacks, the reader's has: text stays text, and nothing is told twice.
    labels = ("</style><script>alert(1)</script>", "良性 🧠", "سرطان", "$x_1$ \\q")
    evaluation = judged(n=80, labels=labels)
    probabilities = evaluation.answers.probabilities
    compared = compare_answers(
        probabilities,
        probabilities[::-1],
        evaluation.answers.targets,
        evaluation.answers.patients,
        labels,
        labels[:2],
    )
    text = written(evaluation, comparison=compared)
    assert "<script" not in text
    for name in (labels[1], f"\u2068{labels[2]}\u2069"):
        assert f">{name}</text>" in text
    assert "on the same 80 cases" in text
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_sets_that_hold_less_than_promised_are_told(written):
    rule = {"rule": "conformal", "coverage": 0.9, "quantile": 0.1}
    assert "less than they were made for" in written(
        judged(calibration=Calibration(1.0, rule))
    )
    rule = {"rule": "conformal", "coverage": 0.9, "quantile": 0.9}
    assert "less than they were made for" not in written(
        judged(calibration=Calibration(1.0, rule))
    )


def test_many_labels_with_few_patients_are_told_once():
    found = judged(n=60, labels=tuple("abcdefghij"))
    assert found.cautions == (
        "fewer than 10 patients have the labels a, b, c, d, e, f, g, h, i, j: "
        "intervals and tests of what depends on that may claim too much",
    )


def test_a_report_can_be_written_of_one_case(written):
    one = evaluate_answers([[1, 0]], [], [0], ["p"], ("a$", "b"), Calibration())
    text = written(one)
    assert "ROC" in text
    assert "1 patient is few: intervals" in text
    assert "No case has the label b: means over the labels leave it out." in text


@pytest.mark.parametrize("n_labels", [2, 3])
def test_perfect_means_over_labels_have_both_bounds(n_labels):
    targets = np.arange(30) % n_labels
    found = evaluate_answers(
        6 * np.eye(n_labels)[targets],
        np.zeros((0, 0)),
        targets,
        np.array([f"p{n}" for n in range(30)]),
        ("a", "b", "c")[:n_labels],
        Calibration(1.0, {"rule": "threshold", "probability": 0.9}),
        None,
    )
    for name in ("auroc", "sensitivity", "specificity", "balanced_accuracy"):
        figure = found.metrics[name]
        assert figure["value"] == figure["high"] == 1
        assert 0.5 < figure["low"] < 1


def test_numbers_beside_a_label_that_is_read_leftward_keep_their_place(written):
    # Without isolation the AUROC is shown before the name, as if it were another's.
    labels = ("plain", "سرطان الرئة" * 3)
    evaluation = judged(n=80, labels=labels, operating_threshold=0.4)
    p, answers = evaluation.answers.probabilities, evaluation.answers
    compared = compare_answers(
        p, p[::-1], answers.targets, answers.patients, labels, ("x", "y")
    )
    text = written(evaluation, comparison=compared)
    for name in (labels[1], f"{labels[1][:17]}…"):
        assert text.count(name) == text.count(f"\u2068{name}\u2069") > 0
    assert "\u2068plain" not in text


def test_pictures_say_what_they_show_and_curves_are_counted(written):
    labels = tuple(f"label {n}" for n in range(14))
    curves = [[{"epoch": n, "loss": 1.0, "auroc": 0.5} for n in range(3)]]
    text = written(judged(n=140, labels=labels), curves=curves)
    assert text.count('role="img" aria-label="ROC curve. Of the cases') == 1
    assert 'aria-label="Losses and figures by epoch"' in text
    assert "The first 12 labels are drawn." in text
    assert ">label 11: " in text
    assert ">label 12: " not in text
    assert ">loss</text>" in text


def test_the_sheet_tells_labels_that_cannot_be_drawn(written, tmp_path, monkeypatch):
    # As on a system without fonts for Chinese.
    monkeypatch.setattr(scripts, "fonts_for", lambda _text: [scripts.FONT])
    sheet = tmp_path / "contact-sheet.png"
    sheet.write_bytes(b"a picture")
    text = written(judged(labels=("a", "良性", "سرطان")), contact_sheet=sheet)
    assert "label 2 is 良性, label 3 is \u2068سرطان\u2069." in text
    assert "font lacks" not in written(judged(), contact_sheet=sheet)


def test_long_labels_are_told_apart_in_pictures():
    begins = "nonspecific interstitial pneumonia "
    names = short_labels(
        ("plain $", f"{begins}early", f"{begins}late", f"{begins}x late", "a" * 40)
    )
    assert len(set(names)) == 5
    assert names[0] == r"plain \$"
    assert names[1].endswith("early")
    assert names[2].startswith("nonspecif")
    assert names[4] == "a" * 17 + "…"
    twins = short_labels(
        ("left side " + "o" * 30 + " one", "left side " + "o" * 31 + " one")
    )
    assert [name[:3] for name in twins] == ["1: ", "2: "]
