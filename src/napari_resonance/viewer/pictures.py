"""Small pictures of scans as icons of lists and tables."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QImage, QPainter, QPixmap

from napari_resonance.viewer.thumbnails import SIDE


def blank_icon() -> QIcon:
    """Return a black square, which keeps the room until the picture is there."""
    pixmap = QPixmap(SIDE, SIDE)
    pixmap.fill(Qt.GlobalColor.black)
    return _same_when_chosen(pixmap)


def icon_of(pixels: Any) -> QIcon:
    """Return a picture, uint8 ``(rows, columns, 3)``, in the middle of a square."""
    rows, columns = pixels.shape[:2]
    image = QImage(
        pixels.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888
    )
    square = QImage(SIDE, SIDE, QImage.Format.Format_RGB888)
    square.fill(Qt.GlobalColor.black)
    painter = QPainter(square)
    painter.drawImage((SIDE - columns) // 2, (SIDE - rows) // 2, image)
    painter.end()
    return _same_when_chosen(QPixmap.fromImage(square))


def _same_when_chosen(pixmap: QPixmap) -> QIcon:
    # Qt would tint the picture of a chosen scan.
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon
