"""Draws a probability as a bar with its number."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QModelIndex, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from napari_resonance.export.wording import percent
from napari_resonance.viewer.probability_bars import BEST

_MARGIN = 3
_STRENGTH = 120


class ProbabilityDelegate(QStyledItemDelegate):
    """For cells whose edit role is a number from 0 to 1; others stay as they are."""

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Draw the cell."""
        value: Any = index.data(Qt.ItemDataRole.EditRole)
        if painter is None or not isinstance(value, float) or value <= 0:
            super().paint(painter, option, index)
            return
        cell = QRectF(option.rect)
        painter.save()
        bar = cell.adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        bar.setWidth(bar.width() * min(1.0, value))
        color = QColor(BEST)
        color.setAlpha(_STRENGTH)
        painter.fillRect(bar, color)
        painter.setPen(option.palette.color(QPalette.ColorRole.Text))
        text = cell.adjusted(2 * _MARGIN, 0, -_MARGIN, 0)
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, percent(value))
        painter.restore()
