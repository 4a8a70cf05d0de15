"""Labelled scans as boxes: whose they are, where they came from, what they show."""

import numpy as np
import pytest

from napari_resonance.errors import TrainingError
from napari_resonance.preprocessing import Recipe
from napari_resonance.reading import read_scan
from napari_resonance.training.labels import read_labels
from napari_resonance.training.mr_sequence.heads import MARGIN, prepare_heads

from .conftest import LABELS, RECIPE


def test_the_boxes_are_the_recipes_with_a_margin(heads, label_file):
    file = read_labels(label_file).cases[0]
    expected = RECIPE.apply(read_scan(file.paths[0])).array[0, 0]
    inner = heads.centers[0]
    assert heads.boxes.shape[1:] == tuple(n + 2 * MARGIN for n in heads.shape)
    assert inner.shape == expected.shape
    # Ranks keep the order of the values they were made from; the two were resampled in
    # boxes of different sizes, so that rounding may exchange neighbours.
    inside = expected > 0
    order = np.argsort(inner[inside])
    assert (np.diff(expected[inside][order]) >= -3 / inside.sum()).all()


def test_leaving_a_patient_out_leaves_nothing_of_them(heads):
    rest, test = heads.without(["b"]), heads.only(["b"])
    assert set(rest.patients) == {"a", "c"}
    assert {v.patient for v in rest.visits} == {"a", "c"}
    assert set(test.patients) == {"b"}
    assert len(rest.targets) + len(test.targets) == len(heads.targets)


def test_tissues_are_told_apart_in_registered_scans(heads):
    visit = heads.visits[0]
    assert visit.tissues is not None
    white, grey, _ = visit.tissues
    depth = [np.average(visit.depth, weights=s) for s in (white, grey)]
    assert depth[0] > depth[1] + 1
    assert visit.tissues.sum(axis=0).max() <= 1 + 1e-5


def test_an_unknown_label_is_named(label_file):
    with pytest.raises(TrainingError, match="unknown label 'FLAIR'"):
        prepare_heads(read_labels(label_file).cases, RECIPE, LABELS[:2])


def test_a_recipe_without_a_head_crop_is_refused(label_file):
    steps = [{"step": "orient", "code": "RAS"}]
    with pytest.raises(TrainingError, match="no head_crop"):
        prepare_heads(
            read_labels(label_file).cases,
            Recipe.from_json({"dimensions": 3, "steps": steps}),
            LABELS,
        )
