"""The viewer turns with the selected scan; what does not fit it is hidden."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.answers import map_with_peak_at, prediction
from support.phantoms import NAMES, color_phantom, phantom, time_phantom

from napari_resonance.geometry import to_world
from napari_resonance.scan import Scan
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.fitting import fit_to_view
from napari_resonance.viewer.layers import saliency_layer, scan_layer
from napari_resonance.viewer.showing import show_only
from napari_resonance.viewer.viewer_actions import add_layer, add_scans


def place_of_brightest(viewer: Any, layer: Any) -> Any:
    index = np.unravel_index(int(np.argmax(layer.data)), layer.data.shape)
    frame = attach(viewer).frame
    return np.linalg.inv(frame.from_ras) @ (*layer.data_to_world(index)[-3:], 1)


def add(viewer: Any, scan: Scan, name: str = "") -> Any:
    (layer,) = add_scans(viewer, [scan_layer(scan)])
    layer.name = name or layer.name
    return layer


def test_every_scan_keeps_its_millimetre_whichever_is_selected(viewer: Any) -> None:
    places = {}
    for name in NAMES:
        scan, mm = phantom(name)
        layer = add(viewer, scan, name)
        layer.visible = True
        # Shown on right angles, the brightest voxel of a sheared scan is another.
        places[name] = place_of_brightest(viewer, layer)
        if name != "sheared":
            assert np.allclose(places[name][:3], mm)
    for selected in list(viewer.layers):
        viewer.layers.selection.active = selected
        for layer in viewer.layers:
            assert np.allclose(place_of_brightest(viewer, layer), places[layer.name])
        assert np.count_nonzero(np.asarray(selected.affine)[:3, :3]) == 3


def test_a_place_beyond_the_scan_is_the_nearest_in_it(viewer: Any) -> None:
    scan, _ = phantom("oblique")
    layer = add(viewer, scan)
    keeper = attach(viewer)
    ends = scan.affine @ (*np.subtract(scan.grid_shape, 1), 1)
    keeper.go_to(to_world(scan.affine, np.multiply(scan.grid_shape, 3)))
    assert np.allclose(viewer.dims.point, to_world(keeper.frame.from_ras, ends[:3]))
    assert layer.get_value(viewer.dims.point, world=True) is not None


def test_a_scan_chosen_far_from_the_view_comes_into_it(viewer: Any) -> None:
    scan, _ = phantom("straight")
    beside = scan.affine.copy()
    beside[:3, 3] += 5_000
    here = add(viewer, scan)
    far = add(viewer, replace(scan, affine=beside, series="another"))
    for layer in (here, far):
        show_only(viewer, layer)
        assert layer.get_value(viewer.dims.point, world=True) is not None
        middle = np.asarray(viewer.scene.camera.center[-2:])
        low, high = layer.extent.world[:, -2:]
        assert (low < middle).all()
        assert (middle < high).all()
    # Where the scan that is chosen has the place already, nothing moves.
    near = add(viewer, replace(scan, series="a third"))
    attach(viewer).go_to(to_world(scan.affine, (1, 2, 3)))
    zoom, point = viewer.scene.camera.zoom * 2, viewer.dims.point
    viewer.scene.camera.zoom = zoom
    show_only(viewer, here)
    show_only(viewer, near)
    assert viewer.dims.point == point
    assert viewer.scene.camera.zoom == zoom


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_scan_fills_the_canvas_beside_a_time_series(
    viewer: Any, ndisplay: int
) -> None:
    scan, _ = phantom("straight")
    alone = add(viewer, scan)
    viewer.dims.ndisplay = ndisplay
    fit_to_view(viewer, alone)
    zoom, center = viewer.scene.camera.zoom, viewer.scene.camera.center
    viewer.layers.clear()
    add(viewer, time_phantom("straight")[0])
    viewer.dims.ndisplay = ndisplay
    add(viewer, scan)
    assert viewer.dims.ndim == 4
    # In 3D its diagonal fits, however it is turned.
    least = 0.9 if ndisplay == 2 else 0.5
    assert least * zoom <= viewer.scene.camera.zoom <= 1.1 * zoom
    assert np.allclose(viewer.scene.camera.center[-2:], center[-2:])


def test_a_scan_that_is_shown_again_has_its_map_again(viewer: Any) -> None:
    scan, mm = phantom("straight")
    one = add(viewer, scan)
    data = saliency_layer(scan, prediction(map_with_peak_at(scan, mm)))
    shown, off = (add_layer(viewer, data, visible=v) for v in (True, False))
    two = add(viewer, phantom("flipped")[0])
    assert not shown.visible
    show_only(viewer, one)
    assert shown.visible
    assert not off.visible
    # What the user hides stays hidden.
    shown.visible = False
    show_only(viewer, two)
    show_only(viewer, one)
    assert not shown.visible


def test_turned_layers_are_hidden_in_2d_and_come_back(viewer: Any) -> None:
    keeper = attach(viewer)
    straight = add(viewer, phantom("straight")[0])
    flipped = add_layer(viewer, scan_layer(phantom("flipped")[0]))
    oblique = add_layer(viewer, scan_layer(phantom("oblique")[0]))
    assert keeper.hidden_layers() == [straight, flipped]
    viewer.layers.selection.active = straight
    assert [straight.visible, flipped.visible, oblique.visible] == [True, True, False]
    viewer.dims.ndisplay = 3
    assert oblique.visible
    viewer.dims.ndisplay = 2
    assert keeper.hidden_layers() == [oblique]


def test_what_the_user_hid_stays_hidden(viewer: Any) -> None:
    straight = add(viewer, phantom("straight")[0])
    straight.visible = False
    add_layer(viewer, scan_layer(phantom("oblique")[0]))
    viewer.layers.selection.active = straight
    assert not straight.visible
    assert attach(viewer).hidden_layers() == [viewer.layers[1]]


def test_selecting_a_map_keeps_the_frame_of_its_scan(viewer: Any) -> None:
    scan, mm = phantom("sheared")
    layer = add(viewer, scan)
    before = np.array(layer.affine)
    overlay = add_layer(
        viewer, saliency_layer(scan, prediction(map_with_peak_at(scan, mm)))
    )
    viewer.layers.selection.active = overlay
    assert np.array_equal(before, np.array(layer.affine))
    assert layer.visible
    assert overlay.visible
    assert np.allclose(place_of_brightest(viewer, overlay)[:3], mm)


def test_the_view_stays_at_the_same_place_of_the_patient(viewer: Any) -> None:
    keeper = attach(viewer)
    first, mm = phantom("straight")
    affine = np.array(phantom("oblique")[0].affine)
    affine[:3, 3] += mm - to_world(affine, (10, 15, 8))
    one = add(viewer, first)
    two = add_layer(viewer, scan_layer(Scan(first.voxels, affine, "MR")))
    viewer.layers.selection.active = one
    keeper.go_to(mm)
    displayed = to_world(keeper.frame.from_ras, mm)[list(viewer.dims.displayed)]
    viewer.scene.camera.center = tuple(displayed)
    viewer.layers.selection.active = two
    point = to_world(keeper.frame.from_ras, mm)
    # The slider rests on slices.
    assert abs(viewer.dims.point[0] - point[0]) <= 2.5 / 2
    assert np.allclose(viewer.scene.camera.center[-2:], point[1:])


def test_a_scan_elsewhere_is_brought_into_view(viewer: Any) -> None:
    add(viewer, phantom("straight")[0])
    scan, _ = phantom("oblique")
    affine = np.array(scan.affine)
    affine[:3, 3] += 500
    layer = add(viewer, Scan(scan.voxels, affine, "MR"))
    index = layer.world_to_data(viewer.dims.point)
    assert np.allclose(index, (np.array(layer.data.shape) - 1) // 2, atol=0.5)


def test_time_and_colour_follow_the_frame(viewer: Any) -> None:
    keeper = attach(viewer)
    series = add(viewer, time_phantom("oblique")[0])
    photo, mm = color_phantom("oblique")
    colour = add_layer(viewer, scan_layer(photo))
    add_layer(viewer, scan_layer(phantom("straight")[0]))
    assert keeper.hidden_layers() == [series, colour]
    viewer.layers.selection.active = series
    assert [str(unit) for unit in viewer.layers.extent.units] == [
        "second",
        *["millimeter"] * 3,
    ]
    keeper.go_to(mm)
    assert series.visible
    assert colour.visible


def test_contrast_can_be_moved_over_all_values(viewer: Any) -> None:
    layer = add(viewer, phantom("oblique")[0])
    assert layer.contrast_limits_range == [0, 1000]
    assert layer.contrast_limits[1] < 100


def test_an_empty_viewer_has_no_frame(viewer: Any) -> None:
    keeper = attach(viewer)
    add(viewer, phantom()[0])
    viewer.layers.clear()
    assert keeper.frame is None
    assert keeper.current is None
    layer = add(viewer, phantom("flipped")[0])
    assert keeper.current.scan is layer.metadata["resonance"].scan


def test_foreign_layers_are_left_alone(viewer: Any) -> None:
    import napari.layers

    image = napari.layers.Image(np.zeros((4, 5, 6)), scale=(3, 2, 1))
    viewer.add_layer(image)
    add(viewer, phantom("oblique")[0])
    viewer.layers.selection.active = image
    assert image.visible
    assert np.array_equal(np.asarray(image.affine), np.eye(4))


@pytest.mark.parametrize("study", ["", "1"])
def test_only_scans_of_one_space_can_be_resampled(viewer: Any, study: str) -> None:
    keeper = attach(viewer)
    one = add(viewer, phantom("straight", study=study)[0])
    add_layer(viewer, scan_layer(phantom("oblique", study=study)[0]))
    assert keeper.hidden_layers() == [one]
    assert keeper.can_resample(one) is bool(study)


def test_picking_a_scan_shows_it_alone(viewer: Any) -> None:
    one = add(viewer, phantom("straight")[0])
    two = add_layer(viewer, scan_layer(phantom("oblique")[0]))
    show_only(viewer, one)
    assert (one.visible, two.visible) == (True, False)
    show_only(viewer, two)
    assert (one.visible, two.visible) == (False, True)


def test_viewers_are_attached_once(viewer: Any) -> None:
    from napari.utils._proxies import PublicOnlyProxy

    assert attach(viewer) is attach(PublicOnlyProxy(viewer))


@pytest.mark.parametrize(
    ("spacing", "order"), [((1, 1, 1.2), (0, 1, 2)), ((1, 1, 4), (2, 0, 1))]
)
def test_thick_slices_are_shown_in_their_own_plane(
    viewer: Any, spacing: Any, order: Any
) -> None:
    sagittal, _ = phantom("sagittal")
    axes = np.array(sagittal.affine)
    axes[:3, :3] = axes[:3, :3] / np.array([0.9, 1.3, 2.5]) * spacing
    add(viewer, Scan(sagittal.voxels, axes, "MR"))
    assert viewer.dims.order == order
    # What the user turns to later stays.
    viewer.dims.order = (1, 0, 2)
    add(viewer, phantom("oblique")[0])
    assert viewer.dims.order == (1, 0, 2)


def test_layers_that_were_there_before_are_followed(viewer: Any) -> None:
    one, two = (
        add_layer(viewer, scan_layer(phantom(name)[0]))
        for name in ("oblique", "straight")
    )
    viewer.layers.selection.active = one
    assert attach(viewer).current is one.metadata["resonance"]
    assert (one.visible, two.visible) == (True, False)
