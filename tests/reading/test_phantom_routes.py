"""DICOM and NIfTI put the asymmetric phantoms where they are."""

import gzip

import numpy as np
import pytest
from support import phantoms

from napari_resonance import read_scan
from napari_resonance.geometry import is_sheared, reorient


def both(scan, other):
    """Bring two scans to one order of axes."""
    (a, affine_a), (b, affine_b) = (
        reorient(np.asarray(s.voxels), s.affine, "RAS") for s in (scan, other)
    )
    return a, affine_a, b, affine_b


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("name", phantoms.NAMES)
def test_nifti_keeps_voxels_and_place(tmp_path, name, ending):
    made, mm = phantoms.phantom(name)
    read = read_scan(phantoms.write_nifti(made, tmp_path / f"scan{ending}"))
    np.testing.assert_array_equal(read.voxels, made.voxels)
    np.testing.assert_allclose(read.affine, made.affine, atol=1e-4)
    np.testing.assert_allclose(phantoms.brightest_mm(read), mm, atol=1e-3)
    assert read.voxels.dtype == np.int16
    assert read.warnings == ()


@pytest.mark.parametrize("name", phantoms.NAMES)
def test_dicom_keeps_voxels_and_place(tmp_path, name):
    made, mm = phantoms.phantom(name)
    read = read_scan(phantoms.write_dicom_series(made, tmp_path))
    a, affine_a, b, affine_b = both(read, made)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(affine_a, affine_b, atol=1e-4)
    np.testing.assert_allclose(phantoms.brightest_mm(read), mm, atol=1e-3)
    assert read.voxels.dtype == np.int16
    assert len(read.sources) == made.grid_shape[2]


def test_a_tilted_gantry_stays_in_the_affine_and_is_said(tmp_path):
    made, _ = phantoms.oblique_phantom(sheared=True)
    read = read_scan(phantoms.write_dicom_series(made, tmp_path))
    assert is_sheared(read.affine)
    assert any("gantry tilt" in warning for warning in read.warnings)


@pytest.mark.parametrize("route", ["nifti", "dicom"])
def test_a_time_series_is_one_scan(tmp_path, route):
    made, mm = phantoms.time_phantom()
    write = {
        "nifti": lambda: phantoms.write_nifti(made, tmp_path / "scan.nii"),
        "dicom": lambda: phantoms.write_dicom_series(made, tmp_path),
    }
    read = read_scan(write[route]())
    a, affine_a, b, affine_b = both(read, made)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(affine_a, affine_b, atol=1e-4)
    np.testing.assert_allclose(phantoms.brightest_mm(read, 2), mm, atol=1e-3)


@pytest.mark.parametrize("route", ["nifti", "dicom"])
def test_colour_stays_colour(tmp_path, route):
    made, mm = phantoms.color_phantom()
    write = {
        "nifti": lambda: phantoms.write_nifti(made, tmp_path / "scan.nii.gz"),
        "dicom": lambda: phantoms.write_dicom_series(made, tmp_path),
    }
    read = read_scan(write[route]())
    assert read.color
    a, _, b, _ = both(read, made)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(phantoms.brightest_mm(read), mm, atol=1e-3)


@pytest.mark.parametrize("kind", ["phantom", "time_phantom", "color_phantom"])
@pytest.mark.parametrize("route", ["nifti", "dicom"])
def test_slices_are_planes_in_memory_and_read_only(tmp_path, route, kind):
    made, _ = getattr(phantoms, kind)()
    if route == "nifti":
        read = read_scan(phantoms.write_nifti(made, tmp_path / "scan.nii"))
    else:
        read = read_scan(phantoms.write_dicom_series(made, tmp_path))
    planes = read.voxels.transpose(2, 1, 0, 3) if read.color else read.voxels.T
    assert planes.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        read.voxels[0, 0, 0] = 1


def test_physical_values_follow_slope_and_intercept(tmp_path):
    made, _ = phantoms.phantom(modality="CT", slope=2.0, intercept=-1024.0)
    for read in (
        read_scan(phantoms.write_dicom_series(made, tmp_path / "dicom")),
        read_scan(phantoms.write_nifti(made, tmp_path / "scan.nii.gz")),
    ):
        assert (read.slope, read.intercept) == (2.0, -1024.0)
        assert read.values().max() == 2 * phantoms.BRIGHT_VALUE - 1024


def test_an_uncompressed_nifti_is_mapped_not_loaded(tmp_path):
    made, _ = phantoms.phantom()
    read = read_scan(phantoms.write_nifti(made, tmp_path / "scan.nii"))
    assert isinstance(read.voxels, np.memmap)


def test_the_name_of_a_nifti_may_lie_about_compression(tmp_path):
    made, _ = phantoms.phantom()
    packed = phantoms.write_nifti(made, tmp_path / "scan.nii.gz")
    (tmp_path / "named_gz.nii.gz").write_bytes(gzip.decompress(packed.read_bytes()))
    (tmp_path / "named_plain.nii").write_bytes(packed.read_bytes())
    for name in ("named_gz.nii.gz", "named_plain.nii"):
        np.testing.assert_array_equal(read_scan(tmp_path / name).voxels, made.voxels)
