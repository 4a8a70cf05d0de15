"""Held-out answers are calibrated by other patients than those whom they are about."""

from __future__ import annotations

import numpy as np
import pytest

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.training.answers import answers_of
from napari_resonance.training.cross_fitted import cross_fitted
from napari_resonance.training.judged import calibrated
from napari_resonance.training.metrics import operating_point, reliability
from napari_resonance.training.parts import parts_by_patient


def _answers(n: int = 120, labels: int = 2, seed: int = 0):
    random = np.random.default_rng(seed)
    targets = random.integers(0, labels, n)
    logits = random.normal(0, 1, (n, labels))
    logits[np.arange(n), targets] += 1.5
    patients = np.array([f"p{i // 2}" for i in range(n)])
    return 4 * logits, targets, patients


def test_a_patient_is_in_one_part_and_parts_are_of_one_size():
    patients = np.array([f"p{n // 3}" for n in range(60)])
    parts = parts_by_patient(patients, seed=0)
    for name in np.unique(patients):
        assert len(set(parts[patients == name])) == 1
    assert np.bincount(parts).tolist() == [12] * 5


def test_each_answer_is_calibrated_by_the_other_parts():
    logits, targets, patients = _answers()
    parts = parts_by_patient(patients, seed=1)
    found = cross_fitted(logits, targets, patients, parts, 0.9)
    assert found is not None
    assert (found.targets == targets).all()
    assert (found.patients == patients).all()
    for part in range(5):
        here, rest = parts == part, parts != part
        other, _ = calibrated(logits[rest], targets[rest], patients[rest], 0.9)
        expected = answers_of(logits[here], targets[here], patients[here], other)
        assert found.probabilities[here] == pytest.approx(expected.probabilities)
        assert (found.sure[here] == expected.sure).all()
        assert (found.in_set[here] == expected.in_set).all()
        assert len(set(found.threshold[here])) == 1


def test_what_an_answer_says_of_itself_does_not_change_it():
    logits, targets, patients = _answers()
    parts = parts_by_patient(patients, seed=0)
    before = cross_fitted(logits, targets, patients, parts, 0.9)
    changed = targets.copy()
    here = parts == 0
    changed[here] = 1 - changed[here]
    after = cross_fitted(logits, changed, patients, parts, 0.9)
    assert after.probabilities[here] == pytest.approx(before.probabilities[here])
    assert (after.threshold[here] == before.threshold[here]).all()
    assert not np.allclose(after.probabilities[~here], before.probabilities[~here])


def test_guesses_are_not_flattered_by_their_own_operating_point():
    """Youden's threshold on the answers that are judged finds skill in noise."""
    gains = {"own": [], "others": []}
    for seed in range(20):
        random = np.random.default_rng(seed)
        logits, targets = random.normal(0, 1, (40, 2)), np.arange(40) % 2
        patients = np.array([f"p{n}" for n in range(40)])
        parts = parts_by_patient(patients, seed)
        others = cross_fitted(logits, targets, patients, parts, 0.9)
        calibration = Calibration()
        threshold = operating_point(calibration.probabilities(logits), targets)
        own = answers_of(logits, targets, patients, calibration, threshold=threshold)
        gains["own"].append((own.called == own.targets).mean())
        gains["others"].append((others.called == others.targets).mean())
    assert np.mean(gains["own"]) > 0.56
    assert np.mean(gains["others"]) < 0.54


def test_one_patient_calibrates_nobody_else():
    logits, targets, _ = _answers(10)
    alone = np.full(10, "p")
    parts = parts_by_patient(alone, seed=0)
    assert cross_fitted(logits, targets, alone, parts, 0.9) is None


def test_three_labels_have_no_operating_point():
    logits, targets, patients = _answers(labels=3)
    parts = parts_by_patient(patients, seed=0)
    found = cross_fitted(logits, targets, patients, parts, 0.9)
    assert found.threshold is None
    bins = reliability(found.probabilities, targets)
    assert sum(row["cases"] for row in bins) == len(targets)
