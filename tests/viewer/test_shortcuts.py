"""Keys over the canvas, and the places of a map that they go to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from app_model import Application
from support.answers import map_with_peak_at, prediction
from support.phantoms import phantom

from napari_resonance.geometry import to_world
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.classification import classified
from napari_resonance.viewer.findings import findings_of, next_place
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.shortcuts import SHORTCUTS, shortcuts_text
from napari_resonance.viewer.viewer_actions import add_scans, saliency_of, show_result


def two_peaks() -> Any:
    """Return a map with a stronger and a weaker place, and their mm."""
    scan, mm = phantom()
    found = map_with_peak_at(scan, mm)
    values = found.values.copy()
    values[1, 6, 2], values[0, 0, 0] = 2.0, 0.5
    found = replace(found, values=values)
    return scan, found, (mm, to_world(found.affine, (1, 6, 2)))


def test_places_are_the_strongest_first() -> None:
    _, found, (first, second) = two_peaks()
    places = findings_of(found)
    assert np.allclose(places, (first, second))
    assert np.allclose(next_place(places, first + 1, 1), second)
    assert np.allclose(next_place(places, second, 1), first)
    assert np.allclose(next_place(places, first, -1), second)
    assert findings_of(None).shape == (0, 3)
    assert findings_of(replace(found, values=0 * found.values)).shape == (0, 3)
    assert next_place(findings_of(None), first, 1) is None


def test_no_menu_of_the_window_takes_a_key_away(viewer: Any) -> None:
    attach(viewer)
    app = Application.get_app("test_app")  # what napari's own fixture makes
    assert app is not None
    taken = {str(k.keybinding) for k in app.keybindings}
    assert "Alt+C" in taken  # a picture of the canvas
    mnemonics = {f"Alt+{letter}" for letter in "FVLPWH"}  # File, View, ...
    assert not (taken | mnemonics) & {shortcut.shown for shortcut in SHORTCUTS}


def test_keys_do_what_the_list_says(viewer: Any) -> None:
    def press(key: str) -> None:
        next(s.act for s in SHORTCUTS if s.key == key)(viewer)

    for key in ("Alt-O", "Alt-N", "Alt-J"):
        press(key)  # of an empty window: nothing happens
    scan, found, (first, second) = two_peaks()
    other = phantom("flipped")[0]
    one, two = add_scans(viewer, [scan_layer(scan), scan_layer(other)])
    # Each is bound to the canvas, and named for the people who read the panel.
    bound = {str(key) for key in viewer.keymap}
    for shortcut in SHORTCUTS:
        assert shortcut.shown in bound
        assert f"{shortcut.shown}: {shortcut.text}" in shortcuts_text()
    show_result(viewer, classified(scan, prediction(found)), one)
    keeper = attach(viewer)

    def here() -> Any:
        return to_world(keeper.frame.to_ras, viewer.dims.point)

    step = max(scan.spacing)
    assert np.abs(here() - first).max() < step
    press("Alt-J")
    assert np.abs(here() - second).max() < step
    press("Alt-K")
    assert np.abs(here() - first).max() < step
    press("Alt-O")
    assert saliency_of(viewer, one) is None
    press("Alt-O")
    assert saliency_of(viewer, one).visible
    press("Alt-N")
    assert viewer.layers.selection.active is two
    assert not one.visible
    press("Alt-B")
    assert viewer.layers.selection.active is one
