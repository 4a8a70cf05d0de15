"""Choosing the scans of a model that takes several, and what it was not made for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.bundles import tiny_bundle
from support.panels import press_run, wait_idle
from support.phantoms import phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.viewer_actions import add_scans


def test_channels_are_chosen_and_unsuitable_scans_say_why(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    made = [("straight", "MR"), ("straight", "MR"), ("oblique", "CT")]
    scans = [phantom(name, modality=m, study="1")[0] for name, m in made]
    one, two, other = add_scans(viewer, [scan_layer(scan) for scan in scans])
    folder = tiny_bundle(tmp_path / "two", channels=("T1w", "T2w"))
    panel.model_picker.add_model(load_bundle(folder))
    row = panel.channel_row
    assert row.isVisibleTo(panel)
    assert "channel T1w" in row.first.text()
    row.boxes[0].setCurrentIndex(0)
    press_run(panel)
    assert panel.message.sentence() == "Choose a different scan for each channel."
    row.boxes[0].setCurrentIndex(1)
    assert row.layers() == [two]
    press_run(panel)
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    assert record_of(one).prediction.label in "abc"
    # Of several channels the second is no scan of its own to run through.
    picker = panel.scan_picker
    assert [picker.box.model().item(n).isEnabled() for n in range(3)] == [
        True,
        True,
        False,
    ]
    viewer.layers.selection.active = other
    reason = "The model tiny was made for MR, this scan is CT."
    assert picker.why_not.text() == reason
    assert not panel.run_row.run_button.isEnabled()
    assert panel.run_row.run_button.toolTip() == reason
    picker.anyway.setChecked(True)
    assert panel.run_row.run_button.isEnabled()
    viewer.layers.remove(two)
    assert len(row.layers()) == 1
