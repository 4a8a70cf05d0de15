"""The grid tells the truth about gaps, slants, rounding and missing geometry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dicom_files import AXIAL, pixels_of, plane, save, write_stack

from napari_resonance import read_scan, read_scans
from napari_resonance.geometry import to_world
from napari_resonance.reading.dicom_geometry import (
    Planes,
    separate_stacks,
    stack_planes,
)


def test_row_and_column_spacing_are_not_confused(tmp_path):
    write_stack(tmp_path, (0, 2), PixelSpacing=[3.0, 0.5])
    scan = read_scan(tmp_path)
    assert scan.shape == (7, 5, 2)
    assert scan.spacing == (0.5, 3.0, 2.0)


def test_a_missing_slice_is_said_and_the_grid_stays_truthful(tmp_path):
    write_stack(tmp_path, (0, 2, 4, 8, 10))
    scan = read_scan(tmp_path)
    assert scan.grid_shape[2] == 6
    assert scan.spacing[2] == 2
    (warning,) = scan.warnings
    assert warning.startswith("1 slice is missing after slice 3 (4.0 mm to the next)")
    np.testing.assert_array_equal(scan.voxels[:, :, 4], pixels_of(3).T)
    np.testing.assert_array_equal(scan.voxels[:, :, 5], pixels_of(4).T)
    between = (pixels_of(2).astype(int) + pixels_of(3)) / 2
    np.testing.assert_array_equal(scan.voxels[:, :, 3], np.round(between).T)


def test_uneven_slices_are_interpolated_onto_an_even_grid_and_that_is_said(tmp_path):
    depths = (0.0, 2.0, 4.9, 7.1, 11.3)
    write_stack(tmp_path, depths)
    scan = read_scan(tmp_path)
    assert "unevenly spaced (2.00 to 4.20 mm)" in scan.warnings[0]
    heights = to_world(scan.affine, [(0, 0, k) for k in range(scan.grid_shape[2])])[
        :, 2
    ]
    assert heights[0] == 0
    assert heights[-1] == pytest.approx(11.3)
    expected = np.interp(heights, depths, [100 * n for n in range(5)])
    np.testing.assert_allclose(scan.voxels[0, 0], expected, atol=0.51)


def test_rounded_positions_are_no_gap(tmp_path):
    write_stack(tmp_path, np.round(np.arange(12) * 6.97, 1))
    scan = read_scan(tmp_path)
    assert scan.warnings == ()
    assert scan.grid_shape[2] == 12


def test_slices_far_from_the_others_are_a_scan_of_their_own(tmp_path):
    write_stack(tmp_path, (0, 2, 4, 6, 500))
    near, far = read_scans(tmp_path)
    assert (near.grid_shape[2], far.grid_shape[2]) == (4, 1)
    assert "2 stacks" in near.warnings[0]
    np.testing.assert_allclose(far.affine[:3, 3], (-10, -20, 500))


def test_slices_shifted_without_rule_are_not_made_one_volume(tmp_path):
    for n, shift in enumerate((0.0, 30.0, 0.0, 30.0)):
        save(plane(n, (shift, 0.0, 2.0 * n)), tmp_path / str(n))
    one, other = read_scans(tmp_path)
    assert (one.affine[0, 3], other.affine[0, 3]) == (0, -30)
    assert one.grid_shape[2] == other.grid_shape[2] == 2


def test_two_planes_beside_each_other_are_no_stack(tmp_path):
    save(plane(0, (0.0, 0.0, 0.0)), tmp_path / "0")
    save(plane(1, (40.0, 0.0, 1.0)), tmp_path / "1")
    assert [s.grid_shape[2] for s in read_scans(tmp_path)] == [1, 1]


def test_positions_count_more_than_the_claimed_spacing(tmp_path):
    write_stack(tmp_path, (0, 7, 14), SpacingBetweenSlices=2.0, SliceThickness=5.0)
    assert read_scan(tmp_path).spacing[2] == 7


def test_a_single_slice_is_as_thick_as_its_header_says(tmp_path):
    save(plane(0, (0.0, 0.0, 0.0), SliceThickness=5.0), tmp_path / "thick")
    assert read_scan(tmp_path / "thick").spacing[2] == 5
    save(plane(0, (0.0, 0.0, 0.0), SliceThickness=None), tmp_path / "unknown")
    assert "no slice thickness" in read_scan(tmp_path / "unknown").warnings[0]


def test_without_positions_slices_are_stacked_by_number_and_that_is_said(tmp_path):
    for n in range(3):
        save(plane(n, None, ImageOrientationPatient=None), tmp_path / f"{9 - n}")
    scan = read_scan(tmp_path)
    assert not scan.oriented
    assert scan.orientation is None
    assert "stacked by instance number" in scan.warnings[0]
    np.testing.assert_array_equal(scan.voxels[:, :, 2], pixels_of(2).T)
    np.testing.assert_array_equal(scan.affine, np.diag([0.75, 1.5, 2.0, 1.0]))


def test_without_positions_the_slice_location_counts_more_than_the_number(tmp_path):
    for n in range(3):
        save(plane(n, None, SliceLocation=-4.0 * n), tmp_path / str(n))
    scan = read_scan(tmp_path)
    assert "stacked by slice location" in scan.warnings[0]
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels_of(2).T)


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageOrientationPatient": [0.0] * 6},
        {"ImageOrientationPatient": [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]},
        {"ImagePositionPatient": None},
    ],
)
def test_an_impossible_place_counts_as_none(tmp_path, tags):
    save(plane(0, (0.0, 0.0, 0.0), **tags), tmp_path / "odd")
    assert not read_scan(tmp_path / "odd").oriented


def test_without_pixel_size_one_millimetre_is_assumed_and_said(tmp_path):
    write_stack(tmp_path, (0, 2), PixelSpacing=None)
    scan = read_scan(tmp_path)
    assert scan.spacing == (1, 1, 2)
    assert "no pixel size" in scan.warnings[0]


@pytest.mark.parametrize(
    ("tags", "spacing", "warning"),
    [
        (
            {"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.4, 0.3]},
            (0.1, 0.2),
            "",
        ),
        (
            {"PixelSpacing": None, "ImagerPixelSpacing": [0.4, 0.3]},
            (0.3, 0.4),
            "detector",
        ),
        (
            {"PixelSpacing": None, "NominalScannedPixelSpacing": [0.4, 0.3]},
            (0.3, 0.4),
            "film",
        ),
    ],
)
def test_the_pixel_size_of_a_radiograph_says_where_it_holds(
    tmp_path, tags, spacing, warning
):
    tags = {"Modality": "DX", "ImageOrientationPatient": None, **tags}
    scan = read_scan(save(plane(0, None, **tags), tmp_path / "x"))
    assert scan.spacing[:2] == spacing
    assert not scan.oriented
    assert warning in " ".join(scan.warnings)
    assert bool(scan.warnings) == bool(warning)


def test_radiographs_of_one_series_are_scans_of_their_own(tmp_path):
    for n in range(3):
        tags = {"Modality": "CR", "ImageOrientationPatient": None}
        save(plane(n, None, **tags), tmp_path / str(n))
    assert [s.shape for s in read_scans(tmp_path)] == [(7, 5, 1)] * 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-300, 300), min_size=3, max_size=3),
    st.integers(2, 40),
    st.floats(0.3, 12),
    st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4)),
    st.randoms(use_true_random=False),
)
def test_planes_of_a_slanted_stack_lie_where_they_were_put(start, n, step, slant, rng):
    positions = np.array(start) + np.outer(np.arange(n), (*slant, 1)) * step
    shuffled = list(range(n))
    rng.shuffle(shuffled)
    planes = Planes(positions[shuffled], AXIAL, (1.0, 1.0), None)
    assert len(separate_stacks(planes)) == 1
    stack = stack_planes(planes)
    assert stack.is_even
    found = to_world(stack.affine, [(0, 0, k) for k in range(n)])
    np.testing.assert_allclose(found * (-1, -1, 1), positions, atol=0.12)
