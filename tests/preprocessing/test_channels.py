"""Several scans of one patient: on one grid, by the millimetres of their files."""

from dataclasses import replace

import numpy as np
import pytest
from support.phantoms import NAMES, color_phantom, phantom, phantom_affine

from napari_resonance.errors import PreprocessingError
from napari_resonance.geometry import reorient, resample, spacing_of, to_index, to_world
from napari_resonance.preprocessing import Recipe
from napari_resonance.preprocessing.channels import start_volume
from napari_resonance.reading import read_scan
from napari_resonance.scan import Scan

ORIENT = {"step": "orient", "code": "RAS"}
ZSCORE = {"step": "zscore"}
NAMED = ["T1w", "T2w"]


def recipe(*steps, channels=NAMED, dimensions=3):
    data = {"dimensions": dimensions, "steps": list(steps), "channels": channels}
    return Recipe.from_json(data)


def place(index, scan):
    return to_world(scan.affine, index)


def blob(affine, shape, center, width=4.0):
    """A scan that is bright around a point in RAS+ mm, however it is stored."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    off = to_world(affine, index) - center
    values = 500 * np.exp(-(off**2).sum(axis=-1) / (2 * width**2))
    return Scan(values.astype(np.float32), affine, modality="MR")


def centroid_mm(prepared, channel):
    volume = np.clip(prepared.array[0, channel], 0, None)
    weights = volume.ravel() / volume.sum()
    index = np.indices(volume.shape).reshape(3, -1).T
    return weights @ to_world(prepared.grid.affine, index)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_scan_lies_where_its_millimetres_say(name):
    first, _ = phantom("oblique")
    center = place((11, 15, 8), first)
    # Another grid altogether, around the same place.
    affine = phantom_affine(name)
    affine[:3, :3] *= 1.3
    affine[:3, 3] += center - to_world(affine, (15, 14, 13))
    second = blob(affine, (31, 29, 27), center)
    leader = blob(first.affine, first.shape, center)
    prepared = recipe(ORIENT).apply([leader, second])
    assert prepared.array.shape[:2] == (1, 2)
    for channel in (0, 1):
        apart = np.linalg.norm(centroid_mm(prepared, channel) - center)
        assert apart < 0.3 * max(spacing_of(first.affine))


def test_scans_on_one_grid_are_not_interpolated():
    first, _ = phantom("oblique")
    second = replace(first, voxels=np.asarray(first.voxels) * 2)
    prepared = recipe(ORIENT).apply([first, second])
    np.testing.assert_array_equal(prepared.array[0, 1], 2 * prepared.array[0, 0])


def test_one_image_given_twice_is_told():
    first, _ = phantom("oblique")
    assert (
        "T1w and T2w are the same image" in recipe(ORIENT).apply([first] * 2).warnings
    )
    other = replace(first, voxels=np.asarray(first.voxels)[::-1].copy())
    assert not recipe(ORIENT).apply([first, other]).warnings


def test_the_stored_order_of_a_channel_changes_nothing():
    first, _ = phantom("oblique")
    turned, affine = reorient(np.asarray(first.voxels), first.affine, "PIR")
    prepared = recipe(ORIENT).apply([first, Scan(turned, affine)])
    np.testing.assert_allclose(
        prepared.array[0, 1], prepared.array[0, 0], rtol=1e-4, atol=1e-2
    )


def test_each_channel_has_its_own_intensities():
    first, _ = phantom("oblique")
    second = replace(first, slope=7.0, intercept=-90.0)
    prepared = recipe(ORIENT, ZSCORE).apply([first, second])
    np.testing.assert_allclose(prepared.array[0, 0], prepared.array[0, 1], atol=1e-4)
    np.testing.assert_allclose(prepared.array.mean(axis=(2, 3, 4)), 0, atol=1e-4)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_region_of_channels_is_that_part_of_the_whole(name, local):
    first, mm = phantom(name)
    affine = phantom_affine("oblique")
    affine[:3, 3] += mm - to_world(affine, (14, 14, 14))
    second = blob(affine, (29, 29, 29), mm)
    spacing = {"step": "resample_spacing", "spacing": [1.5, 1.5, 1.5]}
    steps = [ORIENT, spacing]
    if not local:
        steps.append({"step": "crop_or_pad", "shape": [None, None, None]})
    box = {"step": "box", "shape": [8, 8, 8], "value": 0}
    region = recipe(*steps, box).apply([first, second], mm)
    whole = recipe(*steps).apply([first, second])
    start = np.rint(to_index(whole.grid.affine, region.grid.affine[:3, 3])).astype(int)
    low, high = np.maximum(start, 0), np.minimum(start + 8, whole.grid.shape)
    inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    cut = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    for n in (0, 1):
        np.testing.assert_allclose(
            region.array[0, n][cut], whole.array[0, n][inside], atol=2e-3
        )


def test_the_head_of_the_first_decides_the_crop():
    values = np.zeros((60, 70, 60), np.float32)
    values[15:45, 10:60, 5:50] = np.random.default_rng(0).uniform(80, 120, (30, 50, 45))
    first = Scan(values, np.diag([3.0, 3.0, 3.0, 1.0]))
    second = Scan(np.roll(values, 9, axis=0), first.affine)
    crop = {"step": "head_crop", "shape": [41, 49, 33]}
    prepared = recipe(ORIENT, crop).apply([first, second])
    np.testing.assert_array_equal(prepared.array[0, 1, 9:], prepared.array[0, 0, :-9])


def test_colours_and_slices_are_channels_too():
    first, second = phantom("oblique")[0], color_phantom("oblique")[0]
    steps = [ORIENT, {"step": "percentile"}, {"step": "uint8_imagenet"}]
    made = recipe(*steps, dimensions=2)
    prepared = made.apply([first, second])
    assert prepared.array.shape[1] == made.n_channels == 6
    assert any(w.startswith("T2w: colour") for w in prepared.warnings)


def test_beyond_a_small_scan_lies_its_background():
    first = Scan(np.ones((20, 20, 20), np.float32), np.eye(4))
    second = Scan(np.full((20, 20, 12), 5, np.int16), np.eye(4), intercept=-2)
    second.voxels.base[0, 0, 0] = 1
    prepared = recipe().apply([first, second])
    assert (prepared.array[0, 1, :, :, 14:] == -1).all()
    assert any("covers only 58 %" in w or "60 %" in w for w in prepared.warnings)
    assert any("T1w is the same everywhere" in w for w in prepared.warnings)


def test_scans_that_hardly_overlap_are_refused():
    first, _ = phantom("oblique")
    affine = first.affine.copy()
    affine[:3, 3] += 30
    with pytest.raises(PreprocessingError, match="T2w hardly overlaps T1w"):
        recipe(ORIENT).apply([first, replace(first, affine=affine)])


def test_frames_of_reference_that_differ_are_told():
    scans = [
        replace(phantom()[0], meta={"frame_of_reference_uid": uid})
        for uid in ("1.2", "1.3")
    ]
    assert any("different frames" in w for w in recipe().apply(scans).warnings)
    same = recipe().apply([scans[0], scans[0]])
    assert not any("frames" in w for w in same.warnings)


def test_files_without_orientation_need_one_size():
    first = replace(phantom("straight")[0], oriented=False)
    assert recipe().apply([first, first]).array.shape[1] == 2
    other = replace(first, voxels=first.voxels[:-1])
    with pytest.raises(PreprocessingError, match="do not say how they lie"):
        recipe().apply([first, other])


@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_wrong_number_of_scans_is_a_sentence(n):
    scan, _ = phantom()
    with pytest.raises(PreprocessingError, match=r"2 scans are needed \(T1w, T2w\)"):
        recipe().apply([scan] * n)
    with pytest.raises(PreprocessingError, match="one scan is needed"):
        recipe(channels=[]).apply([scan] * 2)
    assert recipe(channels=[]).apply([scan]).array.shape[1] == 1


@pytest.mark.parametrize("channels", ["T1w", [1, 2], ["a", "a"], ["a", " "]])
def test_channels_are_names(channels):
    with pytest.raises(PreprocessingError, match="channels"):
        recipe(channels=channels)


def test_the_names_are_part_of_the_recipe_and_absent_where_there_are_none():
    one, two = recipe(ORIENT, channels=[]), recipe(ORIENT)
    assert "channels" not in one.to_json()
    assert Recipe.from_json(two.to_json()) == two
    assert two.sha256 != recipe(ORIENT, channels=["T2w", "T1w"]).sha256
    assert two.monai_transforms() is None


def test_resampling_a_part_is_resampling():
    scan, _ = phantom("oblique")
    target = phantom_affine("sagittal")
    from napari_resonance.geometry import Grid

    whole = Grid((20, 20, 20), target)
    part = whole.part((3, 4, 5), (9, 8, 12))
    a = resample(scan.voxels, scan.affine, whole, outside=-1.0)
    b = resample(scan.voxels, scan.affine, part, outside=-1.0)
    np.testing.assert_allclose(a[3:9, 4:8, 5:12], b, atol=1e-3)


@pytest.mark.parametrize(
    "step", [("percentile", {}), ("ct_window", {"low": 0, "high": 255})]
)
def test_a_radiograph_stored_as_its_negative_is_the_same_input(step, shared_data):
    steps = (("orient", {"code": "RAS"}), ("resample_shape", {"shape": [64, 64, None]}))
    prepare = Recipe(2, (*steps, step)).apply
    one = read_scan(shared_data / "xray_dicom" / "chest_pa.dcm")
    meta = {**one.meta, "photometric_interpretation": "MONOCHROME1"}
    other = replace(one, voxels=255 - one.voxels, meta=meta)
    assert prepare(one).array.std() > 0.1
    np.testing.assert_allclose(
        prepare(one).array, prepare(other).array, rtol=0, atol=1e-3
    )


@pytest.mark.parametrize(
    ("modality", "bits", "wanted"),
    [("DX", 12, [4095, 95]), ("DX", 11, [4000, 0]), ("DX", None, [4000, 0])],
)
def test_what_is_white_depends_on_the_bits(modality, bits, wanted):
    meta = {"photometric_interpretation": "MONOCHROME1", "bits_stored": bits}
    voxels = np.array([0, 4000], np.uint16).reshape(2, 1, 1)
    scan = Scan(voxels, np.eye(4), modality=modality, meta=meta)
    values = start_volume(scan).values.ravel()
    np.testing.assert_array_equal(values, wanted)
    measured = replace(scan, modality="MR")
    np.testing.assert_array_equal(start_volume(measured).values.ravel(), [0, 4000])


def _negative(dtype=np.int16, **odd):
    values = np.arange(32 * 32).reshape(32, 32, 1) - 300
    values[3, 3], values[28, 28] = -5000, 9000
    voxels = values.astype(dtype)
    for place, value in odd.items():
        voxels[int(place[1:]), 0] = value
    meta = {"photometric_interpretation": "MONOCHROME1", "bits_stored": 16}
    return Scan(voxels, np.eye(4), modality="DX", meta=meta)


def test_a_negative_with_signs_is_turned_alike_however_it_is_prepared():
    steps = (("orient", {"code": "RAS"}), ("resample_shape", {"shape": [8, 8, None]}))
    prepare = Recipe(2, steps).apply
    stored, converted = (prepare(_negative(d)).array for d in (np.int16, np.float32))
    np.testing.assert_allclose(stored, converted, atol=0.01)
    voxels = _negative().voxels
    series = replace(_negative(), voxels=np.stack([0 * voxels, voxels], axis=3))
    np.testing.assert_allclose(prepare(series, time=1).array, converted, atol=0.01)


def test_a_region_of_a_negative_has_the_values_of_the_whole():
    scan = _negative()
    whole = start_volume(scan).values
    np.testing.assert_array_equal(whole, 4000 - scan.voxels.astype(np.float32))
    steps = (("orient", {"code": "LPS"}), ("box", {"shape": [5, 5, None]}))
    region = Recipe(2, steps).apply(scan, (15, 15, 0)).array
    middle = whole[13:18, 13:18, 0]
    assert sorted(region.ravel()) == sorted(middle.ravel())
    corner = Recipe(2, steps).apply(scan, (31, 31, 0)).array
    assert corner.min() == whole.min()  # what lies outside is black


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_a_negative_may_have_values_that_are_not_finite(odd):
    volume = start_volume(_negative(np.float32, i7=odd))
    assert "not finite" in volume.warnings[0]
    assert volume.values[7, 0, 0] == volume.values.min() == -5000
    assert volume.values.max() == 9000
