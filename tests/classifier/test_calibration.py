"""Temperature, thresholds and prediction sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_resonance.classifier.calibration import Calibration, fit_temperature
from napari_resonance.errors import ModelError

LOGITS = hnp.arrays(np.float64, (4, 3), elements=st.floats(-500, 500))


@given(LOGITS, st.floats(0.05, 20))
def test_probabilities_are_probabilities(logits, temperature):
    result = Calibration(temperature).probabilities(logits)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result.sum(axis=1), 1)
    assert (result >= 0).all()


def test_the_fitted_temperature_undoes_a_scaling():
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 3)) * 2
    drawn = Calibration().probabilities(logits).cumsum(axis=1)
    targets = (random.uniform(size=(4000, 1)) > drawn).sum(axis=1)
    assert fit_temperature(logits * 3, targets) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("n", [10, 20, 100])
@pytest.mark.parametrize("strength", [1.5, 3.0])
def test_few_cases_do_not_spoil_what_was_calibrated(n, strength):
    # Unit normals that are `strength` apart have calibrated logits `strength` times
    # themselves. Of few cases often all are right, and then no temperature is too low
    # for cross-entropy alone.
    random = np.random.default_rng(n)

    def drawn(count):
        targets = random.integers(0, 2, count)
        values = random.normal(size=(count, 2))
        values[np.arange(count), targets] += strength
        return values * strength, targets

    def cross_entropy(temperature, logits, targets):
        shares = Calibration(temperature).probabilities(logits)
        return -np.log(shares[np.arange(len(targets)), targets]).mean()

    later = drawn(4000)
    fitted = [fit_temperature(*drawn(n)) for _ in range(40)]
    losses = [cross_entropy(t, *later) for t in fitted]
    assert np.mean(losses) < 1.08 * cross_entropy(1.0, *later)
    assert max(losses) < 1.8 * cross_entropy(1.0, *later)


def test_a_threshold_is_sure_from_its_value_on():
    calibration = Calibration(1.0, {"rule": "threshold", "probability": 0.8})
    assert calibration.is_sure([0.8, 0.2])
    assert not calibration.is_sure([0.79, 0.21])
    assert calibration.prediction_set([0.8, 0.2], ("a", "b")) is None


def test_a_conformal_answer_is_sure_where_its_set_has_one_label():
    rule = {"rule": "conformal", "coverage": 0.9, "quantile": 0.7}
    calibration = Calibration(1.0, rule)
    assert calibration.prediction_set([0.6, 0.35, 0.05], ("a", "b", "c")) == ("a", "b")
    assert not calibration.is_sure([0.6, 0.35, 0.05])
    assert calibration.is_sure([0.9, 0.05, 0.05])
    assert calibration.prediction_set([0.25, 0.25, 0.2], ("a", "b", "c")) == ()


def test_an_operating_point_is_kept_beside_the_rule():
    calibration = Calibration(2.0, operating_point=0.3)
    assert Calibration.from_json(calibration.to_json()) == calibration
    assert "operating_point" not in Calibration(2.0).to_json()


@pytest.mark.parametrize(
    "data",
    [
        {"rule": "threshold", "probability": 0.9, "operating_point": 1.5},
        {"rule": "threshold", "probability": 0.9, "operating_point": True},
        {"rule": "threshold", "probability": 0.9, "operating_point": "0.3"},
        {"temperature": 0, "rule": "threshold", "probability": 0.9},
        {"temperature": "1", "rule": "threshold", "probability": 0.9},
        {"temperature": 1, "rule": "threshold"},
        {"temperature": 1, "rule": "threshold", "probability": 2},
        {"temperature": 1, "rule": "conformal", "coverage": 0.9},
        {"temperature": 1, "rule": "gut feeling"},
        {},
    ],
)
def test_a_calibration_that_cannot_be_is_refused(data):
    with pytest.raises(ModelError):
        Calibration.from_json(data)


def test_json_gives_the_same_calibration():
    rule = {"rule": "conformal", "coverage": 0.9, "quantile": 0.3}
    calibration = Calibration(1.7, rule)
    assert Calibration.from_json(calibration.to_json()) == calibration
