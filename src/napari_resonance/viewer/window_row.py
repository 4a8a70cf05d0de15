"""Buttons of the windows that fit the scan, and the one that is drawn."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from napari_resonance.viewer.connecting import connect_while_alive
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.window_tool import KEYS, WindowTool
from napari_resonance.viewer.windows import Window, number

_GAP = 3


class WindowRow(QWidget):
    """There while a grey scan is selected."""

    def __init__(self, tool: WindowTool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tool = tool
        self._offered: tuple[Window, ...] = ()
        self.buttons: list[QPushButton] = []
        self.text = plain_label()
        self.text.setToolTip(
            "Centre and width of the window. Drag on the picture with the right mouse "
            "button: sideways for the width, up and down for the centre"
        )
        self._flow = QFlowLayout()
        self._flow.setHorizontalSpacing(_GAP)
        self._flow.setVerticalSpacing(_GAP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(self._flow)
        connect_while_alive(self, tool.changed, self.update_row)
        self.update_row()

    def update_row(self) -> None:
        """Offer what fits the scan that is selected."""
        self.setVisible(self._tool.layer is not None)
        self.text.setText(f"Window  {self._tool.text()}".rstrip())
        if self._tool.layer is None or self._tool.windows == self._offered:
            return
        self._offered = self._tool.windows
        for button in self.buttons:
            self._flow.removeWidget(button)
            # Now, for the new ones come to lie where it is.
            button.hide()
            button.deleteLater()
        self.buttons = [self._button(n, w) for n, w in enumerate(self._offered)]

    def _button(self, n: int, window: Window) -> QPushButton:
        button = QPushButton(window.name)
        key = f" (key {KEYS[n].replace('-', '+')})" if n < len(KEYS) else ""
        button.setToolTip(
            f"Centre {number(window.center)}, width {number(window.width)}{key}"
        )
        button.clicked.connect(lambda: self._tool.apply(window))
        self._flow.addWidget(button)
        # Now, not when Qt gets to it: until then the row is as high as without buttons.
        button.show()
        return button
