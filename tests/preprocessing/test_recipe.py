"""Recipes: values and affine move together, for any stored order."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.phantoms import (
    NAMES,
    color_phantom,
    oblique_phantom,
    phantom,
    time_phantom,
)

from napari_resonance.errors import PreprocessingError
from napari_resonance.geometry import reorient, spacing_of, to_world
from napari_resonance.preprocessing import Recipe
from napari_resonance.scan import Scan


def recipe(*steps, dimensions=3):
    return Recipe.from_json({"dimensions": dimensions, "steps": list(steps)})


ORIENT = {"step": "orient", "code": "RAS"}
SPACING = {"step": "resample_spacing", "spacing": [2.0, 2.5, 3.0]}


def brightest_mm(prepared):
    volume = prepared.array[0, 0]
    return to_world(
        prepared.grid.affine, np.unravel_index(volume.argmax(), volume.shape)
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_bright_voxel_stays_at_its_millimetre(name):
    scan, mm = phantom(name)
    steps = [ORIENT, {"step": "crop_or_pad", "shape": [40, 44, 38]}]
    prepared = recipe(*steps).apply(scan)
    reach = max(spacing_of(prepared.grid.affine)) * 0.87
    assert np.linalg.norm(brightest_mm(prepared) - mm) < reach


@pytest.mark.parametrize("antialias", [True, False])
def test_resampling_keeps_the_first_voxel_and_the_place_of_a_blob(antialias):
    scan, _ = oblique_phantom()
    center = np.array([14.0, 12.0, 8.0])
    offset = np.moveaxis(np.indices(scan.shape), 0, -1) - center
    blob = np.exp(-((offset * scan.spacing) ** 2).sum(axis=-1) / 18)
    prepared = recipe({**SPACING, "antialias": antialias}).apply(
        Scan(blob.astype(np.float32), scan.affine)
    )
    np.testing.assert_allclose(prepared.grid.affine[:3, 3], scan.affine[:3, 3])
    np.testing.assert_allclose(spacing_of(prepared.grid.affine), [2.0, 2.5, 3.0])
    volume = prepared.array[0, 0]
    weights = volume.ravel() / volume.sum()
    index = np.indices(volume.shape).reshape(3, -1).T
    centroid = weights @ to_world(prepared.grid.affine, index)
    assert np.linalg.norm(centroid - to_world(scan.affine, center)) < 0.3


def test_resampling_to_a_shape_keeps_the_field_of_view():
    scan, _ = oblique_phantom()
    step = {"step": "resample_shape", "shape": [10, None, 12]}
    grid = recipe(step).apply(scan).grid
    assert grid.shape == (10, scan.shape[1], 12)
    corner = to_world(scan.affine, [-0.5, -0.5, -0.5])
    np.testing.assert_allclose(to_world(grid.affine, [-0.5, -0.5, -0.5]), corner)
    far = to_world(scan.affine, np.array(scan.shape) - 0.5)
    np.testing.assert_allclose(to_world(grid.affine, np.array(grid.shape) - 0.5), far)


@given(st.permutations("RAS"), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_the_stored_order_does_not_change_the_network_input(order, flips):
    scan, _ = oblique_phantom()
    opposite = str.maketrans("RAS", "LPI")
    code = "".join(
        c.translate(opposite) if f else c for c, f in zip(order, flips, strict=True)
    )
    voxels, affine = reorient(np.asarray(scan.voxels), scan.affine, code)
    # Orientation and padding only: resampling would start from another first voxel.
    steps = [ORIENT, {"step": "crop_or_pad", "shape": [31, 33, 35]}]
    one = recipe(*steps).apply(scan)
    other = recipe(*steps).apply(Scan(voxels, affine))
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_allclose(one.grid.affine, other.grid.affine, atol=1e-9)


def test_two_dimensions_give_one_image_a_slice_with_rows_down():
    scan, _ = oblique_phantom()
    prepared = recipe({"step": "percentile"}, dimensions=2).apply(scan)
    i, j, k = scan.shape
    assert prepared.array.shape == (k, 1, j, i)
    assert prepared.grid.shape == (j, i, k)
    index = np.array([5.0, 7.0, 3.0])  # row, column, slice
    same = to_world(scan.affine, [7.0, 5.0, 3.0])
    np.testing.assert_allclose(to_world(prepared.grid.affine, index), same)


def test_a_chosen_volume_of_a_series_is_used_and_said():
    scan = time_phantom()[0]
    keep = {"step": "crop_or_pad", "shape": [None, None, None]}
    first = recipe(keep).apply(scan)
    last = recipe(keep).apply(scan, time=scan.n_times - 1)
    assert any("volume 1 of" in w for w in first.warnings)
    assert not np.array_equal(first.array, last.array)


def test_colour_becomes_brightness_with_a_warning():
    prepared = recipe({"step": "percentile"}).apply(color_phantom()[0])
    assert prepared.array.shape[1] == 1
    assert any("colour" in w for w in prepared.warnings)


def test_the_hash_notices_each_number():
    one, other = (
        recipe(ORIENT, SPACING),
        recipe(ORIENT, {**SPACING, "antialias": False}),
    )
    assert one.sha256 != other.sha256
    assert one.sha256 == Recipe.from_json(json.loads(json.dumps(one.to_json()))).sha256


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"dimensions": 3, "steps": "orient"},
        {"dimensions": 4, "steps": []},
        {"dimensions": 3, "steps": [{"step": "run_code"}]},
        {"dimensions": 3, "steps": [{"step": "orient"}]},
        {"dimensions": 3, "steps": [{"step": "orient", "code": "RAS", "colour": 1}]},
        {"dimensions": 3, "steps": [{"code": "RAS"}]},
    ],
)
def test_a_recipe_that_cannot_be_applied_is_refused(data):
    with pytest.raises(PreprocessingError):
        Recipe.from_json(data)


def test_values_that_are_not_finite_are_replaced_and_told():
    values = np.ones((6, 7, 8), np.float32)
    values[1, 2, 3], values[2, 2, 2] = np.nan, 5
    prepared = recipe({"step": "percentile"}).apply(Scan(values, np.eye(4)))
    assert np.isfinite(prepared.array).all()
    assert any("not finite" in w for w in prepared.warnings)
    with pytest.raises(PreprocessingError, match="no finite value"):
        recipe(ORIENT).apply(Scan(np.full((4, 4, 4), np.nan, np.float32), np.eye(4)))


@pytest.mark.parametrize("values", [np.zeros((30, 30, 30)), np.ones((4, 4, 4))])
def test_without_a_head_the_crop_says_so(values):
    step = {"step": "head_crop", "shape": [17, 17, 17]}
    with pytest.raises(PreprocessingError, match="no head"):
        recipe(ORIENT, step).apply(Scan(values.astype(np.float32), np.eye(4)))


def test_the_head_crop_sits_under_the_top_of_the_head():
    values = np.zeros((80, 90, 70), np.float32)
    values[20:60, 15:75, 5:58] = 100  # a head 40 × 60 × 53 voxels of 3 mm
    values[2:4, 2:4, 64:66] = 500  # a marker that is not the head
    scan = Scan(values, np.diag([3.0, 3.0, 3.0, 1.0]))
    step = {"step": "head_crop", "shape": [49, 57, 34], "height_mm": 100.0}
    volume = recipe(ORIENT, step).apply(scan).array[0, 0]
    filled = np.argwhere(volume > 0)
    assert volume.shape == (49, 57, 34)
    assert filled[:, 2].max() == 33
    assert abs(filled[:, 0].min() + filled[:, 0].max() - 48) <= 1


def test_a_grid_that_no_memory_holds_is_refused():
    scan = Scan(np.ones((40, 40, 40), np.int16), np.diag([1e4, 1e4, 1e4, 1.0]))
    with pytest.raises(PreprocessingError, match="would make"):
        recipe(SPACING).apply(scan)


@pytest.mark.parametrize("slope", [1.0, 0.37, -2.5])
@pytest.mark.parametrize("first", [ORIENT, SPACING])
def test_stored_numbers_may_be_resampled_before_they_become_values(slope, first):
    random = np.random.default_rng(0)
    stored = random.integers(-1000, 3000, (24, 20, 16, 2)).astype(np.int16)
    affine = np.diag([-0.7, 0.9, 1.3, 1.0])
    scan = Scan(stored, affine, modality="MR", slope=slope, intercept=-1024.0)
    values = np.stack([scan.values(0), scan.values(1)], axis=-1)
    as_values = Scan(values, affine, modality="MR")
    steps = recipe(first, SPACING, {"step": "zscore"})
    for time in (0, 1):
        found, expected = (steps.apply(s, time=time) for s in (scan, as_values))
        np.testing.assert_allclose(found.array, expected.array, atol=1e-4)
        np.testing.assert_allclose(found.grid.affine, expected.grid.affine)
        assert found.warnings == expected.warnings
