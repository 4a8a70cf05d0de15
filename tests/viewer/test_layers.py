"""What layers are made of, without a viewer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.answers import map_with_peak_at, prediction
from support.phantoms import BRIGHT, NAMES, color_phantom, phantom, time_phantom

from napari_resonance.errors import GeometryError
from napari_resonance.geometry import to_world
from napari_resonance.scan import Scan
from napari_resonance.viewer.layers import (
    resampled_layer,
    saliency_layer,
    scan_layer,
)
from napari_resonance.viewer.map_colors import saliency_colormap
from napari_resonance.viewer.naming import scan_name
from napari_resonance.viewer.records import KEY, LayerRecord, same_space


def record(settings: dict) -> LayerRecord:
    found = settings["metadata"][KEY]
    assert isinstance(found, LayerRecord)
    return found


@pytest.mark.parametrize("name", [n for n in NAMES if n != "sheared"])
def test_a_scan_is_shown_without_a_copy(name: str) -> None:
    scan, mm = phantom(name)
    data, settings, kind = scan_layer(scan)
    assert kind == "image"
    assert np.shares_memory(data, scan.voxels)
    assert settings["units"] == ("mm", "mm", "mm")
    index = np.unravel_index(int(data.argmax()), data.shape)
    assert np.allclose(to_world(record(settings).affine, index), mm)
    assert record(settings).scan is scan


def test_a_sheared_scan_is_shown_on_right_angles() -> None:
    scan, mm = phantom("sheared")
    data, settings, _ = scan_layer(scan)
    affine = settings["affine"][:3, :3]
    assert np.count_nonzero(affine) == 3
    index = np.unravel_index(int(data.argmax()), data.shape)
    off = to_world(record(settings).affine, index) - mm
    assert np.abs(off).max() < 1.3 / 2
    assert record(settings).scan is scan


def test_time_leads_and_has_a_unit() -> None:
    scan, _ = time_phantom()
    data, settings, _ = scan_layer(scan)
    assert data.shape == (3, 17, 31, 23)
    assert data[2].max() == 3 * data[0].max()
    assert settings["units"] == ("s", "mm", "mm", "mm")
    assert settings["affine"].shape == (5, 5)


@pytest.mark.parametrize("name", ["oblique", "sheared"])
def test_colour_stays_colour(name: str) -> None:
    scan, mm = color_phantom(name)
    data, settings, _ = scan_layer(scan)
    assert settings["rgb"]
    assert data.dtype == np.uint8
    assert data.shape[-1] == 3
    index = np.unravel_index(int(data.sum(axis=-1).argmax()), data.shape[:3])
    assert np.abs(to_world(record(settings).affine, index) - mm).max() < 0.7


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [
        (1.0, 0.0, np.int16),
        (1.0, -1024.0, np.int16),
        (40.0, 0.0, np.int32),
        (40.0, -20000.0, np.int16),
        (0.5, 3.0, np.float32),
    ],
)
def test_values_are_physical(slope: float, intercept: float, dtype: type) -> None:
    scan, _ = phantom("flipped", slope=slope, intercept=intercept, modality="CT")
    data, _, _ = scan_layer(scan)
    assert data.dtype == dtype
    assert data.max() == pytest.approx(scan.values()[BRIGHT])


@pytest.mark.parametrize("dtype", [np.bool_, np.float16, ">i2", ">f8"])
def test_types_that_cannot_be_drawn_are_converted(dtype: object) -> None:
    voxels = np.asfortranarray(np.arange(24).reshape(2, 3, 4) > 11).astype(dtype)
    data, _, _ = scan_layer(Scan(voxels, np.diag([1, 1, 2, 1.0])))
    assert data.dtype.isnative
    assert data.dtype.kind in "uif"
    assert data.dtype != np.float16


def test_contrast_comes_from_the_window_of_the_file() -> None:
    meta = {"window_center": 40.0, "window_width": 80.0}
    _, settings, _ = scan_layer(phantom("oblique", modality="CT", meta=meta)[0])
    assert settings["contrast_limits"] == (0.0, 80.0)
    assert record(settings).value_range == (0.0, 1000.0)
    _, settings, _ = scan_layer(phantom("oblique")[0])
    low, high = settings["contrast_limits"]
    assert 0 <= low < high <= 97


def test_a_scan_of_one_value_can_be_shown() -> None:
    _, settings, _ = scan_layer(Scan(np.zeros((3, 4, 5)), np.diag([1, 1, 1, 1.0])))
    low, high = settings["contrast_limits"]
    assert low < high
    assert record(settings).value_range is None


def test_a_radiograph_is_shown_as_stored() -> None:
    voxels = np.zeros((30, 20, 1), np.uint16)
    voxels[25, 4, 0] = 9
    meta = {"photometric_interpretation": "MONOCHROME1"}
    scan = Scan(voxels, np.diag([0.2, 0.3, 1, 1]), "DX", oriented=False, meta=meta)
    data, settings, _ = scan_layer(scan)
    assert data.shape == (1, 20, 30)
    assert data[0, 4, 25] == 9
    assert np.allclose(np.diag(settings["affine"]), (1, 0.3, 0.2, 1))
    assert settings["colormap"] == "gray_r"


def test_the_map_keeps_its_own_values_and_cells() -> None:
    scan, mm = phantom("oblique")
    answer = prediction(map_with_peak_at(scan, mm))
    data, settings, _ = saliency_layer(scan, answer)
    assert data.size == answer.saliency.values.size
    index = np.unravel_index(int(data.argmax()), data.shape)
    assert data[index] == 2.5
    assert np.allclose(to_world(record(settings).affine, index), mm)
    assert settings["contrast_limits"] == pytest.approx((1.25, 2.5))
    assert settings["name"] == "Grad-CAM for a"
    assert record(settings).prediction is answer


def test_a_map_of_a_radiograph_lies_on_it() -> None:
    scan = Scan(
        np.zeros((30, 20, 1), np.uint8), np.diag([0.2, 0.3, 1, 1]), oriented=False
    )
    # A 2D network's grid: row, column, slice.
    affine = np.diag([0.0, 0.0, 1.0, 1.0])
    affine[1, 0], affine[0, 1] = 2.4, 1.6
    values = np.zeros((3, 4, 1), np.float32)
    values[2, 1, 0] = 1
    map_ = map_with_peak_at(scan, np.zeros(3))
    map_ = type(map_)(values, affine, "gradcam", "a", ((3, 4, 1), affine))
    data, settings, _ = saliency_layer(scan, prediction(map_))
    assert data.shape == (1, 3, 4)
    there = settings["affine"] @ (*np.unravel_index(int(data.argmax()), data.shape), 1)
    assert np.allclose(there, (0, 4.8, 1.6, 1))


def test_a_prediction_without_a_map_has_no_layer() -> None:
    with pytest.raises(GeometryError, match="no saliency map"):
        saliency_layer(phantom()[0], prediction())


def test_nothing_below_the_threshold_is_drawn() -> None:
    colors = saliency_colormap().colors
    assert colors[0, 3] == 0
    assert (colors[1:, 3] >= 0.5).all()
    assert (np.diff(colors[:, :3].sum(axis=1)) > -0.01).all()


def test_resampling_keeps_the_millimetre() -> None:
    moving, mm = phantom("flipped")
    # A view that covers the whole phantom, turned against it.
    affine = np.array(phantom("oblique")[0].affine)
    affine[:3, 3] += mm - to_world(affine, (30, 30, 30))
    view = Scan(np.zeros((60, 60, 60), np.uint8), affine)
    data, settings, _ = resampled_layer(LayerRecord(moving, moving.affine), view)
    index = np.unravel_index(int(data.argmax()), data.shape)
    there = to_world(record(settings).affine, index)
    assert np.abs(there - mm).max() < 2.5
    assert np.allclose(
        record(settings).affine[:3, :3], record(scan_layer(view)[1]).affine[:3, :3]
    )
    assert settings["name"].endswith("resampled")


@pytest.mark.parametrize("meta", [{}, {"bits_stored": 12}])
def test_colour_of_more_bits_is_as_bright_as_that_of_eight(
    meta: dict[str, int],
) -> None:
    scan, _ = color_phantom()
    white = 2 ** meta.get("bits_stored", 16) - 1
    wide = np.rint(np.asarray(scan.voxels) / 255 * white).astype(np.uint16)
    deep = replace(scan, voxels=wide, meta=meta)
    one, other = (scan_layer(s)[0] for s in (scan, deep))
    assert other.dtype == np.uint8
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_is_resampled_channel_by_channel(dtype: type) -> None:
    scan, _ = color_phantom("flipped")
    deep = np.asarray(scan.voxels).astype(dtype) * (1 if dtype is np.uint8 else 257)
    moving = replace(scan, voxels=deep)
    view, _ = phantom("oblique")
    data, settings, _ = resampled_layer(LayerRecord(moving, moving.affine), view)
    assert settings["rgb"]
    assert data.dtype == np.uint8
    for channel in range(3):
        grey = Scan(scan.voxels[..., channel], scan.affine)
        alone, other, _ = resampled_layer(LayerRecord(grey, grey.affine), view)
        np.testing.assert_allclose(record(settings).affine, record(other).affine)
        inside = alone > alone.min()  # beyond it colours are black
        np.testing.assert_allclose(data[..., channel][inside], alone[inside], atol=1.01)


def test_names_tell_how_a_scan_was_taken(tmp_path: object) -> None:
    assert scan_name(phantom("oblique")[0]) == "MR · oblique axial"
    assert scan_name(phantom("sagittal")[0]) == "MR · sagittal"
    assert scan_name(time_phantom("straight")[0]) == "MR · axial · 3 volumes"
    meta = {"series_description": "t2_tse"}
    assert scan_name(phantom("straight", meta=meta)[0]) == "MR t2_tse"
    meta = {"series_description": "MR brain"}
    assert scan_name(phantom("straight", meta=meta)[0]) == "MR brain"
    nifti = phantom("straight", modality="", sources=("a/b/brain.nii.gz",))[0]
    assert scan_name(nifti) == "brain · axial"
    dicom = phantom("straight", sources=("DOE_JOHN/0001.dcm",))[0]
    assert "DOE" not in scan_name(dicom)


def test_spaces_are_shared_by_frame_of_reference_or_study() -> None:
    one, two = phantom("straight", study="1")[0], phantom("oblique", study="1")[0]
    other = phantom("oblique", study="2")[0]
    assert same_space(one, two)
    assert not same_space(one, other)
    assert not same_space(phantom()[0], phantom("straight")[0])
    framed = [
        phantom(study="1", meta={"frame_of_reference_uid": uid})[0]
        for uid in ("1.2", "1.3")
    ]
    assert not same_space(*framed)
    assert same_space(framed[0], framed[0])
