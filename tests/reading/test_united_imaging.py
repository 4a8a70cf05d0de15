"""Grids of United Imaging are cut and placed as their private elements say."""

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from support.agreement import converted, disagreement
from support.dicom_files import AXIAL, SAGITTAL, pixels_of, plane, save, set_pixels

from napari_resonance import read_scan
from napari_resonance.errors import ReadError

N_SLICES, ACROSS = 7, 3


def grid(number, direction, step, *, listed=True):
    """Return one image of seven slices, with the elements that real grids have."""
    normal = np.cross(direction[:3], direction[3:])
    places = [(np.array([10.0, 20.0, 30.0]) + normal * step * n) for n in range(7)]
    made = plane(number, places[0], Manufacturer="UIH", SliceThickness=abs(step))
    made.ImageOrientationPatient = list(direction)
    made.ImageType = ["ORIGINAL", "PRIMARY", "M", "VFRAME"]
    made.AcquisitionNumber = number + 1
    tiles = [pixels_of(10 * number + n, (8, 12)) for n in range(N_SLICES)]
    tiles += [np.zeros((8, 12), np.int16)] * (ACROSS**2 - N_SLICES)
    rows = [np.hstack(tiles[n : n + ACROSS]) for n in range(0, ACROSS**2, ACROSS)]
    set_pixels(made, np.vstack(rows))
    block = made.private_block(0x65, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(N_SLICES))
    if listed:
        items = []
        for place in places:
            items.append(Dataset())
            items[-1].ImagePositionPatient = [float(x) for x in place]
        block.add_new(0x51, "SQ", Sequence(items))
    return made


@pytest.mark.parametrize("step", [4.0, -4.0])
@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL])
def test_a_grid_equals_what_dcm2niix_makes_of_it(tmp_path, direction, step):
    for number in range(2):
        save(grid(number, direction, step), tmp_path / "dicom" / f"{number}.dcm")
    (tmp_path / "nifti").mkdir()
    scan = read_scan(tmp_path / "dicom")
    (made,) = converted(tmp_path / "dicom", tmp_path / "nifti")
    assert scan.shape == (12, 8, 7, 2)
    assert disagreement(scan, nibabel.load(made)) == ""


def test_a_grid_without_a_list_of_slices_is_placed_by_its_first(tmp_path):
    listed = read_scan(save(grid(0, AXIAL, 4.0), tmp_path / "0.dcm"))
    bare = read_scan(save(grid(0, AXIAL, 4.0, listed=False), tmp_path / "1.dcm"))
    np.testing.assert_array_equal(bare.voxels, listed.voxels)
    np.testing.assert_allclose(bare.affine, listed.affine)


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        (lambda d: (d.pop(0x00651050), d.pop(0x00651051)), "number of slices"),
        (lambda d: d[0x00651050].__setattr__("value", "40"), "does not divide into 7"),
        (
            lambda d: (d.pop(0x00651051), d.pop("ImagePositionPatient")),
            "lacks the positions",
        ),
    ],
)
def test_a_grid_that_cannot_be_cut_says_what_is_missing(tmp_path, change, lacks):
    made = grid(0, AXIAL, 4.0)
    change(made)
    with pytest.raises(ReadError, match=f"a grid of slices.*{lacks}"):
        read_scan(save(made, tmp_path / "0.dcm"))
