"""Mosaics are cut and placed, or refused with what their header lacks."""

import gzip
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from support.dicom_files import save, write_stack

from napari_resonance import read_scan, read_scans
from napari_resonance.errors import ReadError
from napari_resonance.geometry import LPS_TO_RAS, reorient
from napari_resonance.reading.siemens import read_csa

with warnings.catch_warnings():  # nibabel calls its DICOM readers experimental
    warnings.simplefilter("ignore")
    from nibabel.nicom.csareader import read as nibabel_csa
    from nibabel.nicom.dicomwrappers import MosaicWrapper

DATA = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"
CSA = pydicom.tag.Tag(0x0029, 0x1010)


def unpacked(folder, weight=0):
    """Unpack a real diffusion mosaic that comes with nibabel."""
    packed = (DATA / f"siemens_dwi_{weight}.dcm.gz").read_bytes()
    path = folder / f"{weight}.dcm"
    path.write_bytes(gzip.decompress(packed))
    return path


def test_a_real_mosaic_is_cut_and_placed_as_nibabel_does(tmp_path):
    path = unpacked(tmp_path)
    scan, reference = read_scan(path), MosaicWrapper(pydicom.dcmread(path))
    theirs = LPS_TO_RAS @ reference.affine
    voxels, affine = reorient(np.asarray(scan.voxels), scan.affine, "RAS")
    stored = reference.get_unscaled_data()
    expected, expected_affine = reorient(stored, theirs, "RAS")
    np.testing.assert_array_equal(voxels, expected)
    np.testing.assert_allclose(affine, expected_affine, atol=2e-3)
    assert scan.shape == (128, 128, 48)


def test_mosaics_of_one_grid_are_a_diffusion_series(tmp_path):
    for weight in (0, 1000):
        unpacked(tmp_path, weight)
    scan = read_scan(tmp_path)
    assert scan.shape == (128, 128, 48, 2)
    assert scan.meta["diffusion_b_values"] == (0, 1000)


def write_moved(folder, millimetres):
    unpacked(folder)
    moved = pydicom.dcmread(folder / "0.dcm")
    moved.SOPInstanceUID, moved.InstanceNumber = "1.2.3", 2
    normal = np.cross(*np.reshape(moved.ImageOrientationPatient, (2, 3)).astype(float))
    place = np.array(moved.ImagePositionPatient, float) + millimetres * normal
    moved.ImagePositionPatient = [f"{x:.5f}" for x in place]
    moved.save_as(folder / "1.dcm")


def test_each_mosaic_is_a_volume_though_its_tiles_lie_among_those_of_another(tmp_path):
    write_moved(tmp_path, 30.02)
    assert [scan.shape for scan in read_scans(tmp_path)] == [(128, 128, 48)] * 2


def test_mosaics_that_follow_the_patient_stay_one_series(tmp_path):
    write_moved(tmp_path, 3.002)
    first, scan = read_scan(tmp_path / "0.dcm"), read_scan(tmp_path)
    assert scan.shape == (128, 128, 48, 2)
    np.testing.assert_allclose(scan.affine, first.affine, atol=1e-9)
    note = "its volumes moved by up to 3.00 mm; all are placed as the first is"
    assert note in scan.warnings


def test_a_shrunken_mosaic_is_refused():
    # Its pixels were thinned out for nibabel's tests, so its tiles have no whole size.
    with pytest.raises(ReadError, match="does not divide into 7 × 7 tiles"):
        read_scan(DATA / "0.dcm")


def spoilt(folder, change):
    made = pydicom.dcmread(unpacked(folder))
    change(made)
    return made


def without_csa(made):
    made.pop(CSA)
    made.pop(0x0019100A)
    made.pop(0x00191029)


def with_csa(made, old, new):
    made[CSA].value = made[CSA].value.replace(old, new)


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        (without_csa, "private CSA header is missing"),
        (
            lambda d: (without_csa(d), d.add_new(CSA, "OB", b"nonsense")),
            "CSA header is missing",
        ),
        (
            lambda d: (
                with_csa(d, b"NumberOfImagesInM", b"NumberOfNothingIn"),
                d.pop(0x0019100A),
                d.pop(0x00191029),
            ),
            "lacks the number of slices",
        ),
        (
            lambda d: (d.pop("SpacingBetweenSlices"), d.pop("SliceThickness")),
            "lacks position, direction or spacing",
        ),
        (
            lambda d: d.pop("ImagePositionPatient"),
            "lacks position, direction or spacing",
        ),
    ],
)
def test_a_mosaic_that_cannot_be_cut_says_what_is_missing(tmp_path, change, lacks):
    path = save(spoilt(tmp_path, change), tmp_path / "x")
    with pytest.raises(ReadError, match=lacks):
        read_scan(path)


@pytest.mark.parametrize("count", [0x0019100A, 0x00191029])
def test_a_mosaic_that_lost_its_csa_header_is_cut_in_the_usual_order(tmp_path, count):
    whole = read_scan(unpacked(tmp_path))
    (lost,) = {0x0019100A, 0x00191029} - {count}
    made = spoilt(tmp_path, lambda d: (d.pop(CSA), d.pop(lost)))
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels, whole.voxels)
    np.testing.assert_allclose(scan.affine, whole.affine, atol=1e-3)
    (note,) = scan.warnings
    assert note.startswith("the order of its slices is not given")


def test_slices_of_a_mosaic_that_the_scanner_took_apart_are_no_mosaics(tmp_path):
    names = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}
    matrix = {"AcquisitionMatrix": [7, 0, 0, 5]}
    write_stack(tmp_path, (0.0, 2.0, 4.0), **names, **matrix)
    assert read_scan(tmp_path).shape == (7, 5, 3)


def test_a_mosaic_whose_private_creator_was_dropped_is_still_cut(tmp_path):
    path = save(spoilt(tmp_path, lambda d: d.pop(0x00290010)), tmp_path / "x")
    assert read_scan(path).shape == (128, 128, 48)


@pytest.mark.parametrize("name", ["csa2_b0.bin", "csa2_b1000.bin"])
def test_csa_numbers_equal_those_that_nibabel_reads(name):
    content = (DATA / name).read_bytes()
    mine, theirs = read_csa(content), nibabel_csa(content)["tags"]
    for key in ("NumberOfImagesInMosaic", "SliceNormalVector", "B_value"):
        expected = theirs[key]["items"]
        assert mine.get(key, ()) == tuple(map(float, expected))


@pytest.mark.parametrize("keep", [0, 3, 8, 16, 100, 200, 5000])
def test_a_csa_header_that_is_cut_gives_nothing(keep):
    content = (DATA / "csa2_b0.bin").read_bytes()
    assert read_csa(content[:keep]) == {}
