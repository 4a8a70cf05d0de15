"""Model cards: complete, typed, and the same after a round trip."""

from __future__ import annotations

import json

import pytest
from support.bundles import tiny_card

from napari_resonance.classifier.card import ModelCard
from napari_resonance.errors import ModelError

CARD = tiny_card(("a", "b"))


def test_survives_json():
    assert ModelCard.from_json(json.loads(json.dumps(CARD.to_json()))) == CARD


def test_keys_of_later_versions_are_left_out():
    assert ModelCard.from_json({**CARD.to_json(), "later": 1}) == CARD


@pytest.mark.parametrize("key", ["name", "version", "task", "labels", "dimensions"])
def test_a_missing_field_is_named(key):
    data = CARD.to_json()
    del data[key]
    with pytest.raises(ModelError, match=f"has no '{key}'"):
        ModelCard.from_json(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 1),
        ("labels", "ab"),
        ("labels", [1, 2]),
        ("dimensions", "3"),
        ("dimensions", True),
        ("modality", "MR"),
        ("performance", [0.9]),
        ("limits", None),
    ],
)
def test_a_wrong_type_is_named(key, value):
    with pytest.raises(ModelError, match=f"'{key}' is of the wrong type"):
        ModelCard.from_json({**CARD.to_json(), key: value})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", "", "needs a name"),
        ("labels", ["a"], "two or more different labels"),
        ("labels", ["a", "a"], "two or more different labels"),
        ("labels", ["a", ""], "a label is empty"),
        ("dimensions", 4, "2 or 3 dimensions, not 4"),
    ],
)
def test_an_impossible_card_is_refused(key, value, words):
    with pytest.raises(ModelError, match=words):
        ModelCard.from_json({**CARD.to_json(), key: value})
