"""The probability of the label in each slice, where a 2D network scored a volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_resonance.export.wording import percent
from napari_resonance.viewer.probability_bars import BEST

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction

_HEIGHT, _MARGIN = 70, 6


class SliceCurve(QWidget):
    """A curve over the slices; a click on one, or an arrow key, asks for it."""

    slice_wanted = Signal(int)
    """Number of the slice, as the network counts them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values: Sequence[float] = ()
        self._label = ""
        self.current = 0
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Probability in each slice")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.show_prediction(None)

    def show_prediction(self, prediction: Prediction | None) -> None:
        """Draw the slices of an answer; take no room where there are none."""
        slices = None if prediction is None else prediction.per_slice
        has_slices = slices is not None and len(slices) > 1
        self.setVisible(has_slices)
        if prediction is None or slices is None or not has_slices:
            self._values = ()
            return
        self._label = prediction.label
        column = list(prediction.probabilities).index(prediction.label)
        self._values = slices[:, column].tolist()
        self.current = max(range(len(self._values)), key=self._values.__getitem__)
        self._tell()

    def points(self, area: QRectF) -> list[QPointF]:
        """Return where the values lie in an area, first slice left, 1 at the top."""
        last = len(self._values) - 1
        return [
            QPointF(
                area.left() + area.width() * n / last,
                area.bottom() - area.height() * value,
            )
            for n, value in enumerate(self._values)
        ]

    def slice_at(self, x: float) -> int:
        """Return the slice that is nearest to a place of the widget, in pixels."""
        area = self._area()
        last = len(self._values) - 1
        share = (x - area.left()) / max(area.width(), 1)
        return round(min(1.0, max(0.0, share)) * last)

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Ask for the slice under the mouse."""
        self._want(self.slice_at(event.position().x()))

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Go from slice to slice with the arrows."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(event.key())
        if step is None:
            super().keyPressEvent(event)
        else:
            self._want(self.current + step)

    def paintEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Draw frame, curve, and the slice that was asked for."""
        if not self._values:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area, ink = self._area(), self.palette().color(QPalette.ColorRole.WindowText)
        points = self.points(area)
        painter.setPen(QPen(QColor(BEST), 2))
        painter.drawPolyline(QPolygonF(points))
        here = points[self.current]
        painter.setBrush(QColor(BEST))
        painter.drawEllipse(here, 3, 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        ink.setAlpha(90)
        painter.setPen(ink)
        painter.drawRect(area)
        painter.drawLine(
            QPointF(here.x(), area.top()), QPointF(here.x(), area.bottom())
        )
        painter.end()

    def _want(self, number: int) -> None:
        if self._values:
            self.current = min(max(number, 0), len(self._values) - 1)
            self._tell()
            self.slice_wanted.emit(self.current)

    def _tell(self) -> None:
        value = percent(self._values[self.current])
        count = len(self._values)
        text = f"{self._label} in slice {self.current + 1} of {count}: {value}"
        self.setAccessibleDescription(text)
        self.setToolTip(f"{text}. Click to go to a slice")
        self.update()

    def _area(self) -> QRectF:
        gap = _MARGIN
        return QRectF(self.rect()).adjusted(gap, gap, -gap, -gap)
