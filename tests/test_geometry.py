"""Affines, orientation codes and resampling, held against nibabel and arithmetic."""

from dataclasses import replace
from itertools import permutations, product
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from support.phantoms import (
    BRIGHT,
    NAMES,
    SHAPE,
    SPACING,
    axes_towards,
    brightest_mm,
    color_phantom,
    phantom,
    phantom_affine,
    rotation,
    time_phantom,
)

from napari_resonance.errors import GeometryError
from napari_resonance.geometry import (
    LPS_TO_RAS,
    Grid,
    checked_affine,
    is_sheared,
    orientation_of,
    reorient,
    resample,
    spacing_of,
    to_index,
    to_world,
    unshear,
)

Array = NDArray[Any]
CODES = [
    "".join(pair[bit] for pair, bit in zip(axes, bits, strict=True))
    for axes in permutations(("LR", "PA", "IS"))
    for bits in product((0, 1), repeat=3)
]

numbers = st.floats(-1, 1, allow_subnormal=False)


@st.composite
def affines(draw: st.DrawFn) -> Array:
    """Draw any affine a scanner could give: turned, flipped, anisotropic, sheared."""
    angles = [180 * draw(numbers) for _ in range(3)]
    turned = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    columns = turned @ axes_towards(draw(st.sampled_from(CODES)))
    columns[:, 2] += 0.4 * draw(numbers) * columns[:, 1]
    affine = np.eye(4)
    affine[:3, :3] = columns * [draw(st.floats(0.3, 6)) for _ in range(3)]
    affine[:3, 3] = [300 * draw(numbers) for _ in range(3)]
    return affine


# --- index and world -----------------------------------------------------------------


@given(affines(), st.lists(st.tuples(*[st.integers(-500, 500)] * 3), min_size=1))
def test_index_to_world_and_back(affine: Array, indices: list[tuple[int, ...]]) -> None:
    back = to_index(affine, to_world(affine, indices))
    assert np.allclose(back, indices, atol=1e-6)


def test_world_is_affine_times_index_of_the_voxel_centre() -> None:
    affine = phantom_affine("sheared")
    expected = (affine @ [*BRIGHT, 1])[:3]
    assert np.allclose(to_world(affine, BRIGHT), expected)
    assert to_world(affine, np.zeros((2, 5, 3))).shape == (2, 5, 3)


@given(affines())
def test_spacing_is_the_length_of_one_step(affine: Array) -> None:
    steps = to_world(affine, np.eye(3)) - to_world(affine, np.zeros(3))
    assert np.allclose(spacing_of(affine), np.linalg.norm(steps, axis=1))


def test_lps_to_ras_is_its_own_inverse() -> None:
    assert np.array_equal(LPS_TO_RAS @ LPS_TO_RAS, np.eye(4))
    assert orientation_of(LPS_TO_RAS) == "LPS"


# --- what an affine has to be --------------------------------------------------------


def test_checked_affine_is_a_float64_copy() -> None:
    given_affine = np.eye(4, dtype=np.float32)
    checked = checked_affine(given_affine)
    assert checked.dtype == np.float64
    assert not np.shares_memory(checked, given_affine)


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.eye(3), "4×4"),
        (np.diag([1.0, np.inf, 1, 1]), "infinite"),
        (np.diag([1.0, 1, 1, 2]), "last row"),
        (np.diag([1.0, 0, 1, 1]), "singular"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singu"),
    ],
)
def test_refused_affines(affine: Array, words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        checked_affine(affine)


def test_tiny_voxels_are_not_singular() -> None:
    checked_affine(np.diag([1e-3, 1e-3, 1e-3, 1]))


def test_a_grid_copies_and_checks_its_affine() -> None:
    affine = np.diag([1.0, 2, 3, 1])
    grid = Grid((2, 3, 4), affine)
    affine[0, 0] = 9
    assert grid.affine[0, 0] == 1
    assert np.allclose(grid.center_mm, (0.5, 2, 4.5))
    with pytest.raises(GeometryError):
        Grid((2, 3, 4), np.zeros((4, 4)))


def test_grids_are_the_same_only_with_shape_and_affine() -> None:
    grid = Grid((2, 3, 4), np.eye(4))
    moved = np.eye(4)
    moved[2, 3] = 0.01
    assert grid.same_as(Grid((2, 3, 4), np.eye(4)))
    assert not grid.same_as(Grid((2, 3, 5), np.eye(4)))
    assert not grid.same_as(Grid((2, 3, 4), moved))
    assert grid.same_as(Grid((2, 3, 4), moved), tolerance_mm=0.1)


# --- orientation ---------------------------------------------------------------------


@given(affines())
def test_orientation_agrees_with_nibabel(affine: Array) -> None:
    assert orientation_of(affine) == "".join(nib.orientations.aff2axcodes(affine))


def test_there_are_48_codes() -> None:
    assert len(set(CODES)) == 48


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("code", CODES)
def test_reorienting_keeps_each_voxel_at_its_millimetre(code: str, name: str) -> None:
    scan, mm = phantom(name)
    turned, affine = reorient(scan.stored(), scan.affine, code)
    assert orientation_of(affine) == code
    assert np.shares_memory(turned, scan.voxels)
    for index in (
        np.unravel_index(turned.argmax(), turned.shape),
        (0, 0, 0),
        (3, 2, 1),
    ):
        source = to_index(scan.affine, to_world(affine, index)).round().astype(int)
        assert turned[tuple(index)] == scan.stored()[tuple(source)]
    assert np.allclose(
        to_world(affine, np.unravel_index(turned.argmax(), turned.shape)), mm
    )


@given(affines())
def test_reorienting_agrees_with_nibabel(affine: Array) -> None:
    voxels = np.arange(24).reshape(2, 3, 4)
    ours, ours_affine = reorient(voxels, affine, "RAS")
    theirs = nib.as_closest_canonical(nib.Nifti1Image(voxels.astype(np.int16), affine))
    assert np.array_equal(ours, np.asarray(theirs.dataobj))
    assert np.allclose(ours_affine, theirs.affine)


@settings(max_examples=30)
@given(affines(), st.sampled_from(CODES))
def test_reorienting_there_and_back(affine: Array, code: str) -> None:
    voxels = np.arange(24).reshape(2, 3, 4)
    turned = reorient(voxels, affine, code)
    back, back_affine = reorient(*turned, orientation_of(affine))
    assert np.array_equal(back, voxels)
    assert np.allclose(back_affine, affine)


def test_reorienting_leaves_further_axes_alone() -> None:
    scan, _ = time_phantom("sagittal")
    turned, _ = reorient(scan.voxels, scan.affine, "RAS")
    assert turned.shape == (17, 23, 31, 3)


@pytest.mark.parametrize("code", ["", "RA", "RAX", "RLS", "RASR", "RAAS"])
def test_codes_that_name_no_orientation(code: str) -> None:
    with pytest.raises(GeometryError, match="no orientation"):
        reorient(np.zeros((2, 3, 4)), np.eye(4), code)


# --- resampling ----------------------------------------------------------------------


def blob(affine: Array, center_mm: Array, sigma_mm: float = 4.0) -> Array:
    """A Gaussian blob at a millimetre, sampled on the phantom's grid."""
    mm = to_world(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
    distance = ((mm - center_mm) ** 2).sum(-1)
    return np.exp(-distance / (2 * sigma_mm**2)).astype(np.float32)


def center_of_mass_mm(values: Array, affine: Array) -> Array:
    indices = np.moveaxis(np.indices(values.shape), 0, -1)
    weights = np.where(values > 0.05 * values.max(), values, 0)[..., None]
    return to_world(affine, (indices * weights).sum((0, 1, 2)) / weights.sum())


def cover(source: Array, direction: Array, spacing: float) -> Grid:
    """A grid with other axes around the middle of the phantom."""
    shape = (70, 60, 50)
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    middle = to_world(source, (np.array(SHAPE) - 1) / 2)
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "direction",
    [np.eye(3), axes_towards("LPI"), axes_towards("SAL"), rotation(-25, 40, 10)],
    ids=["RAS", "LPI", "SAL", "rotated"],
)
def test_a_blob_stays_at_its_millimetre(name: str, direction: Array) -> None:
    affine = phantom_affine(name)
    center = to_world(affine, (np.array(SHAPE) - 1) / 2 + (1.3, -2.1, 0.4))
    target = cover(affine, direction, spacing=1.0)
    moved = resample(blob(affine, center), affine, target, outside=0)
    assert moved.shape == target.shape
    assert moved.dtype == np.float32
    assert np.allclose(center_of_mass_mm(moved, target.affine), center, atol=0.15)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("outside", [None, -5.0])
def test_a_flip_is_exact_up_to_the_border(order: int, outside: float | None) -> None:
    scan, _ = phantom("oblique")
    turned, affine = reorient(scan.values(), scan.affine, "SAR")
    target = Grid(turned.shape, affine)
    result = resample(scan.values(), scan.affine, target, order=order, outside=outside)
    assert np.allclose(result, turned, atol=2e-3)


def test_outside_is_filled_or_repeats_the_edge() -> None:
    ones = np.ones((4, 4, 4))
    far = np.eye(4)
    far[0, 3] = 3
    target = Grid((4, 4, 4), far)
    assert np.array_equal(resample(ones, np.eye(4), target), ones)
    filled = resample(ones, np.eye(4), target, outside=-2)
    assert np.allclose(filled[0], 1)
    assert np.allclose(filled[1:], -2)


@pytest.mark.parametrize("factor", [2.0, 3.0, 5.0])
def test_antialiasing_blurs_by_the_stated_sigma(factor: float) -> None:
    scan, _ = phantom("straight")
    affine = np.diag([*(np.array(SPACING) * (factor, 1, 1)), 1.0])
    target = Grid((SHAPE[0] // 5, *SHAPE[1:]), affine)
    source = np.diag([*SPACING, 1.0])
    sigma = (factor - 1) / 2.355
    blurred = ndimage.gaussian_filter1d(scan.values(), sigma, 0, mode="nearest")
    result = resample(scan.values(), source, target)
    assert np.allclose(result, blurred[:: int(factor)][: target.shape[0]], atol=1e-3)


def test_antialiasing_follows_the_axes_of_the_source() -> None:
    stripes = np.zeros((40, 8, 8), np.float32)
    stripes[::2] = 1
    # The target's last axis runs along the source's first, four times as coarse.
    affine = np.eye(4)[[2, 1, 0, 3]] @ np.diag([1.0, 1, 4, 1])
    target = Grid((8, 8, 9), affine)
    kept = resample(stripes, np.eye(4), target, antialias=False)
    assert np.allclose(kept, 1)
    averaged = resample(stripes, np.eye(4), target)
    assert np.allclose(averaged[:, :, 2:], 0.5, atol=0.02)


def test_refining_blurs_nothing() -> None:
    scan, _ = phantom("straight")
    fine = Grid(SHAPE, scan.affine @ np.diag([0.5, 0.5, 0.5, 1]))
    plain = resample(scan.values(), scan.affine, fine, antialias=False)
    assert np.array_equal(resample(scan.values(), scan.affine, fine), plain)


# --- shear ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_only_the_sheared_phantom_is_sheared(name: str) -> None:
    assert is_sheared(phantom_affine(name)) == (name == "sheared")


def test_rounding_in_a_file_is_no_shear() -> None:
    affine = phantom_affine("oblique")
    affine[:3, :3] = affine[:3, :3].round(4)
    assert not is_sheared(affine)


def test_a_scan_without_shear_comes_back_unchanged() -> None:
    scan, _ = phantom("oblique")
    assert unshear(scan) is scan


@pytest.mark.parametrize("kind", ["grey", "time", "color"])
def test_unsheared_scans_are_orthogonal_and_keep_places(kind: str) -> None:
    make: dict[str, Any] = {
        "grey": phantom,
        "time": time_phantom,
        "color": color_phantom,
    }
    scan, mm = make[kind]("sheared")
    flat = unshear(scan)
    assert not is_sheared(flat.affine)
    assert np.allclose(brightest_mm(flat), mm, atol=max(SPACING) / 2)
    assert flat.shape[3:] == scan.shape[3:]
    assert flat.n_times == scan.n_times
    assert flat.voxels.dtype == np.float32
    assert len(flat.warnings) == len(scan.warnings) + 1
    order = (2, 1, 0, 3)[: len(flat.shape)] if kind == "color" else None
    assert flat.voxels.transpose(order).flags.c_contiguous


def test_unshearing_keeps_a_smooth_blob_at_its_millimetre() -> None:
    scan, _ = phantom("sheared")
    center = to_world(scan.affine, (np.array(SHAPE) - 1) / 2)
    flat = unshear(replace(scan, voxels=blob(scan.affine, center)))
    found = center_of_mass_mm(flat.stored(), flat.affine)
    assert np.allclose(found, center, atol=0.15)


def test_unshearing_covers_the_whole_scan() -> None:
    scan, _ = phantom("sheared")
    flat = unshear(scan)
    corners = np.array(list(product(*[(0, n - 1) for n in SHAPE])))
    inside = to_index(flat.affine, to_world(scan.affine, corners))
    assert (inside > -1e-6).all()
    assert (inside < np.array(flat.grid_shape) - 1 + 1e-6).all()


def test_unshearing_keeps_the_in_plane_axes() -> None:
    scan, _ = phantom("sheared")
    flat = unshear(scan)
    assert np.allclose(flat.affine[:3, :2], scan.affine[:3, :2])


def test_unshearing_applies_slope_and_fills_with_the_lowest_value() -> None:
    scan, _ = phantom("sheared", slope=2.0, intercept=-1000.0)
    flat = unshear(scan)
    assert (flat.slope, flat.intercept) == (1, 0)
    assert flat.values().min() == -1000
    assert flat.values()[0, 0, 0] == -1000 or flat.values()[-1, -1, 0] == -1000


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 24)] * 3),
    scale=st.tuples(*[st.floats(0.3, 7.0)] * 3),
    first=st.tuples(*[st.floats(-3.0, 3.0)] * 3),
    flips=st.tuples(*[st.sampled_from((1, -1))] * 3),
    axes=st.permutations(range(3)),
    antialias=st.booleans(),
)
def test_one_axis_after_the_other_gives_what_scipy_gives(
    shape, scale, first, flips, axes, antialias
):
    random = np.random.default_rng(sum(shape))
    values = random.normal(size=shape).astype(np.float32)
    # However the axes lie in memory.
    values = values[tuple(slice(None, None, f) for f in flips)].transpose(axes)
    change = np.diag([*scale, 1.0])
    change[:3, 3] = first
    sizes = [max(1, round(n / s)) for n, s in zip(values.shape, scale, strict=True)]
    target = Grid((sizes[0], sizes[1], sizes[2]), change)
    blurred = values.astype(np.float64)
    for axis, s in enumerate(scale):
        sigma = max(0.0, (s - 1) / 2.355)
        if antialias and sigma > 1e-6:
            blurred = ndimage.gaussian_filter1d(blurred, sigma, axis, mode="nearest")
    expected = ndimage.affine_transform(
        blurred, scale, first, output_shape=target.shape, order=1, mode="nearest"
    )
    found = resample(values, np.eye(4), target, antialias=antialias)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, atol=2e-6)
