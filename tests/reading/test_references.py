"""Real scans lie where dcm2niix puts them, voxel by voxel."""

import nibabel
import numpy as np
import pydicom
import pytest
from support.agreement import agreeing, converted, disagreement

from napari_resonance import read_scan, read_scans, sample_path
from napari_resonance.geometry import to_world


def references(folder):
    return sorted((folder / "nifti").glob("*.nii"))


def test_both_echoes_of_one_series_equal_their_references(shared_data):
    folder = shared_data / "dicom_reference" / "dual_echo"
    scans = read_scans(folder / "dicom")
    names = [agreeing(scan, references(folder))[0].stem[-2:] for scan in scans]
    assert names == ["e1", "e2"]


def test_enhanced_time_and_diffusion_series_equal_their_references(shared_data):
    folder = shared_data / "dicom_reference" / "enhanced_xa60"
    skips = []
    scans = read_scans(folder / "dicom", on_skip=lambda _, why: skips.append(why))
    found = [agreeing(scan, references(folder)) for scan in scans]
    assert [len(names) for names in found] == [1] * 10
    assert len({name for names in found for name in names}) == 10
    assert "is a structured report, not a scan" in skips


@pytest.mark.parametrize("number", range(1, 10))
def test_a_mosaic_is_the_same_in_every_transfer_syntax(shared_data, number):
    folder = shared_data / "dicom_reference" / "transfer_syntaxes"
    scan = read_scan(folder / "dicom" / f"{number}.dcm")
    assert disagreement(scan, nibabel.load(folder / "nifti" / "1.nii")) == ""


def test_copies_of_one_mosaic_are_read_once(shared_data):
    scan = read_scan(shared_data / "dicom_reference" / "transfer_syntaxes" / "dicom")
    assert scan.shape == (64, 64, 35)
    assert "8 files with slices sent twice left out" in scan.warnings


def test_each_slice_of_the_oblique_sample_lies_where_its_header_says():
    scan = read_scan(sample_path("oblique-pd"))
    for k, path in enumerate(scan.sources):
        position = np.array(pydicom.dcmread(path).ImagePositionPatient, float)
        # The scanner rounded its positions to a tenth of a millimetre.
        found = to_world(scan.affine, (0, 0, k)) * (-1, -1, 1)
        np.testing.assert_allclose(found, position, atol=0.1)
    assert scan.orientation == "LPS"
    assert scan.modality == "MR"


def test_the_oblique_sample_equals_what_dcm2niix_makes_of_it(tmp_path):
    # dcm2niix takes the distance of the first two slices for all of them: their
    # rounded positions are 7.07 mm apart, those of all twenty 7.00 mm on average.
    scan = read_scan(sample_path("oblique-pd"))
    (made,) = converted(sample_path("oblique-pd"), tmp_path)
    assert disagreement(scan, nibabel.load(made), tolerance_mm=1.4) == ""


def test_the_compressed_ct_equals_what_dcm2niix_makes_of_it(shared_data, tmp_path):
    scan = read_scan(shared_data / "ct_dicom")
    (made,) = converted(shared_data / "ct_dicom", tmp_path)
    assert disagreement(scan, nibabel.load(made)) == ""
    assert scan.values().min() >= -1024


def test_an_inverted_radiograph_keeps_its_stored_values_and_its_label(shared_data):
    plain = read_scan(shared_data / "xray_dicom" / "chest_pa.dcm")
    inverted = read_scan(shared_data / "xray_dicom" / "chest_pa_monochrome1.dcm")
    names = [s.meta["photometric_interpretation"] for s in (plain, inverted)]
    assert names == ["MONOCHROME2", "MONOCHROME1"]
    np.testing.assert_array_equal(plain.voxels, inverted.voxels)
    assert not plain.oriented


def test_every_sample_is_read():
    brain, head, ct = read_scans(sample_path())
    assert (brain.shape, brain.orientation) == ((197, 233, 189), "RAS")
    assert (head.shape, head.orientation) == ((256, 256, 20), "LPS")
    assert (ct.shape, ct.modality) == ((128, 128, 1), "CT")
    assert not brain.warnings + head.warnings + ct.warnings
