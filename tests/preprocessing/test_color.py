"""Colour scans whose red, green and blue are the channels of the network's input."""

import numpy as np
import pytest
from support.phantoms import color_phantom, phantom

from napari_resonance.errors import PreprocessingError
from napari_resonance.geometry import reorient, resample, to_world
from napari_resonance.preprocessing import Recipe
from napari_resonance.preprocessing.intensity import IMAGENET_MEAN, IMAGENET_STD
from napari_resonance.preprocessing.monai import RecipeTransformd
from napari_resonance.scan import Scan

COLOR = {"step": "color"}
ORIENT = {"step": "orient", "code": "RAS"}
SCALE = {"step": "ct_window", "low": 0, "high": 255}
BOX = {"step": "box", "shape": [9, 8, 7]}


def recipe(*steps, dimensions=3, channels=()):
    data = {"dimensions": dimensions, "steps": list(steps), "channels": list(channels)}
    return Recipe.from_json(data)


def photograph(dtype=np.uint8, shape=(30, 20, 1)):
    random = np.random.default_rng(1)
    high = np.iinfo(dtype).max
    voxels = random.integers(0, high, (*shape, 3), endpoint=True).astype(dtype)
    return Scan(voxels, np.diag([1, 1, 2, 1]), color=True)


def test_red_green_and_blue_are_three_channels_in_that_order():
    scan = photograph()
    prepared = recipe(COLOR, SCALE, dimensions=2).apply(scan)
    assert prepared.array.shape == (1, 3, 20, 30)
    assert prepared.warnings == ()
    expected = scan.voxels[:, :, 0].transpose(2, 1, 0) / np.float32(255)
    np.testing.assert_allclose(prepared.array[0], expected, atol=1e-6)


def test_without_the_step_colour_is_brightness_and_that_is_told():
    prepared = recipe(SCALE, dimensions=2).apply(photograph())
    assert prepared.array.shape == (1, 1, 20, 30)
    assert prepared.warnings == ("colour was turned into brightness",)


def test_a_grey_scan_is_all_three_alike_and_that_is_told():
    scan, _ = phantom("oblique")
    steps = [ORIENT, {"step": "resample_spacing", "spacing": [2, 2.5, 3]}]
    prepared = recipe(COLOR, *steps).apply(scan)
    grey = recipe(*steps).apply(scan)
    assert prepared.array.shape[1] == 3
    for channel in prepared.array[0]:
        np.testing.assert_array_equal(channel, grey.array[0, 0])
    assert prepared.warnings == ("the scan is grey, and the model looks at colour",)


@pytest.mark.parametrize("name", ["oblique", "sheared"])
@pytest.mark.parametrize("center", [None, "bright"])
def test_each_channel_is_prepared_as_a_grey_scan_of_it_would_be(name, center):
    scan, mm = color_phantom(name)
    steps = [ORIENT, {"step": "resample_spacing", "spacing": [2, 2.5, 3]}]
    place = None
    if center:
        steps, place = [*steps, BOX], mm
    found = recipe(COLOR, *steps, SCALE).apply(scan, place)
    for c in range(3):
        grey = Scan(scan.voxels[..., c], scan.affine)
        alone = recipe(*steps, SCALE).apply(grey, place)
        np.testing.assert_allclose(found.array[0, c], alone.array[0, 0], atol=1e-5)
        np.testing.assert_allclose(found.grid.affine, alone.grid.affine, atol=1e-9)


def test_stored_numbers_of_16_bits_are_prepared_as_their_values_are():
    stored = photograph(np.uint16)
    values = Scan(stored.voxels.astype(np.float32), stored.affine, color=True)
    steps = [COLOR, ORIENT, {"step": "resample_shape", "shape": [9, 7, None]}]
    one, other = (recipe(*steps, dimensions=2).apply(s) for s in (stored, values))
    np.testing.assert_allclose(one.array, other.array * 255 / 65535, rtol=1e-5)


@pytest.mark.parametrize("meta", [{}, {"bits_stored": 12}])
@pytest.mark.parametrize("first", [ORIENT, {"step": "ct_window", "low": 0, "high": 1}])
def test_colours_of_more_bits_are_those_of_eight(meta, first):
    scan = photograph()
    white = 2 ** meta.get("bits_stored", 16) - 1
    wide = np.rint(scan.voxels.astype(float) / 255 * white).astype(np.uint16)
    deep = Scan(wide, scan.affine, color=True, meta=meta)
    steps = [first, {"step": "resample_shape", "shape": [9, 7, None]}]
    one, other = (recipe(COLOR, *steps, dimensions=2).apply(s) for s in (scan, deep))
    np.testing.assert_allclose(one.array, other.array, atol=0.05)


def test_a_region_at_the_edge_is_filled_alike_whether_all_is_prepared_or_not():
    scan = photograph(shape=(20, 18, 12))
    local = recipe(COLOR, ORIENT, BOX)
    # A percentile looks at all of it, so that the whole scan is prepared.
    whole = recipe(COLOR, ORIENT, {"step": "percentile", "low": 0, "high": 100}, BOX)
    corner = to_world(scan.affine, (0, 0, 0))
    one, other = (r.apply(scan, corner).array for r in (local, whole))
    low, high = scan.voxels.min(), scan.voxels.max()
    np.testing.assert_allclose((one - low) / (high - low), other, atol=1e-5)


def test_colours_get_the_statistics_of_imagenet_by_channel():
    scan = photograph()
    steps = (COLOR, SCALE, {"step": "uint8_imagenet"})
    made = recipe(*steps, dimensions=2)
    found = made.apply(scan).array[0]
    rgb = scan.voxels[:, :, 0].transpose(2, 1, 0) / np.float32(255)
    mean, std = (np.array(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    np.testing.assert_allclose(found, (rgb - mean) / std, atol=1e-5)
    black, white = np.array(made.color_scales).T[..., None, None]
    np.testing.assert_allclose((found - black) / white, rgb, atol=1e-5)


def test_what_reads_a_recipe_knows_its_channels():
    grey = {"step": "uint8_imagenet"}
    assert (recipe(COLOR).n_channels, recipe(COLOR).color) == (3, True)
    assert (recipe(grey).n_channels, recipe(grey).color) == (3, False)
    assert recipe(grey).color_scales == ()
    assert recipe(COLOR, grey, channels=["a", "b"]).n_channels == 6
    assert len(recipe(COLOR, grey, channels=["a", "b"]).color_scales) == 6
    assert recipe(COLOR, ORIENT).sha256 != recipe(ORIENT).sha256
    assert recipe(COLOR, ORIENT).monai_transforms() is None


def test_colour_comes_first():
    with pytest.raises(PreprocessingError, match="comes first, and once"):
        recipe(ORIENT, COLOR)
    with pytest.raises(PreprocessingError, match="comes first, and once"):
        recipe(COLOR, COLOR)


def test_a_step_of_a_later_version_is_refused_with_what_to_do():
    with pytest.raises(PreprocessingError, match="this version knows") as caught:
        recipe({"step": "hue"}, ORIENT)
    assert "Upgrade" in caught.value.remedy


def test_two_colour_scans_are_six_channels():
    scan = photograph(shape=(20, 18, 12))
    other = Scan(255 - scan.voxels, scan.affine, color=True)
    found = recipe(COLOR, ORIENT, SCALE, channels=["before", "after"])
    array = found.apply([scan, other]).array[0]
    np.testing.assert_allclose(array[:3] + array[3:], 1, atol=1e-6)


def test_a_second_colour_scan_is_brought_onto_the_first():
    scan = photograph(shape=(20, 18, 12))
    voxels, affine = reorient(scan.voxels, scan.affine, "LPS")
    turned = Scan(voxels, affine, color=True)
    array = recipe(COLOR, channels=["one", "two"]).apply([scan, turned]).array[0]
    np.testing.assert_allclose(array[:3], array[3:], atol=1e-3)


def test_a_head_in_colour_is_cropped_as_its_grey_picture_is():
    points = np.moveaxis(np.indices((60, 70, 60)), 0, -1) - (30, 35, 30)
    head = (np.linalg.norm(points / (20, 28, 24), axis=-1) < 1)[..., None]
    voxels = (head * np.array([200, 120, 40])).astype(np.uint8)
    scan = Scan(voxels, np.diag([3.0, 3, 3, 1]), color=True)
    crop = {"step": "head_crop", "shape": [48, 56, 34]}
    found = recipe(COLOR, ORIENT, crop).apply(scan)
    grey = recipe(ORIENT, crop).apply(Scan(voxels[..., 0], scan.affine))
    np.testing.assert_array_equal(found.array[0, 0], grey.array[0, 0])
    np.testing.assert_allclose(found.grid.affine, grey.grid.affine)


def test_the_recipe_is_a_monai_transform():
    made = recipe(COLOR, SCALE)
    scan = photograph(shape=(8, 7, 6))
    transform = RecipeTransformd("image", made.to_json())
    image = transform({"image": scan})["image"]
    assert tuple(image.shape) == (3, 8, 7, 6)
    np.testing.assert_array_equal(image.numpy(), made.apply(scan).array[0])


def test_interpolation_of_channels_is_that_of_each():
    scan, _ = color_phantom("oblique")
    grid = recipe(COLOR, ORIENT).apply(scan).grid
    together = resample(scan.voxels, scan.affine, grid)
    for c in range(3):
        alone = resample(scan.voxels[..., c], scan.affine, grid)
        np.testing.assert_array_equal(together[..., c], alone)
