"""Figures of held-out answers, and the rules chosen from them."""

import numpy as np
import pytest

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.training.mr_sequence.held_out import (
    HeldOut,
    calibrate,
    choose_threshold,
    figures,
    folds_of,
    interval,
    variants_of,
)


def answers(n=200, wrong=0.1):
    random = np.random.default_rng(0)
    targets = random.integers(3, size=n)
    seen = np.where(random.uniform(size=n) < wrong, (targets + 1) % 3, targets)
    strength = np.where(seen == targets, 6.0, 1.0)
    return HeldOut(
        np.eye(3)[seen] * strength[:, None],
        np.zeros((n, 4)),
        np.zeros((n, 4)),
        np.linspace(0, 1, n),
        targets,
        np.array([f"p{i % 10}" for i in range(n)]),
        np.full(n, "here"),
        np.full(n, "as acquired"),
    )


def test_folds_leave_out_each_patient_and_each_larger_site(heads):
    assert folds_of(heads) == {
        "patient a": ["a"],
        "patient b": ["b"],
        "patient c": ["c"],
        "site north": ["a", "b"],
    }


def test_the_threshold_is_the_least_that_is_right_often_enough():
    top = np.repeat([0.99, 0.9, 0.8, 0.7], 3)
    probabilities = np.stack([top, 1 - top], axis=1)
    targets = np.repeat([0, 0, 1, 0], 3)
    assert choose_threshold(probabilities, targets, 0.9) == 0.9
    assert choose_threshold(probabilities, targets, 0.7) == 0.7
    assert choose_threshold(probabilities, 1 - np.zeros(12, int), 0.9) == 1.0


def test_unsure_answers_are_the_wrong_ones():
    held = answers()
    calibration = calibrate(held, accuracy=0.99)
    result = figures(held, calibration, limit=1.0)
    assert result["accuracy_when_sure"]["value"] >= 0.99
    assert 0.8 < result["sure"]["value"] < 1
    for figure in result.values():
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_far_answers_are_not_sure():
    held = answers(wrong=0)
    rule = {"rule": "threshold", "probability": 0.5}
    result = figures(held, Calibration(1.0, rule), limit=0.5)
    assert result["sure"]["value"] == pytest.approx(0.5, abs=0.02)


def test_the_interval_resamples_patients_not_scans():
    values = np.repeat([0.0, 1.0], 50)
    few = interval(values, np.repeat(["a", "b"], 50))
    many = interval(values, np.arange(100).astype(str))
    assert few["low"] == 0
    assert few["high"] == 1
    assert many["high"] - many["low"] < 0.25


def test_each_variant_degrades_the_box(heads):
    variants = variants_of(heads)
    original = variants.pop("as acquired")
    for name, boxes in variants.items():
        assert boxes.shape == original.shape, name
        assert not np.array_equal(boxes, original), name
        assert np.corrcoef(boxes.ravel(), original.ravel())[0, 1] > 0.6, name
