"""Planes through scans: the right place, the right way round, in true millimetres."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.phantoms import NAMES, color_phantom, phantom, time_phantom
from support.results import saliency_at

from napari_resonance.display import display_range
from napari_resonance.export.planes import (
    center_of,
    inside,
    planes_through,
    sample_saliency,
    sample_scan,
)
from napari_resonance.geometry import to_world
from napari_resonance.scan import Scan


def brightest_pixel(values):
    """Return column and row of the middle of the brightest pixels."""
    rows, columns = np.nonzero(values >= values.max() * 0.9)
    return columns.mean(), rows.mean()


@pytest.mark.parametrize("name", NAMES)
def test_the_bright_voxel_is_under_the_cross_in_all_three_planes(name):
    scan, mm = phantom(name)
    planes = planes_through(scan, mm, 300)
    assert len(planes) == 3
    for plane in planes:
        values, covered = sample_scan(scan, plane)
        assert values.shape == covered.shape == plane.size[::-1]
        column, row = brightest_pixel(np.where(covered, values, 0))
        assert np.allclose((column, row), plane.cross, atol=3)
        at_cross = to_world(plane.grid.affine, [*plane.cross, 0])
        assert np.allclose(at_cross, mm, atol=1e-6)


@pytest.mark.parametrize("name", ["straight", "flipped", "sagittal"])
def test_planes_are_turned_the_radiological_way_however_stored(name):
    scan, mm = phantom(name)
    axial, coronal, sagittal = planes_through(scan, mm, 300)
    assert [p.name for p in (axial, coronal, sagittal)] == [
        "axial", "coronal", "sagittal",
    ]  # fmt: skip
    assert axial.letters == ("R", "L", "A", "P")
    assert coronal.letters == ("R", "L", "S", "I")
    assert sagittal.letters == ("A", "P", "S", "I")
    for plane, right, down in ((axial, 0, 1), (coronal, 0, 2), (sagittal, 1, 2)):
        assert plane.grid.affine[right, 0] < 0
        assert plane.grid.affine[down, 1] < 0


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_square_and_planes_share_their_scale_and_cross(name):
    scan, mm = phantom(name)
    axial, coronal, sagittal = planes_through(scan, mm, 300)
    steps = [np.linalg.norm(p.grid.affine[:3, :2], axis=0) for p in (axial, coronal)]
    assert np.allclose(steps, steps[0][0])
    assert axial.size[0] == coronal.size[0]
    assert coronal.size[1] == sagittal.size[1]
    assert axial.cross[0] == coronal.cross[0]
    assert coronal.cross[1] == sagittal.cross[1]


def test_a_plane_reaches_from_border_to_border_of_the_scan():
    scan, mm = phantom("straight")
    axial, coronal, _ = planes_through(scan, mm, 800)
    step = np.linalg.norm(axial.grid.affine[:3, 0])
    width, height = np.array(scan.grid_shape[:2]) * scan.spacing[:2]
    assert np.allclose(np.array(axial.size) * step, (width, height), atol=step)
    depth = scan.grid_shape[2] * scan.spacing[2]
    assert coronal.size[1] * step == pytest.approx(depth, abs=step)
    for plane in (axial, coronal):
        assert sample_scan(scan, plane)[1].all()


def test_oblique_planes_name_every_axis_they_look_along():
    scan, mm = phantom("oblique")
    planes = planes_through(scan, mm, 100)
    assert {plane.name for plane in planes} <= {
        "axial (oblique)", "coronal (oblique)", "sagittal (oblique)",
    }  # fmt: skip
    assert max(len(letter) for letter in planes[0].letters) >= 2
    assert planes[0].letters[0][0] == "R"


def test_nothing_is_drawn_beyond_the_border_of_a_tilted_scan():
    scan, mm = phantom("sheared")
    covered = [sample_scan(scan, plane)[1] for plane in planes_through(scan, mm, 200)]
    assert not all(c.all() for c in covered)
    assert all(c.any() for c in covered)


def test_a_single_image_has_one_plane():
    scan, _ = phantom("sagittal")
    image = dataclasses.replace(scan, voxels=scan.stored()[:, :, 4:5])
    (plane,) = planes_through(image, center_of(image), 100)
    assert plane.name == "sagittal"
    assert plane.letters == ("A", "P", "S", "I")
    values, covered = sample_scan(image, plane)
    assert covered.all()
    assert values.max() > 500


def test_a_scan_without_orientation_is_drawn_as_stored():
    voxels = np.zeros((40, 20, 1), np.uint8)
    voxels[30, 5] = 255
    scan = Scan(voxels, np.diag([0.2, 0.2, 1, 1]), modality="DX", oriented=False)
    (plane,) = planes_through(scan, center_of(scan), 400)
    values, _ = sample_scan(scan, plane)
    assert plane.letters is None
    assert plane.size == (400, 200)
    assert np.allclose(brightest_pixel(values), (304.5, 54.5), atol=2)


def test_colour_and_time_series_are_sampled():
    scan, mm = color_phantom()
    values, _ = sample_scan(scan, planes_through(scan, mm, 100)[0])
    assert values.shape[2] == 3
    scan, mm = time_phantom()
    values, _ = sample_scan(scan, planes_through(scan, mm, 300)[0])
    assert values.max() == pytest.approx(scan.stored(0).max(), rel=0.05)


def test_physical_values_are_shown_and_only_the_voxels_near_are_read():
    scan, mm = phantom("oblique", slope=2.0, intercept=-100.0)
    plane = planes_through(scan, mm, 300)[0]
    values, _ = sample_scan(scan, plane)
    assert values.max() == pytest.approx(scan.values().max(), rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_a_saliency_map_peaks_under_the_cross(name):
    scan, mm = phantom(name)
    saliency = saliency_at(scan, mm)
    for plane in planes_through(scan, saliency.peak_mm, 200):
        values, seen = sample_saliency(saliency, plane)
        row, column = np.unravel_index(np.where(seen, values, 0).argmax(), values.shape)
        assert np.allclose((column, row), plane.cross, atol=2)


def test_a_map_says_nothing_beyond_what_the_network_saw():
    scan, mm = phantom("straight")
    saliency = saliency_at(scan, mm)
    smaller = dataclasses.replace(saliency, extent=((10, 31, 17), scan.affine))
    _, seen = sample_saliency(smaller, planes_through(scan, mm, 230)[0])
    assert seen.any(axis=0).sum() == pytest.approx(10 * 0.9 / (17 * 2.5 / 230), abs=1)


def test_a_point_beyond_the_scan_is_moved_to_its_border():
    scan, _ = phantom("straight")
    _, y, z = center_of(scan)
    assert inside(scan, (1000, y, z))[0] == pytest.approx(scan.affine[0, 3] + 22 * 0.9)


def test_the_window_of_the_file_is_used_where_it_meets_the_values():
    scan, _ = phantom()
    values = [np.linspace(0, 1000, 101, dtype=np.float32)]
    asked = dataclasses.replace(scan, meta={"window_center": 300, "window_width": 200})
    assert display_range(asked, values) == (200, 400)
    several = {"window_center": [40.0, 300.0], "window_width": [80.0, 1500.0]}
    assert display_range(dataclasses.replace(scan, meta=several), values) == (0, 80)
    beyond = {"window_center": 9000, "window_width": 10}
    assert display_range(dataclasses.replace(scan, meta=beyond), values) == (5, 995)
    ct = dataclasses.replace(scan, modality="CT")
    assert display_range(ct, values) == (-160, 240)


@pytest.mark.parametrize("values", [[], [np.zeros(5)], [np.full(5, np.nan)]])
def test_values_without_contrast_still_have_a_range(values):
    scan, _ = phantom()
    low, high = display_range(scan, values or [np.zeros(0)])
    assert high > low
