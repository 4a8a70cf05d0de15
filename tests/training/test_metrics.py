"""Figures against scikit-learn, brute force and published examples."""

import numpy as np
import pytest
from sklearn import metrics as reference

from napari_resonance.errors import TrainingError
from napari_resonance.training import metrics
from napari_resonance.training.comparison import compare_answers, delong, mcnemar
from napari_resonance.training.intervals import (
    interval,
    with_intervals,
)


def case(n=300, seed=0):
    """Scores with ties, and a truth they tell something of."""
    random = np.random.default_rng(seed)
    truth = random.integers(2, size=n)
    return np.round(random.normal(size=n) + truth, 1), truth


@pytest.mark.parametrize("seed", range(5))
def test_areas_are_those_of_scikit_learn_for_every_weighting(seed):
    scores, truth = case(seed=seed)
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(truth))).astype(float)
    areas = metrics.auroc(scores, truth, weights)
    precision = metrics.average_precision(scores, truth, weights)
    for n, row in enumerate(weights):
        a = reference.roc_auc_score(truth, scores, sample_weight=row)
        p = reference.average_precision_score(truth, scores, sample_weight=row)
        assert areas[n] == pytest.approx(a, abs=1e-12)
        assert precision[n] == pytest.approx(p, abs=1e-12)


def test_an_area_without_positives_is_not_a_number():
    assert np.isnan(metrics.auroc([1, 2], [False, False], np.ones((1, 2)))).all()


def test_figures_of_confusion_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    truth, said = random.integers(3, size=(2, 200))
    matrix = metrics.confusion(said, truth, 3, np.ones((1, 200)))
    assert np.array_equal(matrix[0], reference.confusion_matrix(truth, said))
    found = metrics.of_confusion(matrix)
    assert found["f1"][0] == pytest.approx(
        reference.f1_score(truth, said, average=None)
    )
    recall = reference.recall_score(truth, said, average=None)
    assert found["sensitivity"][0] == pytest.approx(recall)
    others = [reference.recall_score(truth != k, said != k) for k in range(3)]
    assert found["specificity"][0] == pytest.approx(others)


def test_calibration_error_and_brier_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.4, 0.6]])
    targets = np.array([0, 1, 1, 1])
    ones = np.ones((1, 4))
    # Bin 0.9-1: claimed 0.95, right 0.5; bin 0.6-0.7: claimed 0.625, right 1.
    expected = 0.5 * 0.45 + 0.5 * 0.375
    assert metrics.ece(probabilities, targets, ones)[0] == pytest.approx(expected)
    rows = metrics.reliability(probabilities, targets)
    assert [r["cases"] for r in rows] == [0, 0, 0, 0, 0, 0, 2, 0, 0, 2]
    assert rows[0]["right"] is None
    single = reference.brier_score_loss(targets, probabilities[:, 1])
    assert metrics.brier(probabilities, targets).mean() == pytest.approx(2 * single)


@pytest.mark.parametrize(("n", "scans"), [(20, 1), (20, 4), (100, 1)])
def test_five_of_a_hundred_calibrated_models_are_further_off_than_chance(n, scans):
    random = np.random.default_rng(n + scans)
    beyond = []
    for _ in range(300):
        first = 1 / (1 + np.exp(-random.normal(size=n)))
        targets = np.repeat((random.random(n) > first) * 1, scans)
        p = np.repeat(np.stack([first, 1 - first], axis=1), scans, axis=0)
        found = metrics.ece(p, targets, np.ones((1, n * scans)))[0]
        whose = np.repeat(np.arange(n), scans)
        beyond.append(found > metrics.ece_by_chance(p, whose, draws=300))
    assert 0.02 < np.mean(beyond) < 0.09


def test_an_error_that_chance_gives_often_is_not_beyond_it():
    # All claim the same: few values can come out, and each of them often.
    p = np.tile([0.3, 0.7], (10, 1))
    limit = metrics.ece_by_chance(p, np.arange(10))
    found = [metrics.ece(p, np.arange(10) < n, np.ones((1, 10)))[0] for n in range(11)]
    assert np.isclose(found, limit, atol=1e-8).any()
    assert all(f <= limit for f in found if np.isclose(f, limit, atol=1e-8))


def test_the_operating_point_is_youdens():
    scores = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
    truth = np.array([0, 0, 1, 0, 1, 1])
    threshold = metrics.choose_operating_point(scores, truth)
    false, true, _ = reference.roc_curve(truth, scores)
    called = scores >= threshold
    reached = called[truth == 1].mean() - called[truth == 0].mean()
    assert reached == pytest.approx((true - false).max())
    both = np.stack([1 - scores, scores], axis=1)
    assert metrics.choose_operating_point(both, truth) == threshold


def test_an_operating_point_needs_both_labels_of_two():
    with pytest.raises(TrainingError, match="both labels"):
        metrics.choose_operating_point([0.1, 0.2], [1, 1])
    with pytest.raises(TrainingError, match="between two labels"):
        metrics.choose_operating_point(np.eye(3), [0, 1, 2])


def test_odd_scans_are_told_from_known_ones():
    assert metrics.ood_auroc([0.1, 0.5], [0.9, 2.0]) == 1
    assert metrics.ood_auroc([0.1, 0.5], [0.1, 0.5]) == 0.5


# --- intervals -----------------------------------------------------------------------


def test_two_thousand_draws_of_a_thousand_cases_are_judged_in_few_calls():
    scores, truth = case(1000)
    draws = []

    def figures(weights):
        draws.append(len(weights))
        return {"auroc": metrics.auroc(scores, truth, weights)}

    with_intervals(figures, np.arange(1000))
    assert sum(draws) == 2001  # and all cases as they are
    assert len(draws) < 20


def test_weights_give_the_interval_that_drawing_cases_gives():
    scores, truth = case(200)
    patients = np.array([f"p{n // 4}" for n in range(200)])
    rows = np.stack([scores, truth], axis=1)
    slow = interval(
        rows, patients, lambda r: reference.roc_auc_score(r[:, 1], r[:, 0]), repeats=500
    )
    quick = with_intervals(
        lambda w: {"auroc": metrics.auroc(scores, truth, w)}, patients
    )["auroc"]
    assert quick["value"] == pytest.approx(slow["value"])
    assert quick["low"] == pytest.approx(slow["low"], abs=0.012)
    assert quick["high"] == pytest.approx(slow["high"], abs=0.012)


def test_scans_of_one_patient_are_drawn_together():
    right = np.repeat(np.arange(10) % 2, 20)
    patients = np.repeat(np.arange(10), 20)

    def width(groups):
        figure = with_intervals(lambda w: {"a": metrics.share(right, w)}, groups)["a"]
        return figure["high"] - figure["low"]

    assert width(patients) > 3 * width(np.arange(200))


def test_draws_without_a_label_are_counted_not_hidden():
    scores, truth = np.arange(6.0), np.array([0, 0, 0, 0, 0, 1])
    figure = with_intervals(
        lambda w: {"auroc": metrics.auroc(scores, truth, w)}, np.arange(6)
    )["auroc"]
    assert figure["undefined"] == pytest.approx((5 / 6) ** 6, abs=0.03)
    none = with_intervals(lambda w: {"x": np.full(len(w), np.nan)}, np.arange(6))["x"]
    assert none == {"value": None, "low": None, "high": None}


# --- two models ----------------------------------------------------------------------


def brute_force_delong(a, b, truth):
    """Variance from all pairs, as DeLong, DeLong and Clarke-Pearson write it."""
    rows = []
    for scores in (a, b):
        pairs = np.sign(scores[truth][:, None] - scores[~truth][None])
        rows.append((pairs + 1) / 2)
    hits = np.stack([r.mean(axis=1) for r in rows])
    misses = np.stack([r.mean(axis=0) for r in rows])
    covariance = np.cov(hits) / hits.shape[1] + np.cov(misses) / misses.shape[1]
    contrast = np.array([1, -1])
    areas = hits.mean(axis=1)
    return areas, (areas @ contrast) / np.sqrt(contrast @ covariance @ contrast)


@pytest.mark.parametrize("seed", range(4))
def test_delong_is_what_all_pairs_give(seed):
    a, truth = case(120, seed)
    b = np.round(a + np.random.default_rng(seed).normal(size=120), 1)
    areas, z = brute_force_delong(a, b, truth == 1)
    found = delong(a, b, truth)
    assert [found["first"], found["second"]] == pytest.approx(areas)
    assert found["z"] == pytest.approx(z)
    assert found["low"] < found["difference"] < found["high"]


def test_delong_keeps_its_error_rate():
    small = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        truth = np.arange(80) < 40
        signal = truth + random.normal(size=80)
        a, b = signal + random.normal(size=(2, 80))
        small += delong(a, b, truth)["p"] < 0.05
    assert 0.025 < small / 400 < 0.085


def test_delong_of_a_model_with_itself_and_of_one_class():
    scores, truth = case(50)
    assert delong(scores, scores, truth)["p"] == 1
    assert delong(scores, scores, np.ones(50))["p"] is None


def test_delong_knows_no_spread_of_a_single_case():
    # Taken as none, it called equal models different in 44 of 100 tries.
    random = np.random.default_rng(0)
    truth = np.arange(20) == 3
    first, second = random.normal(size=(2, 20)) + truth
    for positive in (truth, ~truth):
        found = delong(first, second, positive)
        assert found["difference"] == found["first"] - found["second"]
        assert [found[n] for n in ("low", "high", "z", "p")] == [None] * 4
    differ = delong([1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 1, 1])
    assert (differ["difference"], differ["low"], differ["p"]) == (1, None, None)
    shares = [np.stack([1 - s, s], axis=1) for s in (first, second)]
    found = compare_answers(
        *shares, truth.astype(int), np.arange(20), ("no", "yes"), ("x", "y")
    )
    assert found["auroc"]["value"] == pytest.approx(
        found["delong"]["yes"]["difference"]
    )
    assert found["auroc"]["low"] is found["auroc"]["high"] is None
    assert found["accuracy"]["low"] is not None


def test_mcnemar_is_exact():
    first = np.array([True] * 9 + [False] * 1 + [True] * 5)
    second = np.array([False] * 9 + [True] * 1 + [True] * 5)
    found = mcnemar(first, second)
    assert (found["only_first"], found["only_second"]) == (9, 1)
    assert found["p"] == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(first, first)["p"] == 1


def test_a_better_model_is_found_better():
    random = np.random.default_rng(0)
    targets = random.integers(3, size=150)
    good = np.full((150, 3), 0.1)
    good[np.arange(150), targets] = 0.8
    bad = random.dirichlet([1, 1, 1], 150)
    found = compare_answers(
        good, bad, targets, np.arange(150), ("a", "b", "c"), ("x", "y")
    )
    assert found["accuracy"]["low"] > 0
    assert found["auroc"]["low"] > 0
    assert found["mcnemar"]["p"] < 1e-6
    assert set(found["delong"]) == {"a", "b", "c"}
    assert found["delong"]["a"]["p"] < 1e-6


def test_one_patient_has_no_interval():
    right = np.array([1, 0, 1])
    figure = with_intervals(lambda w: {"a": metrics.share(right, w)}, np.zeros(3))["a"]
    assert figure["value"] == pytest.approx(2 / 3)
    assert figure["low"] is figure["high"] is None


def test_an_interval_without_width_is_none():
    # One answer for all, and as many of each label in every patient.
    right, patients = np.tile([0.0, 1.0], 6), np.repeat(np.arange(6), 2)
    figure = with_intervals(lambda w: {"a": metrics.share(right, w)}, patients)["a"]
    assert figure == {"value": 0.5, "low": None, "high": None}


def test_one_label_alone_has_no_precision_curve():
    weights = np.ones((1, 3))
    for positive in ([1, 1, 1], [0, 0, 0]):
        assert np.isnan(metrics.average_precision([0.1, 0.5, 0.9], positive, weights))
