"""How a training goes: losses and AUROC, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_resonance.training.epochs import Epoch

# Told apart by colour-blind eyes, and by their dashes.
_LINES = {
    "training_loss": ("Training loss", "#8a929c", Qt.PenStyle.DashLine),
    "validation_loss": ("Validation loss", "#e69f00", Qt.PenStyle.SolidLine),
    "validation_auroc": ("Validation AUROC", "#56b4e9", Qt.PenStyle.SolidLine),
}
_HEIGHT = 150
_MARGIN = 8
_LEGEND = 16


class CurveView(QWidget):
    """Losses on a scale from 0 to their highest, the AUROC from 0 to 1."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._epochs: list[Epoch] = []
        self.setMinimumHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Curves of the training")
        self.clear()

    @property
    def epochs(self) -> Sequence[Epoch]:
        """What is drawn."""
        return self._epochs

    def clear(self) -> None:
        """Draw nothing, and take no room."""
        self._epochs.clear()
        self.setVisible(False)

    def add(self, epoch: Epoch) -> None:
        """Draw one more epoch; of another training than before, afresh."""
        if self._epochs and (
            epoch.title != self._epochs[-1].title
            or epoch.number <= self._epochs[-1].number
        ):
            self._epochs.clear()
        self._epochs.append(epoch)
        self.setVisible(True)
        self.setAccessibleDescription(self.text())
        self.setToolTip(self.text())
        self.update()

    def text(self) -> str:
        """Return the last epoch in words."""
        if not self._epochs:
            return ""
        last = self._epochs[-1]
        said = [
            f"{name} {last.figures[key]:.3f}"
            for key, (name, *_) in _LINES.items()
            if key in last.figures
        ]
        title = f"{last.title}, " if last.title else ""
        return f"{title}epoch {last.number} of {last.total}: {', '.join(said)}"

    def points(self, name: str, area: QRectF) -> list[QPointF]:
        """Return where the values of one figure lie in an area."""
        top = 1.0 if name.endswith("auroc") else self._highest_loss()
        last = max(2, self._epochs[-1].total)
        found = []
        for epoch in self._epochs:
            value = epoch.figures.get(name, math.nan)
            if math.isfinite(value):
                x = area.left() + area.width() * (epoch.number - 1) / (last - 1)
                y = area.bottom() - area.height() * min(1.0, value / top)
                found.append(QPointF(x, y))
        return found

    def paintEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Draw frame, curves and legend."""
        if not self._epochs:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        frame = QRectF(self.rect()).adjusted(
            _MARGIN, _MARGIN, -_MARGIN, -_MARGIN - _LEGEND * len(self._drawn())
        )
        grid = QColor(ink)
        grid.setAlpha(60)
        painter.setPen(grid)
        painter.drawRect(frame)
        middle = frame.center().y()
        painter.drawLine(QPointF(frame.left(), middle), QPointF(frame.right(), middle))
        for row, name in enumerate(self._drawn()):
            self._draw(painter, name, frame, ink, row)
        last = self._epochs[-1]
        right = Qt.AlignmentFlag.AlignRight
        below = QRectF(frame.left(), frame.bottom() + 2, frame.width(), _LEGEND)
        painter.drawText(below, right, f"epoch {last.number} of {last.total}")
        painter.end()

    def _draw(
        self, painter: QPainter, name: str, frame: QRectF, ink: QColor, row: int
    ) -> None:
        title, color, dashes = _LINES[name]
        painter.setPen(QPen(QColor(color), 2, dashes))
        points = self.points(name, frame)
        painter.drawPolyline(QPolygonF(points))
        if len(points) == 1:
            painter.drawEllipse(points[0], 2, 2)
        y = frame.bottom() + _LEGEND * (row + 0.7)
        painter.drawLine(QPointF(frame.left(), y), QPointF(frame.left() + 22, y))
        painter.setPen(ink)
        value = self._epochs[-1].figures[name]
        painter.drawText(QPointF(frame.left() + 30, y + 4), f"{title} {value:.3f}")

    def _drawn(self) -> list[str]:
        return [name for name in _LINES if name in self._epochs[-1].figures]

    def _highest_loss(self) -> float:
        losses = (
            value
            for epoch in self._epochs
            for name, value in epoch.figures.items()
            if name.endswith("loss") and math.isfinite(value)
        )
        return max(losses, default=0.0) or 1.0
