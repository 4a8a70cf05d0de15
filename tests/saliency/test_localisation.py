"""Pointing game, mass in the mask, overlap: on maps whose place is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.phantoms import NAMES, phantom_affine

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.errors import SaliencyError
from napari_resonance.geometry import to_world
from napari_resonance.saliency.localisation import (
    SHARES,
    Mask,
    best_share,
    chance_of_pointing,
    mass_inside,
    overlap,
    points_at,
)

SHAPE = (24, 20, 16)


def truth(affine: np.ndarray, low=(6, 4, 8), high=(12, 9, 12)) -> Mask:
    inside = np.zeros(SHAPE, bool)
    inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return Mask(inside, affine)


def map_of(values: np.ndarray, affine: np.ndarray) -> Saliency:
    values = values.astype(np.float32)
    return Saliency(values, affine, "occlusion", "a", (SHAPE, affine))


@pytest.mark.parametrize("name", NAMES)
def test_a_map_that_is_the_mask_is_perfect(name: str):
    mask = truth(phantom_affine(name))
    perfect = map_of(mask.inside, mask.affine)
    assert points_at(perfect, mask)
    assert mass_inside(perfect, mask) == pytest.approx(1)
    assert overlap(perfect, mask, 0.5) == pytest.approx(1)


def test_a_map_without_an_idea_has_the_mass_of_chance():
    mask = truth(np.eye(4))
    flat = map_of(np.ones(SHAPE), mask.affine)
    assert mass_inside(flat, mask) == pytest.approx(mask.share)
    assert overlap(flat, mask, 0.5) == pytest.approx(mask.share)
    opposite = map_of(~mask.inside, mask.affine)
    assert not points_at(opposite, mask)
    assert mass_inside(opposite, mask) == 0
    assert overlap(opposite, mask, 0.5) == 0


@pytest.mark.parametrize("name", NAMES)
def test_chance_points_at_the_cells_that_the_mask_touches(name: str):
    mask = truth(phantom_affine(name))
    fine = map_of(np.ones(SHAPE), mask.affine)
    assert chance_of_pointing(fine, mask) == pytest.approx(mask.share)
    # Cells four voxels wide, centred at every fourth: voxels 6 to 11 touch those at 4
    # (just), 8 and 12; 4 to 8 those at 4 and 8; 8 to 11 those at 8 and 12.
    wide = Saliency(
        np.ones((6, 5, 4), np.float32),
        mask.affine @ np.diag([4.0, 4.0, 4.0, 1.0]),
        "gradcam",
        "a",
        (SHAPE, mask.affine),
    )
    assert chance_of_pointing(wide, mask) == pytest.approx(12 / (6 * 5 * 4))
    for index in np.ndindex(6, 5, 4):
        wide.values[index] = 2
        assert points_at(wide, mask) == (
            index[0] in (1, 2, 3) and index[1] in (1, 2) and index[2] in (2, 3)
        )
        wide.values[index] = 1


def test_only_evidence_of_the_shown_sign_counts():
    mask = truth(np.eye(4))
    against = map_of(-1.0 * mask.inside, mask.affine)
    assert not points_at(against, mask)
    assert mass_inside(against, mask) == overlap(against, mask, 0.5) == 0
    assert points_at(replace(against, sign="against"), mask)


def test_a_coarse_peak_counts_where_its_cell_touches_the_mask():
    mask = truth(np.eye(4), (10, 10, 8), (12, 12, 10))
    coarse = np.diag([8.0, 8.0, 8.0, 1.0])
    values = np.zeros((3, 3, 2), np.float32)
    values[1, 1, 1] = 1  # covers 4 to 12 along each axis
    assert points_at(map_of(values, coarse), mask)
    values = np.roll(values, 1, axis=0)
    assert not points_at(map_of(values, coarse), mask)
    np.testing.assert_allclose(to_world(coarse, (1, 1, 1)), (8, 8, 8))


def test_the_threshold_is_the_one_that_fits_best():
    mask = truth(np.eye(4))
    halo = map_of(np.where(mask.inside, 1.0, 0.62), mask.affine)
    share = best_share([(halo, mask), (halo, mask)])
    assert share in SHARES
    assert 0.62 < share <= 0.7
    assert overlap(halo, mask, share) == 1
    with pytest.raises(SaliencyError, match="without a scan"):
        best_share([])


def test_an_empty_mask_is_refused():
    with pytest.raises(SaliencyError, match="mask is empty"):
        Mask(np.zeros(SHAPE, bool), np.eye(4))
