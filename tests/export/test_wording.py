"""The words for results."""

from __future__ import annotations

import pytest
from support.results import prediction, strange

from napari_resonance.export import wording


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (1.0, "> 99.9 %"),
        (0.9994, "99.9 %"),
        (0.973, "97.3 %"),
        (0.0, "< 0.1 %"),
    ],
)
def test_a_probability_is_never_said_to_be_certain(probability, text):
    assert wording.percent(probability) == text


def test_sure_unsure_and_strange_are_told_apart_with_the_reason():
    assert wording.certainty(prediction()) == "sure"
    assert wording.why_unsure(prediction()) == ""
    unsure = prediction(sure=False)
    assert wording.certainty(unsure) == "unsure"
    assert "below this model's threshold" in wording.why_unsure(unsure)
    two = prediction(sure=False, prediction_set=("T1w", "T2w", "FLAIR"))
    assert wording.why_unsure(two) == "it could also be T2w or FLAIR"
    odd = prediction(sure=False, out_of_distribution=strange("not a head"))
    assert wording.certainty(odd) == "unlike its training data"
    assert wording.why_unsure(odd) == "not a head"


def test_a_place_is_said_with_letters():
    assert wording.place_mm((24.2, -3.4, 0.0)) == "24 mm R, 3 mm P, 0 mm S"
    assert wording.place_mm((-1.0, 3.0, -9.7)) == "1 mm L, 3 mm A, 10 mm I"


def test_a_method_is_written_as_its_authors_do():
    assert wording.method_name("gradcam") == "Grad-CAM"
    assert wording.method_name("lime") == "lime"
