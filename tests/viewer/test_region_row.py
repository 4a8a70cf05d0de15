"""Marking where a model shall look, in a real window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import tiny_bundle
from support.panels import add_phantom, press_run, wait_idle
from support.phantoms import phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.geometry import to_world
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.records import record_of

STEPS = ({"step": "box", "size_mm": [14.0, 12.0, 10.0]},)


def test_a_click_and_a_box_say_where_to_look(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    _, mm = phantom()
    image = add_phantom(viewer)
    row = panel.region_row
    assert not row.isVisibleTo(panel)
    panel.model_picker.add_model(
        load_bundle(tiny_bundle(tmp_path / "region", first_steps=STEPS))
    )
    assert row.isVisibleTo(panel)
    press_run(panel)
    assert "click a place or draw a box" in panel.message.sentence()
    # A click on the canvas in "add" mode adds a point just so.
    keeper = attach(viewer)
    there = to_world(keeper.frame.from_ras, mm)
    row.click_button.click()
    marks = viewer.layers.selection.active
    assert marks.mode == "add"
    marks.add([there])
    press_run(panel)
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    answer = record_of(image).prediction
    assert answer.center_mm == pytest.approx(tuple(mm))
    assert answer.box_mm is None
    # Another scan turns the view; the mark stays where it is in the patient.
    flipped = add_phantom(viewer, "flipped")
    viewer.layers.selection.active = flipped
    assert row.region() is None
    viewer.layers.selection.active = image
    assert row.region().center_mm == pytest.approx(tuple(mm))
    # A box of 8 mm by 6 mm on a slice is as deep as its longer side.
    row.box_button.click()
    z, y, x = there
    corners = [
        (z, y - 3, x - 4),
        (z, y - 3, x + 4),
        (z, y + 3, x + 4),
        (z, y + 3, x - 4),
    ]
    viewer.layers.selection.active.add_rectangles([np.array(corners)])
    # The network's axes are RAS: x, y and z of the oblique slices, which are axial.
    assert row.region().box_mm == pytest.approx((8, 6, 8))
    assert "8 × 6 × 8 mm" in row.text.text()
    press_run(panel)
    wait_idle(panel, qtbot)
    answer = record_of(image).prediction
    assert answer.box_mm == pytest.approx((8, 6, 8))
    assert "the region is not of the size it was trained on" in answer.warnings
    # "Here" is where the sliders stand.
    row.here_button.click()
    point = np.array(viewer.dims.point)
    assert row.region().center_mm == pytest.approx(
        tuple(to_world(keeper.frame.to_ras, point)), abs=1e-6
    )
