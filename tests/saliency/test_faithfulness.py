"""Deletion and insertion: a map that knows beats chance, one that does not does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.bundles import spot_bundle
from support.phantoms import phantom

from napari_resonance.classifier.predict import Classifier, load_classifier
from napari_resonance.errors import CancelledError, SaliencyError
from napari_resonance.reading import read_scan
from napari_resonance.saliency.explain import Explanation, explain
from napari_resonance.saliency.faithfulness import (
    Curves,
    Faithfulness,
    faithfulness,
)
from napari_resonance.saliency.question import ExplainOptions
from napari_resonance.samples import sample_path

SPOT = ExplainOptions(target="spot", against="nothing")


@pytest.fixture(scope="module", params=[2, 3])
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Classifier, Explanation]:
    folder = tmp_path_factory.mktemp("spot") / "b"
    finder = load_classifier(spot_bundle(folder, dimensions=request.param))
    return finder, explain(finder, phantom("oblique")[0], SPOT)


def _with_values(explained: Explanation, values: np.ndarray) -> Explanation:
    return replace(explained, saliency=replace(explained.saliency, values=values))


def test_the_map_of_a_spot_finder_is_better_than_chance(asked):
    found = faithfulness(*asked)
    assert found.better_than_chance
    assert found.sentence.startswith("the map is better than chance")
    assert found.curves.deletion_auc < found.random[0].deletion_auc


def test_its_opposite_is_not(asked):
    finder, explained = asked
    values = -explained.saliency.values
    found = faithfulness(finder, _with_values(explained, values))
    assert not found.better_than_chance
    assert "do not rely on it" in found.sentence


def test_a_gain_that_may_be_luck_is_not_called_better():
    def curves(low: float, high: float) -> Curves:
        return Curves((1.0, low, 0.0), (0.0, high, 1.0))

    chance = curves(0.5, 0.5)
    little = Faithfulness("quick", curves(0.46, 0.54), (chance,), None, None, 0)
    assert not little.better_than_chance
    assert little.sentence.startswith("the map is hardly better than chance")
    much = Faithfulness("quick", curves(0.2, 0.8), (chance,), None, None, 0)
    assert much.better_than_chance
    worse = Faithfulness("quick", curves(0.1, 0.4), (chance,), None, None, 0)
    assert worse.sentence.startswith("the map is not better than chance")


def test_nothing_is_never_less_than_nothing():
    curves = Curves((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    hair = Curves((0.5, 0.499, 0.5), (0.5, 0.501, 0.5))
    found = Faithfulness("full", curves, (hair,), hair, None, forwards=0)
    assert "deletion 0%, insertion 0%" in found.sentence
    assert "deletion 0%, insertion 0%" in found.rivals
    assert "not better than the scan's own edges" in found.rivals


def test_the_quick_version_takes_thirty_runs(asked):
    finder, explained = asked
    calls = []
    plain = finder._forward
    finder._forward = lambda batch, *more: (
        calls.append(len(batch)) or plain(batch, *more)
    )
    try:
        found = faithfulness(finder, explained)
    finally:
        del finder._forward
    assert found.forwards == 30
    assert sum(calls) == 30 * len(explained.answer.logits)


def test_all_orders_share_their_ends(asked):
    finder, explained = asked
    found = faithfulness(finder, explained)
    ends = {
        (c.deletion[0], c.deletion[-1], c.insertion[-1], c.insertion[0])
        for c in (found.curves, *found.random)
    }
    assert len(ends) == 1
    start, last, again, first = ends.pop()
    assert (start, last) == (again, first)
    assert len(found.curves.deletion) == 9


def test_the_document_is_strict_json(asked):
    document = faithfulness(*asked).to_json()
    assert document["rivals"] == ""
    assert {
        "deletion_auc",
        "insertion_auc",
        "random_deletion_auc",
        "random_insertion_auc",
    } <= set(document)
    json.dumps(document, allow_nan=False)


def test_the_full_version_adds_edges_orders_and_sensitivity(asked):
    finder, explained = asked
    found = faithfulness(finder, explained, version="full")
    assert len(found.random) == 5
    assert found.edges is not None
    assert found.sensitivity is not None
    assert -1 <= found.sensitivity <= 1
    assert "better than the scan's own edges" in found.rivals
    assert f"correlate by {found.sensitivity:.2f}" in found.rivals
    assert found.to_json()["rivals"] == found.rivals
    assert found.forwards == 2 + 2 * 15 * 7 + 48


def test_a_map_without_places_has_no_order(asked):
    finder, explained = asked
    flat = np.ones_like(explained.saliency.values)
    with pytest.raises(SaliencyError, match="the same everywhere"):
        faithfulness(finder, _with_values(explained, flat))


def test_it_ends_when_asked_to(asked):
    told = []
    with pytest.raises(CancelledError):
        faithfulness(
            *asked,
            progress=lambda *step: told.append(step),
            should_stop=lambda: len(told) > 3,
        )
    assert len(told) == 4


def test_the_embedded_model_looks_where_its_map_says(tmp_path: Path):
    classifier = load_classifier("mr-sequence")
    explained = explain(classifier, read_scan(sample_path("icbm-t1")))
    found = faithfulness(classifier, explained)
    assert 0 <= found.curves.deletion_auc <= 1
    assert found.curves.deletion[0] == pytest.approx(
        explained.prediction.probability, abs=1e-4
    )
