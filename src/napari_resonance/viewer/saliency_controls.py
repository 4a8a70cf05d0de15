"""Threshold, opacity and style of the map, live."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget
from superqt import QLabeledSlider

from napari_resonance.viewer.forms import add_field, narrow_box, new_form
from napari_resonance.viewer.map_colors import (
    CONTOUR,
    set_style,
    set_threshold,
    style_of,
    threshold_of,
)
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.settings import choose_remembered, remember_choice


class SaliencyControls(QWidget):
    """Two sliders and a list for one saliency layer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layer: Any = None
        self.threshold = QLabeledSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0, 95)
        self.threshold.setToolTip(
            "Hide what is below this share of the map's peak, in %"
        )
        self.threshold.valueChanged.connect(self._on_threshold)
        self.opacity = QLabeledSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("How much the map covers the scan, in %")
        self.opacity.valueChanged.connect(self._on_opacity)
        self.style_box = narrow_box()
        self.style_box.addItem("Colour wash", "wash")
        self.style_box.addItem("Contours", CONTOUR)
        self.style_box.setToolTip("A wash of colour, or lines that leave the scan bare")
        self.style_box.activated.connect(self._on_style)
        choose_remembered(self.style_box, "map style")
        remember_choice(self.style_box, "map style")
        form = new_form(self)
        add_field(form, "Draw as", self.style_box)
        add_field(form, "Threshold", self.threshold)
        add_field(form, "Opacity", self.opacity)
        for slider in (self.threshold, self.opacity):
            # Keys and screen readers meet the parts, not the whole.
            for part in slider.findChildren(QWidget):
                part.setAccessibleName(f"{slider.accessibleName()} in per cent")
                part.setToolTip(slider.toolTip())
        self.follow(None)

    def follow(self, layer: Any | None) -> None:
        """Move this layer from now on; None for no layer."""
        self._layer = None
        self.setVisible(layer is not None)
        if layer is not None:
            peak, style = self._peak(layer), self.style_box.currentData()
            if style_of(layer) != style:
                set_style(layer, peak, style)
            share = threshold_of(layer, peak)
            self.threshold.setValue(round(100 * share))
            self.opacity.setValue(round(100 * layer.opacity))
            self._layer = layer

    def _on_style(self) -> None:
        if self._layer is not None:
            style = self.style_box.currentData()
            set_style(self._layer, self._peak(self._layer), style)

    def _on_threshold(self, percent: int) -> None:
        if self._layer is not None:
            set_threshold(self._layer, self._peak(self._layer), percent / 100)

    def _on_opacity(self, percent: int) -> None:
        if self._layer is not None:
            self._layer.opacity = percent / 100

    def _peak(self, layer: Any) -> float:
        record = record_of(layer)
        span = None if record is None else record.value_range
        return layer.contrast_limits_range[1] if span is None else span[1]
