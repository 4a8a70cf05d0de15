"""What changes or judges the map of an answer: slices, style, faithfulness, blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QRectF, Qt
from support.answers import map_with_peak_at, prediction
from support.bundles import tiny_bundle
from support.panels import add_phantom, press_run, wait_idle
from support.phantoms import phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.geometry import to_index
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.classification import classified
from napari_resonance.viewer.layers import saliency_layer, scan_layer
from napari_resonance.viewer.map_colors import CONTOUR, style_of
from napari_resonance.viewer.measuring import residual_bars
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.saliency_controls import SaliencyControls
from napari_resonance.viewer.signed_bars import SignedBars
from napari_resonance.viewer.slice_curve import SliceCurve
from napari_resonance.viewer.viewer_actions import (
    add_layer,
    add_scans,
    saliency_of,
    show_result,
)

PER_SLICE = np.array([[0.1, 0.9, 0], [0.7, 0.3, 0], [0.4, 0.6, 0]], np.float32)


def drawn(widget: Any) -> Any:
    widget.resize(300, max(widget.height(), 20))
    return widget.grab().toImage()


def test_a_slice_is_asked_for_by_mouse_and_keys(qtbot: Any) -> None:
    curve = SliceCurve()
    qtbot.addWidget(curve)
    curve.show_prediction(prediction())
    assert curve.isHidden()
    curve.show_prediction(prediction(per_slice=PER_SLICE))
    drawn(curve)
    # The slice that spoke most for the label is marked first.
    assert curve.current == 1
    assert curve.toolTip().startswith("a in slice 2 of 3: 70.0 %")
    ends = [point.x() for point in curve.points(QRectF(0, 0, 100, 50))]
    assert ends == [0, 50, 100]
    wanted: list[int] = []
    curve.slice_wanted.connect(wanted.append)
    qtbot.mouseClick(curve, Qt.MouseButton.LeftButton, pos=curve.rect().bottomRight())
    qtbot.keyClick(curve, Qt.Key.Key_Left)
    qtbot.keyClick(curve, Qt.Key.Key_Left)
    qtbot.keyClick(curve, Qt.Key.Key_Left)
    assert wanted == [2, 1, 0, 0]


def test_maps_of_two_scans_are_told_apart(viewer: Any) -> None:
    names = []
    for kind in ("straight", "flipped"):
        scan, mm = phantom(kind)
        (layer,) = add_scans(viewer, [scan_layer(scan)])
        layer.name = f"{kind} head"
        answer = prediction(map_with_peak_at(scan, mm))
        assert show_result(viewer, classified(scan, answer), layer)
        # Once more for the same scan: its map takes the place of the one before.
        assert show_result(viewer, classified(scan, answer), layer)
        names.append(saliency_of(viewer, layer).name)
    assert names == ["Grad-CAM for a", "Grad-CAM for a · flipped head"]


def test_bars_stand_on_their_side_of_the_line(qtbot: Any) -> None:
    bars = SignedBars("Lens")
    qtbot.addWidget(bars)
    assert bars.isHidden()
    bars.show_bars([("one", 2.0, "+2"), ("two", -1.0, "-1")])
    assert bars.widths(100) == [100, 50]
    assert bars.accessibleDescription() == "one: +2\ntwo: -1"
    image = drawn(bars)
    blue = [
        x
        for x in range(image.width())
        if (c := image.pixelColor(x, 9)).blue() > c.red() + 60
    ]
    orange = [
        x
        for x in range(image.width())
        if (c := image.pixelColor(x, 27)).red() > c.blue() + 60
    ]
    assert len(blue) == pytest.approx(2 * len(orange), abs=4)
    assert max(orange) <= min(blue) + 1


def test_deep_networks_are_shown_by_stage() -> None:
    rows = [
        {"block": f"layer{1 + n // 6}.{n % 6}", "stage": f"layer{1 + n // 6}"}
        | {"change": float(n)}
        for n in range(12)
    ]
    assert residual_bars(rows) == [
        ("Stage 1", 15.0, "+15.00"),
        ("Stage 2", 51.0, "+51.00"),
    ]
    assert residual_bars(rows[:1]) == [("Stage 1, block 1", 0.0, "+0.00")]


@pytest.mark.parametrize("sign", ["for", "both"])
def test_lines_instead_of_a_wash(viewer: Any, qtbot: Any, sign: str) -> None:
    scan, mm = phantom()
    found = replace(map_with_peak_at(scan, mm), sign=sign)
    layer = add_layer(viewer, saliency_layer(scan, prediction(found)))
    controls = SaliencyControls()
    qtbot.addWidget(controls)
    controls.follow(layer)
    controls.threshold.setValue(40)
    washed = (layer.colormap.colors[:, 3] > 0).mean()
    index = controls.style_box.findData(CONTOUR)
    controls.style_box.setCurrentIndex(index)
    controls.style_box.activated.emit(index)
    alpha = layer.colormap.colors[:, 3]
    assert 0.05 < (alpha > 0).mean() < washed / 2
    # The threshold stays, and can be moved while lines are drawn.
    for share in (40, 70):
        controls.threshold.setValue(share)
        controls.follow(layer)
        assert controls.threshold.value() == pytest.approx(share, abs=1)
    # The next map is drawn so too.
    other = add_layer(viewer, saliency_layer(scan, prediction(found)))
    controls.follow(other)
    assert style_of(other) == CONTOUR


def test_a_map_is_measured_and_the_figures_stay(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path
) -> None:
    image = add_phantom(viewer)
    panel.model_picker.add_model(load_bundle(bundle))
    trust = panel.view.trust
    assert not trust.isVisibleTo(panel)
    press_run(panel)
    wait_idle(panel, qtbot)
    assert trust.isVisibleTo(panel)
    assert not trust.gauge.bars
    layers = list(viewer.layers)
    trust.button.click()
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    # A network that sees nothing but the spot: its map beats any random one.
    assert trust.verdict.text().startswith("The map is better than chance")
    assert all(value > 0 for _, value, _ in trust.gauge.bars)
    assert trust.lens.bars[0][0] == "Stage 1, block 1"
    assert len(trust.lens.bars) == 4
    assert list(viewer.layers) == layers
    record = record_of(image)
    assert record.prediction.saliency.faithfulness["better_than_chance"]
    assert [run.prediction for run in record.runs] == [record.prediction]
    panel.view.follow(None)
    panel.view.follow(image)
    assert len(trust.lens.bars) == 4


def test_a_click_on_the_curve_goes_to_the_slice(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    image = add_phantom(viewer)
    folder = tiny_bundle(tmp_path / "flat", dimensions=2)
    panel.model_picker.add_model(load_bundle(folder))
    press_run(panel)
    wait_idle(panel, qtbot)
    curve, answer = panel.view.result.curve, record_of(image).prediction
    assert curve.isVisibleTo(panel)
    assert len(answer.per_slice) == record_of(image).scan.grid_shape[2]
    affine = answer.saliency.extent[1]
    before = to_index(affine, attach(viewer).place_mm)
    for number in (3, 11):
        curve.slice_wanted.emit(number)
        here = to_index(affine, attach(viewer).place_mm)
        assert here[2] == pytest.approx(number, abs=0.01)
        assert np.abs(here[:2] - before[:2]).max() < 1


def test_only_the_answer_that_was_given_last_is_measured(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path, tmp_path: Path
) -> None:
    add_phantom(viewer)
    panel.model_picker.add_model(load_bundle(bundle))
    press_run(panel)
    wait_idle(panel, qtbot)
    # Another model is chosen in the meantime: its network did not make this map.
    panel.model_picker.add_model(load_bundle(tiny_bundle(tmp_path / "other")))
    panel.view.trust.button.click()
    wait_idle(panel, qtbot)
    assert "was given last" in panel.message.sentence()
    assert not panel.view.trust.gauge.bars
