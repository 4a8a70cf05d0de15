"""Bars to the right of a line for what speaks for something, to its left against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

# Told apart by colour-blind eyes; the side says the same.
_FOR, _AGAINST = QColor("#5aa9e6"), QColor("#e69f00")
_ROW, _BAR, _MARGIN = 18, 8, 6

Bar = tuple[str, float, str]
"""What a bar is about, its value, and the value in words."""


class SignedBars(QWidget):
    """One row a value: its name, a bar from the middle line, the value in words.

    Parameters
    ----------
    name
        What the chart shows, for those who cannot see it.
    span
        Value of a bar that reaches the edge; None takes the largest that is shown.

    """

    def __init__(
        self, name: str, span: float | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._span = span
        self._bars: list[Bar] = []
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.show_bars(())

    @property
    def bars(self) -> Sequence[Bar]:
        """What is drawn."""
        return self._bars

    def show_bars(self, bars: Sequence[Bar]) -> None:
        """Draw these; none takes no room."""
        self._bars = list(bars)
        words = "\n".join(f"{name}: {text}" for name, _, text in self._bars)
        self.setAccessibleDescription(words)
        self.setToolTip(words)
        self.setFixedHeight(_ROW * len(self._bars))
        self.setVisible(bool(self._bars))
        self.update()

    def widths(self, room: float) -> list[float]:
        """Return how wide each bar is, where a full one is `room` wide."""
        largest = max((abs(value) for _, value, _ in self._bars), default=0.0)
        span = (self._span or largest) or 1.0
        return [min(1.0, abs(value) / span) * room for _, value, _ in self._bars]

    def paintEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Draw names, the middle line, bars and values."""
        if not self._bars:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        fonts = self.fontMetrics()
        left = max(fonts.horizontalAdvance(n) for n, _, _ in self._bars) + _MARGIN
        right = max(fonts.horizontalAdvance(t) for _, _, t in self._bars) + _MARGIN
        room = max(0.0, (self.width() - left - right) / 2)
        middle = left + room
        centre, end = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignRight
        widths = self.widths(room)
        for row, ((name, value, text), wide) in enumerate(
            zip(self._bars, widths, strict=True)
        ):
            top = row * _ROW
            painter.setPen(ink)
            painter.drawText(QRectF(0, top, left, _ROW), centre, name)
            place = QRectF(self.width() - right, top, right, _ROW)
            painter.drawText(place, centre | end, text)
            start = middle if value >= 0 else middle - wide
            bar = QRectF(start, top + (_ROW - _BAR) / 2, wide, _BAR)
            painter.fillRect(bar, _FOR if value >= 0 else _AGAINST)
        ink.setAlpha(120)
        painter.setPen(ink)
        painter.drawLine(int(middle), 0, int(middle), self.height())
        painter.end()
