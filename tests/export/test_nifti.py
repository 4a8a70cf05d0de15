"""NIfTI files place every voxel where it is, by nibabel and by SimpleITK."""

from __future__ import annotations

import dataclasses

import nibabel
import numpy as np
import pytest
from support.phantoms import (
    BRIGHT,
    BRIGHT_VALUE,
    NAMES,
    brightest_mm,
    color_phantom,
    phantom,
    time_phantom,
)
from support.results import saliency_at

from napari_resonance.errors import ExportError
from napari_resonance.export.nifti import write_saliency, write_scan
from napari_resonance.scan import Scan

STRAIGHT_AXES = [name for name in NAMES if name != "sheared"]


def itk_mm(path, index):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.ReadImage(str(path))
    lps = image.TransformIndexToPhysicalPoint([int(n) for n in index])
    return np.array(lps) * (-1, -1, 1), image.GetPixel(*[int(n) for n in index])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("name", STRAIGHT_AXES)
def test_both_readers_find_the_bright_voxel_where_it_is(tmp_path, name, suffix):
    scan, mm = phantom(name)
    path = tmp_path / f"scan{suffix}"
    write_scan(scan, path)
    image = nibabel.load(path)
    data = np.asanyarray(image.dataobj)
    index = np.unravel_index(data.argmax(), data.shape)
    assert np.allclose((image.affine @ [*index, 1])[:3], mm, atol=1e-3)
    place, value = itk_mm(path, BRIGHT)
    assert value == BRIGHT_VALUE
    assert np.allclose(place, mm, atol=1e-3)
    assert image.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("name", STRAIGHT_AXES)
def test_sform_and_qform_agree(tmp_path, name):
    scan, _ = phantom(name)
    write_scan(scan, tmp_path / "scan.nii")
    header = nibabel.load(tmp_path / "scan.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert np.allclose(header.get_sform(), header.get_qform(), atol=1e-4)


def test_a_sheared_scan_has_an_sform_alone_and_itk_refuses_it(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    scan, mm = phantom("sheared")
    path = tmp_path / "scan.nii.gz"
    write_scan(scan, path)
    image = nibabel.load(path)
    assert int(image.header["qform_code"]) == 0
    assert np.allclose((image.affine @ [*BRIGHT, 1])[:3], mm, atol=1e-3)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(path))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_voxels_are_kept_as_stored_with_their_slope(tmp_path, dtype):
    scan, _ = phantom("oblique", slope=2.5, intercept=-1024.0)
    voxels = np.asfortranarray((scan.stored() % 200).astype(dtype))
    scan = dataclasses.replace(scan, voxels=voxels)
    write_scan(scan, tmp_path / "scan.nii.gz")
    image = nibabel.load(tmp_path / "scan.nii.gz")
    assert image.get_data_dtype() == dtype
    assert np.array_equal(image.dataobj.get_unscaled(), voxels)
    assert np.allclose(image.get_fdata(), scan.values(), atol=1e-3)
    assert (image.dataobj.slope, image.dataobj.inter) == (2.5, -1024.0)


@pytest.mark.parametrize(
    ("dtype", "stored"), [(bool, np.uint8), (np.float16, np.float32), (">i2", np.int16)]
)
def test_types_nifti_lacks_are_widened(tmp_path, dtype, stored):
    scan, _ = phantom()
    scan = dataclasses.replace(scan, voxels=(scan.stored() > 100).astype(dtype))
    write_scan(scan, tmp_path / "scan.nii")
    image = nibabel.load(tmp_path / "scan.nii")
    assert image.get_data_dtype() == stored
    assert np.array_equal(image.get_fdata(), scan.values())


def test_time_series_and_colour_come_back(tmp_path):
    scan, mm = time_phantom()
    scan = dataclasses.replace(scan, meta={"repetition_time_ms": 2500.0})
    write_scan(scan, tmp_path / "time.nii")
    image = nibabel.load(tmp_path / "time.nii")
    assert image.shape == scan.shape
    assert np.array_equal(np.asanyarray(image.dataobj), scan.voxels)
    assert image.header.get_zooms()[3] == 2.5
    scan, mm = color_phantom()
    write_scan(scan, tmp_path / "color.nii")
    image = nibabel.load(tmp_path / "color.nii")
    data = np.asanyarray(image.dataobj)
    assert image.shape == scan.grid_shape
    assert np.array_equal(np.stack([data[c] for c in "RGB"], -1), scan.voxels)
    assert np.allclose((image.affine @ [*BRIGHT, 1])[:3], mm, atol=1e-3)


def test_colour_of_sixteen_bits_is_refused(tmp_path):
    scan, _ = color_phantom()
    scan = dataclasses.replace(scan, voxels=scan.stored().astype(np.uint16))
    with pytest.raises(ExportError, match="8 bits a channel, not uint16"):
        write_scan(scan, tmp_path / "color.nii")
    assert not list(tmp_path.iterdir())


def test_a_scan_without_orientation_claims_none(tmp_path):
    voxels = np.zeros((5, 4, 1), np.uint8)
    scan = Scan(voxels, np.diag([0.2, 0.2, 1, 1]), modality="DX", oriented=False)
    write_scan(scan, tmp_path / "scan.nii")
    header = nibabel.load(tmp_path / "scan.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    assert np.allclose(header.get_zooms(), (0.2, 0.2, 1))


def test_an_axis_too_long_for_nifti_1_is_written_as_nifti_2(tmp_path):
    scan = Scan(np.zeros((40000, 2, 1), np.uint8), np.eye(4))
    write_scan(scan, tmp_path / "long.nii")
    assert isinstance(nibabel.load(tmp_path / "long.nii"), nibabel.Nifti2Image)


@pytest.mark.parametrize("name", STRAIGHT_AXES)
def test_a_saliency_map_lies_over_its_scan_in_its_own_units(tmp_path, name):
    scan, mm = phantom(name)
    saliency = saliency_at(scan, mm)
    path = tmp_path / "map.nii.gz"
    write_saliency(saliency, path)
    image = nibabel.load(path)
    data = np.asanyarray(image.dataobj)
    assert image.get_data_dtype() == np.float32
    assert np.array_equal(data, saliency.values)
    peak = np.unravel_index(data.argmax(), data.shape)
    assert np.allclose((image.affine @ [*peak, 1])[:3], saliency.peak_mm, atol=1e-3)
    place, value = itk_mm(path, peak)
    assert value == pytest.approx(1.75)
    assert np.allclose(place, saliency.peak_mm, atol=1e-3)


def test_a_saliency_map_says_what_it_is_and_nothing_else(tmp_path):
    scan, mm = phantom()
    write_saliency(saliency_at(scan, mm), tmp_path / "map.nii")
    header = nibabel.load(tmp_path / "map.nii").header
    assert header["descrip"].item() == b"gradcam for T1w"
    assert header["intent_name"].item() == b"gradcam"
    assert (int(header["sform_code"]), int(header["qform_code"])) == (2, 2)


def test_the_same_result_gives_the_same_bytes(tmp_path):
    scan, mm = phantom()
    for name in ("a.nii.gz", "b.nii.gz"):
        write_saliency(saliency_at(scan, mm), tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_other_endings_are_refused(tmp_path):
    scan, _ = phantom()
    with pytest.raises(ExportError, match=r"ends in \.nii or \.nii\.gz"):
        write_scan(scan, tmp_path / "scan.mha")


def test_a_written_scan_is_read_again_at_the_same_millimetre(tmp_path):
    from napari_resonance.reading import read_scan

    for name in NAMES:
        scan, mm = phantom(name)
        write_scan(scan, tmp_path / f"{name}.nii.gz")
        again = read_scan(tmp_path / f"{name}.nii.gz")
        assert np.allclose(brightest_mm(again), mm, atol=1e-3)
        assert np.array_equal(again.stored(), scan.stored())
