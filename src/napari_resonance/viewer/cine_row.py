"""Plays a time series as a film, where one is shown."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSpinBox, QWidget

from napari_resonance.viewer.connecting import connect_while_alive

_FASTEST, _USUAL = 60, 10


class CineRow(QWidget):
    """There while the viewer has more than three axes; the first of them is played."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.button = QPushButton("Play")
        self.button.setCheckable(True)
        self.button.setToolTip("Play the volumes one after another, over and over")
        self.speed = QSpinBox()
        self.speed.setRange(1, _FASTEST)
        self.speed.setValue(_USUAL)
        self.speed.setSuffix(" volumes/s")
        self.speed.setAccessibleName("Volumes per second")
        self.speed.setToolTip("How fast the film runs, as far as the computer keeps up")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button, 1)
        layout.addWidget(self.speed)
        # Ends with this widget.
        self._clock = QTimer(self)
        self._clock.timeout.connect(self._step)
        self.button.toggled.connect(self._on_toggled)
        self.speed.valueChanged.connect(self._set_pace)
        connect_while_alive(self, viewer.dims.events.ndim, self._on_axes)
        connect_while_alive(self, viewer.dims.events.nsteps, self._on_axes)
        self._on_axes()

    @property
    def steps(self) -> int:
        """How many volumes there are; 1 without a time axis."""
        dims = self._viewer.dims
        return int(dims.nsteps[0]) if dims.ndim > 3 else 1

    def _on_axes(self, event: Any = None) -> None:
        there = self.steps > 1
        self.setVisible(there)
        if not there:
            self.button.setChecked(False)

    def _on_toggled(self, playing: bool) -> None:
        self.button.setText("Stop" if playing else "Play")
        if playing:
            self._set_pace()
            self._clock.start()
        else:
            self._clock.stop()

    def _set_pace(self) -> None:
        self._clock.setInterval(round(1000 / self.speed.value()))

    def _step(self) -> None:
        dims, steps = self._viewer.dims, self.steps
        if steps > 1:
            dims.set_current_step(0, (int(dims.current_step[0]) + 1) % steps)
