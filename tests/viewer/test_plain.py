"""Plain napari images become scans."""

from __future__ import annotations

import napari.layers
import numpy as np
import pytest
from support.phantoms import phantom

from napari_resonance.errors import GeometryError
from napari_resonance.geometry import to_world
from napari_resonance.viewer.plain import ORIENTATIONS, PlainAnswers, scan_from_layer


@pytest.mark.parametrize("letters", [text for text in ORIENTATIONS.values() if text])
def test_letters_and_scale_make_the_affine(letters: str) -> None:
    data = np.zeros((4, 5, 6), np.int16)
    data[1, 2, 3] = 9
    layer = napari.layers.Image(data, scale=(3, 2, 1), translate=(10, 20, 30))
    scan = scan_from_layer(layer, PlainAnswers("CT", letters))
    assert scan.orientation == letters[::-1]
    assert scan.spacing == (1, 2, 3)
    assert scan.modality == "CT"
    assert scan.voxels[3, 2, 1] == 9
    # World z, y, x of the bright voxel: 13, 24, 33, along the letters.
    mm = to_world(scan.affine, (3, 2, 1))
    for distance, letter in zip((13, 24, 33), letters, strict=True):
        axis = next(n for n, pair in enumerate(("LR", "PA", "IS")) if letter in pair)
        assert mm[axis] == pytest.approx(distance if letter in "RAS" else -distance)


def test_units_are_heeded() -> None:
    layer = napari.layers.Image(
        np.zeros((4, 5, 6)), scale=(0.3, 0.2, 0.1), units=("cm", "cm", "cm")
    )
    scan = scan_from_layer(layer, PlainAnswers("MR", "SPL"))
    assert scan.spacing == pytest.approx((1, 2, 3))


def test_a_picture_is_a_scan_of_one_slice() -> None:
    layer = napari.layers.Image(np.zeros((5, 6)), scale=(2, 1))
    scan = scan_from_layer(layer, PlainAnswers("DX"))
    assert scan.grid_shape == (6, 5, 1)
    assert scan.orientation is None
    assert scan.spacing == (1, 2, 1)


def test_colour_and_time_keep_their_axes() -> None:
    photo = napari.layers.Image(np.zeros((5, 6, 4), np.uint8), rgb=True)
    assert scan_from_layer(photo, PlainAnswers()).shape == (6, 5, 1, 3)
    series = napari.layers.Image(np.zeros((2, 4, 5, 6)), scale=(9, 3, 2, 1))
    scan = scan_from_layer(series, PlainAnswers("MR", "SPL"))
    assert scan.shape == (6, 5, 4, 2)
    assert scan.spacing == (1, 2, 3)


def test_colours_from_0_to_1_become_8_bits() -> None:
    colors = np.array([[[0, 0.5, 1, 1], [1.5, -1, 0.2, 0]]], np.float32)
    scan = scan_from_layer(napari.layers.Image(colors, rgb=True), PlainAnswers())
    assert scan.voxels.dtype == np.uint8
    assert scan.voxels[:, 0, 0].tolist() == [[0, 128, 255], [255, 0, 51]]


def test_a_pyramid_gives_its_finest_level() -> None:
    data = phantom()[0].voxels.T
    layer = napari.layers.Image([data, data[::2, ::2, ::2]], multiscale=True)
    assert scan_from_layer(layer, PlainAnswers()).shape == data.shape[::-1]


def test_five_axes_are_refused() -> None:
    layer = napari.layers.Image(np.zeros((1, 2, 3, 4, 5)))
    with pytest.raises(GeometryError, match="5 axes"):
        scan_from_layer(layer, PlainAnswers())
