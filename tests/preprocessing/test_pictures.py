"""Scans of many bits, shown to networks of pictures as a display shows them."""

from dataclasses import replace

import numpy as np
import pytest
from support.phantoms import phantom

from napari_resonance.preprocessing import Recipe
from napari_resonance.preprocessing.pictures import as_picture
from napari_resonance.reading import read_scan
from napari_resonance.scan import Scan

SCALE = ("ct_window", {"low": 0, "high": 255})
SHAPE = ("resample_shape", {"shape": [16, 12, None]})
IN_COLOR = Recipe(2, (("color", {}), SHAPE, SCALE))
IN_GREY = Recipe(2, (SHAPE, SCALE))


def radiograph(**meta):
    """Return a scan of 14 bits without much noise, from 2000 to 9000."""
    y, x = np.mgrid[:48, :64] / 48
    smooth = 2000 + 3500 * (np.sin(3 * x) ** 2 + np.cos(2 * y) ** 2)
    voxels = np.rint(smooth).T[..., None].astype(np.uint16)
    return Scan(voxels, np.eye(4), "DX", meta={"bits_stored": 14, **meta})


def exported(scan, low, high):
    """Return the picture of 8 bits that a viewer saves of a window."""
    grey = np.clip((scan.values() - low) / (high - low), 0, 1)
    return Scan(np.rint(255 * grey).astype(np.uint8), scan.affine, scan.modality)


def told(prepared):
    return [w for w in prepared.warnings if "picture of 8 bits" in w]


@pytest.mark.parametrize("recipe", [IN_COLOR, IN_GREY])
@pytest.mark.parametrize(
    ("meta", "ends"),
    [
        ({"window_center": 5000, "window_width": 6000}, (2000, 8000)),
        ({"window_center": (5000, 1), "window_width": (4000, 2)}, (3000, 7000)),
        ({}, None),
    ],
)
def test_a_radiograph_of_14_bits_is_the_picture_its_display_shows(recipe, meta, ends):
    scan = radiograph(**meta)
    ends = ends or np.percentile(scan.values(), (0.5, 99.5))
    deep, saved = recipe.apply(scan), recipe.apply(exported(scan, *ends))
    assert deep.array.std() > 0.2
    assert (deep.array == 1).mean() < 0.4
    # What is cut before it is interpolated differs at the edges of what is cut.
    np.testing.assert_allclose(deep.array, saved.array, atol=0.03)
    (note,) = told(deep)
    assert f"from {ends[0]:.4g} (black) to {ends[1]:.4g} (white)" in note
    assert told(saved) == []


def test_a_negative_is_turned_about():
    meta = {"window_center": 5000, "window_width": 4000}
    scan = radiograph(**meta, photometric_interpretation="MONOCHROME1")
    saved = exported(scan, 3000, 7000)
    turned = replace(saved, voxels=255 - saved.voxels)
    np.testing.assert_allclose(
        IN_COLOR.apply(scan).array, IN_COLOR.apply(turned).array, atol=0.03
    )


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_look_up_table_is_followed_where_there_is_no_window(photometric):
    entries = tuple(range(0, 4096, 2)) + (4095,) * 6000
    table = {"voi_lut": entries, "voi_lut_first_value": 1500, "voi_lut_bits": 12}
    scan = radiograph(**table, photometric_interpretation=photometric)
    saved = exported(scan, 1500, 1500 + 2047.5)
    if photometric == "MONOCHROME1":
        saved = replace(saved, voxels=255 - saved.voxels)
    prepared = IN_COLOR.apply(scan)
    np.testing.assert_allclose(prepared.array, IN_COLOR.apply(saved).array, atol=0.03)
    assert "look-up table of the file" in told(prepared)[0]


def test_a_sigmoid_is_bent():
    meta = {"window_center": 5000, "window_width": 2000, "voi_lut_function": "SIGMOID"}
    picture, notes = as_picture(radiograph(**meta))
    values = radiograph().values()
    expected = 255 / (1 + np.exp(-4 * (values - 5000) / 2000))
    np.testing.assert_allclose(picture.values(), expected, atol=1e-3)
    assert notes


@pytest.mark.parametrize(
    ("voxels", "meta"),
    [
        (np.arange(256, dtype=np.uint8), {}),
        (np.arange(100, dtype=np.uint8), {"window_center": 50, "window_width": 20}),
        (np.arange(256, dtype=np.int16), {}),
        (np.arange(90, dtype=np.uint16), {"bits_stored": 16}),
        (np.arange(256, dtype=np.float32), {}),
        (np.arange(2, dtype=np.float32), {}),
        (np.arange(256, dtype=np.uint16), {"bits_stored": 8}),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_pictures_of_8_bits_stay_as_they_are(voxels, meta, photometric):
    meta = meta | {"photometric_interpretation": photometric}
    scan = Scan(voxels[:, None, None], np.eye(4), meta=meta)
    picture, notes = as_picture(scan)
    assert picture is scan
    assert notes == ()


@pytest.mark.parametrize(
    ("values", "meta"),
    [
        (np.linspace(0, 1, 50, dtype=np.float32), {}),
        (np.linspace(-900, 900, 50, dtype=np.int16), {}),
        # 8 bits that a modality look-up table led to more.
        (np.linspace(0, 4000, 50, dtype=np.uint16), {"bits_stored": 8}),
        (
            np.arange(200, dtype=np.uint16),
            {"bits_stored": 12, "window_center": 100, "window_width": 50},
        ),
    ],
)
def test_other_scales_are_known_by_their_values(values, meta):
    scan = Scan(values[:, None, None], np.eye(4), meta=meta)
    picture, notes = as_picture(scan)
    assert np.median(picture.values()) == pytest.approx(127.5, abs=5)
    assert np.ptp(picture.values()) >= 255
    assert notes


def test_other_recipes_see_the_values_of_the_scan():
    scan = radiograph(window_center=5000, window_width=4000)
    for steps in ((SHAPE,), (SHAPE, ("ct_window", {"low": 0, "high": 200}))):
        prepared = Recipe(2, (("color", {}), *steps)).apply(scan)
        assert told(prepared) == []
    volume, _ = phantom()
    assert told(Recipe(3, (SCALE,)).apply(volume)) == []


def test_hu_keep_their_scale_in_networks_of_grey_images(shared_data):
    ct = read_scan(shared_data / "ct_dicom")
    assert told(IN_GREY.apply(ct)) == []
    (note,) = told(IN_COLOR.apply(ct))
    low, high = (float(n) for n in np.array(note.split())[[3, 6]])
    assert -1100 < low < high < 1500
    shown = IN_COLOR.apply(ct).array
    assert 0.05 < (shown == 0).mean() < 0.9
    assert (shown == 1).mean() < 0.1


def test_a_region_is_that_part_of_the_whole():
    scan = radiograph(window_center=5000, window_width=4000)
    steps = (("color", {}), ("box", {"shape": [9, 7, None]}), SCALE)
    region = Recipe(2, steps).apply(scan, (20, 30, 0)).array[0, 0]
    picture, _ = as_picture(scan)
    expected = np.clip(picture.values()[16:25, 27:34, 0].T / 255, 0, 1)
    np.testing.assert_allclose(region, expected, atol=1e-5)


def test_each_channel_has_the_window_of_its_file():
    one = radiograph(window_center=5000, window_width=4000)
    other = radiograph(window_center=4000, window_width=1000)
    recipe = replace(IN_COLOR, channels=("a", "b"))
    prepared = recipe.apply([one, other])
    assert [w.split(":")[0] for w in told(prepared)] == ["a", "b"]
    alone = IN_COLOR.apply(other).array[0]
    np.testing.assert_allclose(prepared.array[0, 3:], alone, atol=1e-5)


def test_colours_of_more_bits_are_as_bright_as_those_of_eight():
    random = np.random.default_rng(0)
    voxels = random.integers(0, 255, (64, 48, 1, 3), np.uint8, endpoint=True)
    scan = Scan(voxels, np.eye(4), color=True)
    deep = replace(scan, voxels=voxels.astype(np.uint16) * 257)
    one, other = (IN_GREY.apply(s).array for s in (scan, deep))
    np.testing.assert_allclose(one, other, atol=1e-4)
