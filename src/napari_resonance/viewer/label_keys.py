"""The keys 0 to 9 over the canvas: a label for the scan that is selected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtWidgets import QWidget

from napari_resonance.viewer.class_names import MOST_KEYS
from napari_resonance.viewer.connecting import connect_while_alive
from napari_resonance.viewer.keys import bind_key
from napari_resonance.viewer.records import record_of

KEYS = tuple(str(n) for n in range(MOST_KEYS + 1))


def bind_label_keys(
    viewer: Any, panel: QWidget, on_key: Callable[[int, Any], object]
) -> None:
    """Bind the keys on every layer of ours until a panel goes.

    napari gives the layer's keys precedence, and image layers have modes on 1 and 2;
    so the keys are bound on the layers, not on the viewer.

    Parameters
    ----------
    viewer
        Whose layers, now and later.
    panel
        With whose end the keys mean again what they mean to napari.
    on_key
        Called with the number of the key and the layer.

    """

    def bind(layer: Any) -> None:
        if record_of(layer) is not None:
            for number, key in enumerate(KEYS):
                bind_key(layer, key, partial(on_key, number))

    def unbind() -> None:
        for layer in viewer.layers:
            if record_of(layer) is not None:
                for key in KEYS:
                    layer.bind_key(key, None, overwrite=True)

    for layer in viewer.layers:
        bind(layer)
    inserted = viewer.layers.events.inserted
    connect_while_alive(panel, inserted, lambda event: bind(event.value))
    panel.destroyed.connect(unbind)
