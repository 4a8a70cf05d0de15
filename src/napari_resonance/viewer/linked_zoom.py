"""Several canvases on one scan that are zoomed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

# Of half a canvas: what lies farther from its middle is out of sight, or hardly in it.
_EDGE = 0.95


class LinkedZoom:
    """Enlarges the side views as the viewer is enlarged, and the other way round.

    Each canvas by the same factor from where it shows the whole scan: at one scale in
    millimetres a small canvas would show a part of what a large one does. The place
    where the slices cross stays in sight.

    Parameters
    ----------
    viewer
        napari's viewer, or a model of one.
    sides
        Models of further canvases on the same world.

    """

    def __init__(self, viewer: Any, sides: Sequence[Any]) -> None:
        self._models = (viewer, *sides)
        self._fitted: list[float | None] = [None] * len(self._models)
        self._factor = 1.0
        self._is_moving = False
        self._followed: list[tuple[Any, Any]] = []
        for n, model in enumerate(self._models):
            camera = model.scene.camera
            self._follow(camera.events.zoom, partial(self._on_zoom, n))
            self._follow(model.events.reset_view, partial(self._on_fit, n))
        self._follow(viewer.dims.events.point, self._keep_in_sight)

    def end(self) -> None:
        """Let go of all canvases."""
        for signal, slot in self._followed:
            signal.disconnect(slot)
        self._followed.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take no notice of changes made meanwhile."""
        before, self._is_moving = self._is_moving, True
        try:
            yield
        finally:
            self._is_moving = before

    def fit(self, model: Any) -> None:
        """Fit a side view into its canvas anew, then enlarge it as the others are."""
        with self.paused():
            model.fit_to_view()
            self._enlarge(self._models.index(model))

    def _follow(self, signal: Any, slot: Any) -> None:
        signal.connect(slot)
        self._followed.append((signal, slot))

    def _on_zoom(self, number: int, event: Any = None) -> None:
        model, fitted = self._models[number], self._fitted[number]
        # In 3D nothing is cut, and the camera stands elsewhere.
        if self._is_moving or not fitted or model.dims.ndisplay != 2:
            return
        self._factor = model.scene.camera.zoom / fitted
        with self.paused():
            for other, fitted_too in enumerate(self._fitted):
                if other != number and fitted_too:
                    self._enlarge(other)

    def _on_fit(self, number: int, event: Any = None) -> None:
        """Take a canvas that shows all as the measure; the viewer's for all of them."""
        model = self._models[number]
        if model.dims.ndisplay != 2:
            return
        self._fitted[number] = model.scene.camera.zoom
        if number == 0:
            self._factor = 1.0
            with self.paused():
                for side in self._models[1:]:
                    side.fit_to_view()

    def _enlarge(self, number: int) -> None:
        model, fitted = self._models[number], self._fitted[number]
        if not fitted or model.dims.ndisplay != 2:
            return
        if self._factor > 1:
            model.scene.camera.center = _crossing(model)
        elif number:
            model.fit_to_view()
            fitted = self._fitted[number] or fitted
        model.scene.camera.zoom = fitted * self._factor

    def _keep_in_sight(self, event: Any = None) -> None:
        """Follow the place where the slices cross, once it leaves a canvas."""
        if self._factor <= 1:
            return
        for model in self._models:
            if model.dims.ndisplay != 2:
                continue
            camera, there = model.scene.camera, np.array(_crossing(model))
            away = np.abs(there - np.array(camera.center[-2:]))
            half = np.array(model.canvas.size) / camera.zoom / 2
            if (away > _EDGE * half).any():
                camera.center = tuple(there)


def _crossing(model: Any) -> tuple[float, float]:
    """Return where the slices cross, along the axes that a canvas shows."""
    row, column = (float(model.dims.point[axis]) for axis in model.dims.displayed)
    return row, column
