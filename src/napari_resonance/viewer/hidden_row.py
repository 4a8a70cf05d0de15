"""Says which layers do not fit the view, and offers to resample them."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_resonance.viewer.connecting import connect_while_alive
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.frame_keeper import FrameKeeper


class HiddenRow(QWidget):
    """Visible while layers are hidden because they are turned against the view."""

    resample_wanted = Signal(object)
    """The user wants this layer resampled to the view."""

    def __init__(self, keeper: FrameKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keeper = keeper
        self._layer: Any = None
        self.text = plain_label()
        self.text.setWordWrap(True)
        self.button = QPushButton("Resample to this view")
        self.button.setToolTip("Add a copy on the grid of the scan that is selected")
        self.button.clicked.connect(lambda: self.resample_wanted.emit(self._layer))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.button)
        connect_while_alive(self, keeper.changed, self.update_row)
        self.update_row()

    def update_row(self) -> None:
        """Say anew what is hidden."""
        hidden = self._keeper.hidden_layers()
        fitting = [layer for layer in hidden if self._keeper.can_resample(layer)]
        self._layer = fitting[0] if fitting else None
        self.setVisible(bool(hidden))
        self.button.setVisible(bool(fitting))
        names = ", ".join(layer.name for layer in (fitting or hidden)[:2])
        more = f" and {len(hidden) - 2} more" if len(hidden) > 2 else ""
        self.text.setText(
            f"Hidden, because turned against this view: {names}{more}. "
            "Select a layer to turn the view to it."
        )
