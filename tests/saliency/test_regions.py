"""Regions of a map: their place, size and name, on any grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.phantoms import NAMES, phantom_affine

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.geometry import to_world
from napari_resonance.saliency.regions import otsu, regions_of

SHAPE = (24, 20, 16)


def balls(affine, centers, values, sign="for") -> Saliency:
    """Return a map with a ball of radius 2.5 voxels and one value at each centre."""
    array = np.full(SHAPE, 0.01, np.float32)
    index = np.indices(SHAPE)
    for center, value in zip(centers, values, strict=True):
        away = index - np.reshape(center, (3, 1, 1, 1))
        array[(away**2).sum(axis=0) <= 2.5**2] = value
    return Saliency(array, affine, "occlusion", "a", (SHAPE, affine), sign=sign)


@pytest.mark.parametrize("name", NAMES)
def test_two_balls_are_two_regions_at_their_millimetre(name: str):
    affine = phantom_affine(name)
    centers = ((5, 6, 4), (17, 13, 11))
    found = regions_of(balls(affine, centers, (2.0, 1.0)))
    assert [r.number for r in found] == [1, 2]
    n_voxels = 81  # lattice points in a ball of radius 2.5
    voxel = abs(np.linalg.det(affine[:3, :3]))
    for region, center, value in zip(found, centers, (2.0, 1.0), strict=True):
        np.testing.assert_allclose(
            region.center_mm, to_world(affine, center), atol=1e-6
        )
        assert region.volume_mm3 == pytest.approx(n_voxels * voxel)
        assert region.area_mm2 is None
        assert region.mean == region.strongest == pytest.approx(value)
    assert found[0].share == pytest.approx(2 / 3)


def test_places_are_named_from_the_middle_of_what_was_seen():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    found = regions_of(balls(affine, ((4, 4, 12), (11.5, 15, 7.5)), (2.0, 1.0)))
    assert found[0].place == "left hemisphere, posterior, superior"
    assert found[1].place == "midline, anterior"
    (chest, _) = regions_of(
        balls(affine, ((20, 4, 12), (4, 15, 3)), (2.0, 1.0)), "chest"
    )
    assert chest.place == "right half, posterior, superior"


def test_without_orientation_nothing_is_named():
    saliency = balls(np.eye(4), ((5, 6, 4),), (1.0,))
    (found,) = regions_of(replace(saliency, oriented=False))
    assert found.place == ""


def test_both_signs_are_regions_of_their_own():
    saliency = balls(np.eye(4), ((5, 6, 4), (10, 6, 4)), (1.0, -2.0), sign="both")
    found = regions_of(saliency)
    assert [r.evidence for r in found] == ["against", "for"]
    assert [r.strongest for r in found] == [-2.0, 1.0]
    alone = regions_of(replace(saliency, sign="for"))
    assert [r.evidence for r in alone] == ["for"]


def test_a_coarse_map_is_measured_as_it_is_drawn():
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    array = np.zeros((5, 5, 5), np.float32)
    array[1, 2, 3] = 1
    fine = np.eye(4)
    saliency = Saliency(array, affine, "gradcam", "a", ((33, 33, 33), fine))
    (found,) = regions_of(saliency)
    np.testing.assert_allclose(found.center_mm, (8, 16, 24), atol=1e-4)
    assert found.peak_mm == (8, 16, 24)
    assert found.within_mm == 4
    assert 8**3 / 8 < found.volume_mm3 < 16**3  # within the tent of one cell


def test_thick_slices_do_not_hide_the_side():
    affine = np.diag([2.0, 2.0, 60.0, 1.0])
    array = np.full((20, 20, 2), 0.1, np.float32)
    array[14:17, 4:7] = 1
    (found,) = regions_of(
        Saliency(array, affine, "gradcam", "a", ((20, 20, 2), affine))
    )
    assert found.place == "right hemisphere, posterior"


def test_a_single_image_has_areas():
    affine = np.diag([0.5, 0.5, 1.0, 1.0])
    array = np.full((20, 20, 1), 0.1, np.float32)
    array[3:7, 10:15] = 3
    (found,) = regions_of(
        Saliency(array, affine, "gradcam", "a", ((20, 20, 1), affine))
    )
    assert found.volume_mm3 is None
    assert found.area_mm2 == pytest.approx(20 * 0.25)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_map_without_evidence_has_no_region(value: float):
    saliency = balls(np.eye(4), ((5, 6, 4),), (1.0,))
    assert regions_of(replace(saliency, values=np.full(SHAPE, value, np.float32))) == []


def test_a_map_that_is_the_same_everywhere_is_one_region():
    saliency = balls(np.eye(4), (), ())
    (found,) = regions_of(replace(saliency, values=np.ones(SHAPE, np.float32)))
    assert found.share == 1
    assert found.volume_mm3 == np.prod(SHAPE)


def test_otsu_parts_two_heaps():
    rng = np.random.default_rng(0)
    heaps = np.concatenate([rng.normal(1, 0.1, 900), rng.normal(3, 0.1, 100)])
    assert 1.3 < otsu(heaps.astype(np.float32)) < 2.7


def test_a_region_among_thousands_of_specks_is_found():
    values = np.zeros((64, 64, 64), np.float32)
    values[::3, ::3, ::3] = 1.0  # 22 × 22 × 22 voxels that touch no other
    values[10:20, 30:40, 50:60] = np.where(values[10:20, 30:40, 50:60] > 0, 3, 2.5)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    saliency = Saliency(values, affine, "gradcam", "a", ((64, 64, 64), affine))
    (found,) = regions_of(saliency)
    assert found.volume_mm3 == 1000 * 2
    assert found.center_mm == pytest.approx((14.5, 34.5, 109), abs=0.2)
    assert found.share == pytest.approx(1, abs=1e-6)
