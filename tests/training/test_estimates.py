"""Intervals of shares and areas against what others publish, and against the truth."""

import numpy as np
import pytest
from scipy.stats import beta, norm
from sklearn import metrics as reference

from napari_resonance.training.comparison import delong
from napari_resonance.training.estimates import (
    auroc_estimate,
    auroc_influence,
    clustered_variance,
    mean_estimate,
    share_estimate,
)


def drawn(random, patients, scans, auroc, *, share=0.5):
    """Scores, truths and patients, whose scans are alike by a correlation of 0.7."""
    ill = np.repeat(np.arange(patients) < round(share * patients), scans)
    own = np.repeat(random.normal(size=patients), scans)
    scores = own * 0.7**0.5 + random.normal(size=len(ill)) * 0.3**0.5
    whose = np.repeat(np.arange(patients), scans)
    return scores + ill * norm.ppf(auroc) * 2**0.5, ill, whose


def test_a_share_of_independent_cases_has_clopper_and_pearsons_bounds():
    found = share_estimate([1] * 7 + [0] * 3, np.arange(10))
    assert found.value == pytest.approx(0.7)
    assert found.low == pytest.approx(beta.ppf(0.025, 7, 4))
    assert found.high == pytest.approx(beta.ppf(0.975, 8, 3))
    # 10 of 10: 0.692; none of 10: 0.308.
    assert share_estimate(np.ones(10), np.arange(10)).low == pytest.approx(
        0.6915, abs=1e-4
    )
    assert share_estimate(np.zeros(10), np.arange(10)).high == pytest.approx(
        0.3085, abs=1e-4
    )  # fmt: skip
    among = share_estimate([1, 1, 0, 0], np.arange(4), [1, 1, 0, 0])
    assert (among.value, among.high) == (1, 1)
    assert among.low == pytest.approx(0.025**0.5)
    assert share_estimate([1], np.arange(1), [0]).value is None


def test_scans_of_a_patient_that_are_all_the_same_count_once():
    right = np.arange(20) % 3 > 0
    once = share_estimate(right, np.arange(20))
    again = share_estimate(np.repeat(right, 5), np.repeat(np.arange(20), 5))
    for name in ("value", "low", "high"):
        assert getattr(again, name) == pytest.approx(getattr(once, name), abs=0.01)
    scores, ill, _ = drawn(np.random.default_rng(0), 20, 1, 0.85)
    once = auroc_estimate(scores, ill, np.arange(20))
    again = auroc_estimate(
        np.repeat(scores, 5), np.repeat(ill, 5), np.repeat(np.arange(20), 5)
    )
    for name in ("value", "low", "high"):
        assert getattr(again, name) == pytest.approx(getattr(once, name), abs=0.01)


def test_an_area_is_that_of_scikit_learn_and_its_variance_delongs():
    random = np.random.default_rng(1)
    scores, ill, _ = drawn(random, 60, 1, 0.8)
    scores = np.round(scores, 1)
    found = auroc_estimate(scores, ill, np.arange(60))
    assert found.value == pytest.approx(reference.roc_auc_score(ill, scores))
    pairs = (np.sign(scores[ill][:, None] - scores[~ill][None]) + 1) / 2
    parts = pairs.mean(axis=1), pairs.mean(axis=0)
    _, influence = auroc_influence(scores, ill)
    assert clustered_variance(influence, ill, np.arange(60)) == pytest.approx(
        sum(p.var(ddof=1) / len(p) for p in parts)
    )


def test_a_perfect_area_has_newcombes_bound():
    def low(n):
        scores = np.arange(2 * n)
        found = auroc_estimate(scores, scores >= n, np.arange(2 * n))
        assert (found.value, found.high) == (1, 1)
        return found.low

    # Where (1 - a)^2 is z^2 times the variance that he gives for a.
    for n in (5, 20, 100):
        a = low(n)
        half = n - 1
        spread = 1 + half * ((1 - a) / (2 - a) + a / (1 + a))
        variance = a * (1 - a) * spread / n**2
        assert (1 - a) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-4)
    assert 0.4 < low(5) < 0.8
    assert 0.95 < low(100) < 1
    wrong = auroc_estimate(np.arange(10), np.arange(10) < 5, np.arange(10))
    assert (wrong.value, wrong.low) == (0, 0)
    assert 0.2 < wrong.high < 0.6


def test_scores_that_are_all_the_same_and_a_lone_patient_have_no_interval():
    truth = np.arange(10) % 2 == 0
    same = auroc_estimate(np.zeros(10), truth, np.arange(10))
    assert (same.value, same.low, same.high) == (0.5, None, None)
    lone = auroc_estimate(np.arange(10), np.arange(10) == 4, np.arange(10))
    assert lone.value is not None
    assert lone.low is lone.high is None
    assert auroc_estimate(np.arange(3), np.ones(3), np.arange(3)).value is None


@pytest.mark.parametrize("patients", [20, 40, 100])
@pytest.mark.parametrize("scans", [1, 4])
@pytest.mark.parametrize("auroc", [0.7, 0.85, 0.97])
def test_intervals_of_areas_hold_the_truth(patients, scans, auroc):
    # Drawing patients anew held it in 88 of 100 sets of 20.
    random = np.random.default_rng(patients + scans)
    held = []
    for n in range(300):
        share = (0.5, 0.25)[n % 2]
        found = auroc_estimate(*drawn(random, patients, scans, auroc, share=share))
        held.append(found.low <= auroc <= found.high)
        assert 0 < found.high - found.low < 0.8
    assert np.mean(held) > 0.92


@pytest.mark.parametrize("scans", [1, 4])
def test_intervals_of_shares_hold_the_truth(scans):
    random = np.random.default_rng(scans)
    whose = np.repeat(np.arange(20), scans)
    for true in (0.6, 0.9):
        held = []
        for _ in range(400):
            own = np.repeat(random.normal(size=20), scans) * 0.7**0.5
            firm = own + random.normal(size=len(whose)) * 0.3**0.5
            found = share_estimate(firm < norm.ppf(true), whose)
            held.append(found.low <= true <= found.high)
        assert np.mean(held) > 0.92


def test_a_mean_of_two_that_are_the_same_is_the_one():
    scores, ill, whose = drawn(np.random.default_rng(2), 30, 2, 0.8)
    one, other = (
        auroc_estimate(scores, ill, whose),
        auroc_estimate(-scores, ~ill, whose),
    )
    mean = mean_estimate([one, other])
    assert mean.value == pytest.approx(one.value)
    assert mean.low == pytest.approx(one.low)
    assert mean.high == pytest.approx(one.high)


def test_a_mean_of_independent_shares_is_narrower_than_they_are():
    right = np.arange(80) % 4 > 0
    halves = [share_estimate(right, np.arange(80), half) for half in (
        np.arange(80) < 40, np.arange(80) >= 40
    )]  # fmt: skip
    mean = mean_estimate(halves)
    widths = [half.high - half.low for half in halves]
    assert mean.high - mean.low == pytest.approx(np.hypot(*widths) / 2)
    askew = [half.value - (half.low + half.high) / 2 for half in halves]
    centre = (mean.low + mean.high) / 2
    assert mean.value - centre == pytest.approx(np.mean(askew) / 2, rel=0.01)
    lone = auroc_estimate(np.arange(80), np.arange(80) == 4, np.arange(80))
    assert mean_estimate([halves[0], lone]).low is None
    assert mean_estimate([]).value is None


def test_a_perfect_label_narrows_no_mean_to_nothing():
    first = np.arange(40) < 20
    right = first | (np.arange(40) % 2 == 0)
    parts = [share_estimate(right, np.arange(40), side) for side in (first, ~first)]
    mean = mean_estimate(parts)
    assert parts[0].value == 1
    lost = [part.value - part.low for part in parts]
    # How patients move what is perfect is not known: as if they moved both alike.
    assert mean.value - mean.low == pytest.approx(np.mean(lost))
    assert mean.low < mean.value < mean.high
    assert mean_estimate([parts[0], parts[0]]).low == pytest.approx(parts[0].low)


def test_delong_of_several_scans_a_patient_keeps_its_error_rate():
    # Taken as independent, it called equal models different three times as often.
    alone, together = 0, 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        whose = np.repeat(np.arange(60), 4)
        truth = whose < 30
        signal = truth + np.repeat(random.normal(size=60), 4)
        first, second = (
            signal + np.repeat(random.normal(size=60), 4) for _ in range(2)
        )
        alone += delong(first, second, truth)["p"] < 0.05
        together += delong(first, second, truth, whose)["p"] < 0.05
    assert alone / 300 > 0.15
    assert 0.02 < together / 300 < 0.09
