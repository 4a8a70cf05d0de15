"""A box around a marked place: at its millimetre, and the same as of the whole scan."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.phantoms import (
    BRIGHT,
    NAMES,
    SHAPE,
    color_phantom,
    phantom,
    phantom_affine,
    time_phantom,
)

from napari_resonance import geometry
from napari_resonance.errors import PreprocessingError
from napari_resonance.geometry import spacing_of, to_index, to_world
from napari_resonance.preprocessing import Recipe
from napari_resonance.scan import Scan

ORIENT = {"step": "orient", "code": "RAS"}
SPACING = {"step": "resample_spacing", "spacing": [1.1, 2.0, 1.7]}
BOX = {"step": "box", "shape": [9, 7, 11], "value": -5.0}
WINDOW = {"step": "ct_window", "low": -10, "high": 2000}

fractions = st.tuples(*[st.floats(0, 1)] * 3)


def recipe(*steps, dimensions=3, **more):
    data = {"dimensions": dimensions, "steps": list(steps), **more}
    return Recipe.from_json(data)


def point_in(scan, fraction):
    """RAS+ mm at a fraction of the way through the scan."""
    return to_world(scan.affine, np.multiply(fraction, np.array(scan.grid_shape) - 1))


def middle_mm(prepared):
    return to_world(prepared.grid.affine, (np.array(prepared.grid.shape) - 1) / 2)


def off_center(prepared, point):
    """How many voxels the point lies from the middle of the box, along each axis."""
    middle = (np.array(prepared.grid.shape) - 1) / 2
    return np.abs(to_index(prepared.grid.affine, point) - middle)


@pytest.mark.parametrize("name", NAMES)
@given(fraction=fractions, shape=st.tuples(*[st.integers(1, 12)] * 3))
@settings(max_examples=15)
def test_the_marked_point_is_the_middle_of_the_box(name, fraction, shape):
    scan, _ = phantom(name)
    point = point_in(scan, fraction)
    box = {"step": "box", "shape": list(shape)}
    prepared = recipe(ORIENT, SPACING, box).apply(scan, point)
    assert prepared.grid.shape == shape
    assert (off_center(prepared, point) <= 0.5 + 1e-9).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_bright_voxel_is_found_in_the_middle(name):
    scan, mm = phantom(name)
    prepared = recipe(ORIENT, BOX).apply(scan, tuple(mm))
    volume = prepared.array[0, 0]
    brightest = np.unravel_index(volume.argmax(), volume.shape)
    assert np.abs(np.subtract(brightest, (4, 3, 5))).max() <= (name == "sheared")
    found = to_world(prepared.grid.affine, brightest)
    assert np.linalg.norm(found - mm) < 0.87 * max(spacing_of(prepared.grid.affine))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("antialias", [True, False])
@given(fraction=fractions)
@settings(max_examples=8)
def test_a_part_is_prepared_as_the_whole_is(name, antialias, fraction):
    scan, _ = phantom(name)
    point = point_in(scan, fraction)
    steps = [
        WINDOW,
        ORIENT,
        {**SPACING, "antialias": antialias},
        {"step": "resample_shape", "shape": [None, 20, 8]},
    ]
    part = recipe(*steps, BOX).apply(scan, point)
    # Padding by nothing is no step that a part can do alone.
    whole_first = {"step": "crop_or_pad", "shape": [None, None, None]}
    whole = recipe(*steps, whole_first, BOX).apply(scan, point)
    np.testing.assert_allclose(part.array, whole.array, atol=2e-5)
    np.testing.assert_allclose(part.grid.affine, whole.grid.affine, atol=1e-9)
    assert part.warnings == whole.warnings


def test_only_the_region_is_interpolated(monkeypatch):
    seen = []
    true = geometry.by_axis

    def by_axis(values, *others):
        seen.append(values.size)
        return true(values, *others)

    monkeypatch.setattr(geometry, "by_axis", by_axis)
    scan = Scan(np.ones((160, 160, 160), np.int16), np.eye(4))
    box = {"step": "box", "shape": [16, 16, 16]}
    prepared = recipe(ORIENT, {**SPACING, "spacing": [1.5, 1.5, 1.5]}, box).apply(
        scan, (80, 80, 80)
    )
    assert prepared.array.shape == (1, 1, 16, 16, 16)
    assert max(seen) < 40**3


def test_a_size_in_mm_is_rounded_to_voxels():
    scan, mm = phantom("oblique")
    box = {"step": "box", "size_mm": [10, 10, None]}
    prepared = recipe(box).apply(scan, mm)
    assert prepared.grid.shape == (11, 8, scan.shape[2])
    np.testing.assert_allclose(prepared.grid.affine[:3, :3], scan.affine[:3, :3])
    wider = recipe(box).with_box([20, 20, 20])
    assert wider.apply(scan, mm).grid.shape == (22, 15, 8)
    assert wider.sha256 != recipe(box).sha256


@pytest.mark.parametrize("name", NAMES)
def test_beyond_the_edge_lies_the_background(name):
    scan, _ = phantom(name)
    scan = replace(scan, intercept=3.0)
    corner = to_world(scan.affine, (0, 0, 0))
    prepared = recipe(ORIENT, {"step": "box", "shape": [9, 9, 9]}).apply(scan, corner)
    values = prepared.array[0, 0]
    index = np.moveaxis(np.indices(values.shape), 0, -1)
    found = to_index(scan.affine, to_world(prepared.grid.affine, index))
    # A sheared scan is interpolated, and fades to its background over one voxel.
    near = 1.01 if name == "sheared" else 0.51
    last = np.array(SHAPE) - 1
    outside = ((found < -near) | (found > last + near)).any(axis=-1)
    assert outside.any()
    assert (values[outside] == scan.values().min()).all()


def test_beyond_a_ct_lies_air():
    voxels = np.full((9, 9, 9), 40, np.int16)
    voxels[0] = -3024  # outside the scanner's circle
    scan = Scan(voxels, np.eye(4), modality="CT")
    box = {"step": "box", "shape": [5, 5, 5]}
    assert recipe(box).apply(scan, (8, 8, 8)).array[0, 0, -1, -1, -1] == -1000
    window = {"step": "ct_window", "low": -1500, "high": 500}
    windowed = recipe(window, box).apply(scan, (8, 8, 8))
    assert windowed.array[0, 0, -1, -1, -1] == pytest.approx(0.25)
    stated = recipe({**box, "value": 7}).apply(scan, (8, 8, 8))
    assert stated.array[0, 0, -1, -1, -1] == 7


def test_steps_on_the_whole_scan_come_first_where_the_recipe_says_so():
    scan, mm = phantom("oblique")
    before = recipe({"step": "zscore"}, BOX).apply(scan, mm)
    after = recipe(BOX, {"step": "zscore"}).apply(scan, mm)
    assert abs(after.array.mean()) < 1e-3
    values = scan.values()
    wanted = (values[BRIGHT] - values.mean()) / values.std()
    assert before.array[0, 0, 4, 3, 5] == pytest.approx(wanted, rel=1e-4)


def test_a_two_dimensional_network_gets_the_marked_slice():
    scan, mm = phantom("oblique")
    box = {"step": "box", "shape": [9, 7, 1]}
    prepared = recipe(box, dimensions=2).apply(scan, mm)
    assert prepared.array.shape == (1, 1, 7, 9)
    assert prepared.array[0, 0].max() == prepared.array[0, 0, 3, 4] == 1000
    np.testing.assert_allclose(middle_mm(prepared), mm)


@pytest.mark.parametrize("scan", [time_phantom()[0], color_phantom()[0]])
def test_series_and_colour_are_cut_as_they_are_prepared(scan):
    _, mm = phantom("oblique")
    prepared = recipe(BOX).apply(scan, mm)
    assert prepared.array[0, 0, 4, 3, 5] == prepared.array.max()
    assert prepared.warnings


def test_values_that_are_not_finite_are_replaced_in_the_region():
    scan, mm = phantom("straight")
    voxels = scan.values().copy()
    voxels[5, 22, 4] = np.nan
    prepared = recipe(BOX).apply(replace(scan, voxels=voxels), mm)
    assert np.isfinite(prepared.array).all()
    assert any("not finite" in w for w in prepared.warnings)


def test_without_a_centre_a_region_is_refused_or_the_middle():
    scan, _ = phantom("oblique")
    with pytest.raises(PreprocessingError, match="centre is not given") as caught:
        recipe(BOX).apply(scan)
    assert "--center" in caught.value.remedy
    assert recipe(BOX).needs_center
    middle = recipe({**BOX, "default": "center"})
    assert not middle.needs_center
    center = to_world(scan.affine, (np.array(SHAPE) - 1) / 2)
    assert (off_center(middle.apply(scan), center) <= 0.5).all()


def test_a_centre_is_refused_where_whole_scans_are_looked_at():
    scan, mm = phantom("oblique")
    with pytest.raises(PreprocessingError, match="no step 'box'"):
        recipe(ORIENT).apply(scan, mm)
    with pytest.raises(PreprocessingError, match="no step 'box'"):
        recipe(ORIENT).with_box([1, 2, 3])


@pytest.mark.parametrize(
    "center",
    [(1, 2), (1, 2, np.nan), "middle", (1, 2, 3, 4), (None, 1, 2), 7],
)
def test_a_centre_that_is_no_point_is_refused(center):
    with pytest.raises(PreprocessingError, match="three numbers in mm"):
        recipe(BOX).apply(phantom()[0], center)


def test_a_centre_outside_is_refused_and_told_where_the_scan_lies():
    scan, _ = phantom("straight")
    with pytest.raises(PreprocessingError, match="lies outside the scan") as caught:
        recipe(BOX).apply(scan, (500, 0, 0))
    assert "x -17 to 3" in caught.value.remedy
    assert "signs" not in caught.value.remedy
    affine = phantom_affine("straight")
    affine[:3, 3] = (20, 30, 40)
    with pytest.raises(PreprocessingError) as caught:
        recipe(BOX).apply(replace(scan, affine=affine), (-25, -40, 50))
    assert "signs of x and y turned" in caught.value.remedy


def test_a_file_without_orientation_is_told():
    scan = replace(phantom("straight")[0], oriented=False)
    warnings = recipe(ORIENT, BOX).apply(scan, (-10, 20, 30)).warnings
    assert any("no orientation" in w for w in warnings)


@pytest.mark.parametrize(
    "step",
    [
        {},
        {"shape": [1, 2, 3], "size_mm": [1, 2, 3]},
        {"shape": [1, 2]},
        {"shape": [1, 2, 0]},
        {"size_mm": [1, 2, "wide"]},
        {"size_mm": 12},
        {"size_mm": [1, 2, True]},
        {"size_mm": [1, 2, float("inf")]},
        {"shape": [1, 2, 3], "default": "anywhere"},
        {"shape": [1, 2, 3], "center_mm": [1, 2, 3]},
    ],
)
def test_a_box_that_cannot_be_cut_is_refused(step):
    with pytest.raises(PreprocessingError, match="box"):
        recipe({"step": "box", **step})


def test_one_box_is_enough():
    with pytest.raises(PreprocessingError, match="one 'box' at most"):
        recipe(BOX, BOX)


@pytest.mark.parametrize(
    "size", [(1, 2), (1, 2, 0), (1, None, 2), "abc", 3, (1, 2, -3)]
)
def test_another_size_is_checked_too(size):
    with pytest.raises(PreprocessingError, match="three numbers above 0"):
        recipe(BOX).with_box(size)


def test_a_box_that_no_memory_holds_is_refused():
    scan, mm = phantom("oblique")
    box = {"step": "box", "size_mm": [9000, 9000, 9000]}
    with pytest.raises(PreprocessingError, match="Make it smaller"):
        recipe(box).apply(scan, mm)
    sizes = recipe(BOX).with_box(np.array([9, 13, 25]))
    assert sizes.apply(scan, mm).grid.shape == (10, 10, 10)
    assert len(sizes.sha256) == 64


def test_a_box_larger_than_the_scan_holds_all_of_it():
    scan, mm = phantom("flipped")
    prepared = recipe({"step": "box", "shape": [80, 80, 80]}).apply(scan, mm)
    values = prepared.array[0, 0]
    assert values.sum() == pytest.approx(scan.values().sum())
    brightest = np.unravel_index(values.argmax(), values.shape)
    np.testing.assert_allclose(to_world(prepared.grid.affine, brightest), mm)


def test_a_lazy_scan_is_read_where_the_region_lies():
    dask = pytest.importorskip("dask.array")
    scan, mm = phantom("oblique")
    read = []

    def plane(block, block_info=None):
        read.append(block_info[0]["array-location"][2])
        return block

    planes = dask.from_array(np.asarray(scan.voxels), chunks=(23, 31, 1))
    lazy = replace(scan, voxels=planes.map_blocks(plane, dtype=np.int16))
    read.clear()  # dask tries the function once
    box = {"step": "box", "shape": [5, 5, 3]}
    prepared = recipe(ORIENT, box).apply(lazy, mm)
    assert prepared.array.max() == 1000
    assert 3 <= len(read) <= 9 < scan.shape[2]
