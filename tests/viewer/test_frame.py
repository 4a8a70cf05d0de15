"""The viewer frame as arithmetic: directions, snapping, letters."""

from __future__ import annotations

import numpy as np
import pytest
from support.phantoms import BRIGHT, NAMES, phantom, rotation

from napari_resonance.geometry import letters_towards, spacing_of, to_world, unshear
from napari_resonance.viewer.frame import (
    ViewerFrame,
    embedded,
    frame_of_scan,
    reversed_axes,
)


def frame_of(name: str) -> tuple[ViewerFrame, np.ndarray]:
    scan, _ = phantom(name)
    affine = unshear(scan).affine
    return frame_of_scan(affine, oriented=True), affine


@pytest.mark.parametrize("name", NAMES)
def test_the_frame_grows_towards_inferior_posterior_and_left(name: str) -> None:
    frame, affine = frame_of(name)
    assert [frame.ends_of(axis)[1][0] for axis in range(3)] == ["I", "P", "L"]
    assert [frame.ends_of(axis)[0][0] for axis in range(3)] == ["S", "A", "R"]
    # Its axes are the scan's own, none turned.
    cosines = np.abs(frame.axes @ (affine[:3, :3] / spacing_of(affine)))
    assert np.allclose(np.sort(cosines, axis=1), [0, 0, 1], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_upright_data_are_diagonal_in_their_own_frame(name: str) -> None:
    frame, affine = frame_of(name)
    scan, mm = phantom(name if name != "sheared" else "oblique")
    if name == "sheared":
        affine = scan.affine
    data, placed = frame.upright(np.asarray(scan.voxels), affine)
    expressed = frame.express(reversed_axes(placed), data.shape[::-1])
    linear = expressed[:3, :3]
    assert (linear == np.diag(np.diag(linear))).all()
    assert (np.diag(linear) > 0).all()
    index = np.unravel_index(int(data.T.argmax()), data.shape[::-1])
    there = to_world(expressed, index)
    assert np.allclose(there, to_world(frame.from_ras, mm), atol=1e-9)
    assert np.asarray(scan.voxels)[BRIGHT] == data.T[index]


def test_rounding_of_a_file_does_not_count_as_a_rotation() -> None:
    frame, affine = frame_of("oblique")
    nearly = np.eye(4)
    nearly[:3, :3] = rotation(0.01, -0.02, 0.01) @ affine[:3, :3]
    _, placed = frame.upright(np.zeros((2, 3, 4)), nearly)
    zyx = reversed_axes(placed)
    assert frame.is_parallel(zyx)
    expressed = frame.express(zyx, (4, 3, 2))
    assert np.count_nonzero(expressed[:3, :3]) == 3
    center = (1.5, 1.0, 0.5)
    assert np.allclose(
        to_world(expressed, center),
        to_world(frame.from_ras, to_world(zyx, center)),
    )


def test_a_turn_of_half_a_degree_is_not_parallel() -> None:
    frame, affine = frame_of("straight")
    turned = np.eye(4)
    turned[:3, :3] = rotation(0.5, 0, 0) @ affine[:3, :3]
    _, placed = frame.upright(np.zeros((2, 3, 4)), turned)
    assert not frame.is_parallel(reversed_axes(placed))


def test_an_image_without_orientation_stays_as_it_is_stored() -> None:
    frame = frame_of_scan(np.diag([0.2, 0.3, 1.0, 1.0]), oriented=False)
    assert np.allclose(frame.axes, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert frame.ends_of(0) is None
    oriented = frame_of("straight")[0]
    affine = reversed_axes(np.diag([1.0, 1.0, 1.0, 1.0]))
    assert not oriented.is_parallel(affine, oriented=False)


def test_a_time_axis_is_left_alone() -> None:
    affine = np.arange(16.0).reshape(4, 4)
    larger = embedded(affine, 4)
    assert larger.shape == (5, 5)
    assert (larger[1:, 1:] == affine).all()
    assert larger[0].tolist() == [1, 0, 0, 0, 0]


def test_oblique_directions_are_named_by_all_their_axes() -> None:
    assert letters_towards((1, 0, 0)) == "R"
    assert letters_towards((-0.9, 0, 0.44)) == "LS"
    assert letters_towards((0.1, -0.99, 0.05)) == "P"
