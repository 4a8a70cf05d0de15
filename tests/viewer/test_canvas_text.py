"""What is written on the canvas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.answers import map_with_peak_at, prediction
from support.phantoms import phantom

from napari_resonance.scan import Scan
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.canvas_text import answer_text
from napari_resonance.viewer.layers import saliency_layer, scan_layer
from napari_resonance.viewer.records import KEY, LayerRecord
from napari_resonance.viewer.viewer_actions import add_layer, add_scans


def letters(viewer: Any) -> str:
    overlays = viewer.canvas.overlays
    names = ("left", "right", "top", "bottom")
    shown = (overlays[f"resonance_{name}"] for name in names)
    return " ".join(o.text for o in shown if o.visible)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ((0, 1, 2), "R L A P"),
        ((1, 0, 2), "R L S I"),
        ((2, 0, 1), "A P S I"),
        ((0, 2, 1), "A P R L"),
    ],
)
def test_letters_follow_the_axes(viewer: Any, order: Any, expected: str) -> None:
    add_scans(viewer, [scan_layer(phantom("sagittal")[0])])
    viewer.dims.order = order
    assert letters(viewer) == expected


def test_letters_follow_the_camera_and_leave_in_3d(viewer: Any) -> None:
    add_scans(viewer, [scan_layer(phantom("straight")[0])])
    viewer.scene.camera.orientation2d = ("up", "left")
    assert letters(viewer) == "L R P A"
    viewer.dims.ndisplay = 3
    assert letters(viewer) == ""


def test_oblique_scans_have_compound_letters(viewer: Any) -> None:
    add_scans(viewer, [scan_layer(phantom("oblique")[0])])
    assert letters(viewer) == "RA LP AR PL" or all(
        text[0] == plain
        for text, plain in zip(letters(viewer).split(), "RLAP", strict=True)
    )
    assert len(letters(viewer)) > len("R L A P")


def test_nothing_is_said_of_an_unoriented_or_empty_canvas(viewer: Any) -> None:
    attach(viewer)
    assert letters(viewer) == ""
    assert not viewer.canvas.overlays.scale_bar.visible
    scan = Scan(phantom()[0].voxels, phantom("straight")[0].affine, oriented=False)
    add_scans(viewer, [scan_layer(scan)])
    assert letters(viewer) == ""
    assert viewer.canvas.overlays.scale_bar.visible
    assert viewer.canvas.overlays["resonance_notice"].text == "Research use only"


def test_the_answer_is_that_of_the_scan_that_is_shown(viewer: Any) -> None:
    overlay = viewer.canvas.overlays
    layers = [scan_layer(phantom(name)[0]) for name in ("straight", "flipped")]
    one, two = add_scans(viewer, layers)
    one.metadata[KEY] = replace(one.metadata[KEY], prediction=prediction())
    viewer.layers.selection.active = two
    assert overlay["resonance_answer"].text == ""
    viewer.layers.selection.active = one
    assert overlay["resonance_answer"].text == "a  91.0 %\nsure"


def test_the_map_is_named_with_the_answer() -> None:
    scan, mm = phantom()
    answer = prediction(map_with_peak_at(scan, mm, target="b"), sure=False)
    text = answer_text(LayerRecord(scan, scan.affine, prediction=answer))
    said = ["a  91.0 %", "unsure", "Grad-CAM for b", "evidence per cell"]
    assert text.splitlines() == said


def test_what_a_scan_is_called_is_said_where_it_is_not_the_likelier_label() -> None:
    scan, _ = phantom()
    for threshold, said in (
        (0.5, ["a  60.0 %", "unsure"]),
        (0.4, ["a  60.0 %", "called b", "unsure"]),
    ):
        answer = prediction(
            probability=0.6,
            probabilities={"a": 0.6, "b": 0.4},
            sure=False,
            threshold=threshold,
        )
        text = answer_text(LayerRecord(scan, scan.affine, prediction=answer))
        assert text.splitlines() == said


def test_no_map_is_named_that_is_not_there(viewer: Any) -> None:
    scan, mm = phantom()
    (layer,) = add_scans(viewer, [scan_layer(scan)])
    answer = prediction(map_with_peak_at(scan, mm, target="b"))
    layer.metadata[KEY] = replace(layer.metadata[KEY], prediction=answer)
    said = viewer.canvas.overlays["resonance_answer"]
    attach(viewer).changed.emit()
    assert said.text == "a  91.0 %\nsure"
    add_layer(viewer, saliency_layer(scan, answer))
    assert "Grad-CAM for b" in said.text
