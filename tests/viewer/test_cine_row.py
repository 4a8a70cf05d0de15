"""A time series is played; other scans have nothing to play."""

from __future__ import annotations

from typing import Any

from support.panels import add_phantom
from support.phantoms import N_TIMES, time_phantom

from napari_resonance.viewer.cine_row import CineRow
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.naming import facts_line
from napari_resonance.viewer.viewer_actions import add_scans


def test_a_film_runs_and_begins_anew(viewer: Any, qtbot: Any) -> None:
    row = CineRow(viewer)
    viewer.window.add_dock_widget(row)
    add_phantom(viewer)
    assert row.isHidden()
    scan, _ = time_phantom()
    add_scans(viewer, [scan_layer(scan)])
    assert not row.isHidden()
    assert row.steps == N_TIMES > 1
    viewer.dims.set_current_step(0, 0)
    seen: list[int] = []
    viewer.dims.events.current_step.connect(
        lambda e: seen.append(int(viewer.dims.current_step[0]))
    )
    row.speed.setValue(60)
    row.button.click()
    assert row.button.text() == "Stop"
    qtbot.waitUntil(lambda: len(seen) > N_TIMES)
    assert set(seen) == set(range(N_TIMES))
    row.button.click()
    count = len(seen)
    qtbot.wait(100)
    assert len(seen) == count
    # Closing the series ends the film.
    row.button.click()
    viewer.layers.clear()
    add_phantom(viewer)
    assert row.isHidden()
    assert not row.button.isChecked()


def test_the_panel_says_how_large_a_scan_is(panel: Any, viewer: Any) -> None:
    scan, _ = time_phantom()
    add_scans(viewer, [scan_layer(scan)])
    assert panel.scan_picker.facts.text() == facts_line(scan)
    assert panel.scan_picker.facts.text().endswith("MB")
