"""Rows of label and field that line up from one widget of a panel to the next."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLayout,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_resonance.export.wording import RESEARCH_USE
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.scroll_column import ScrollColumn

# As wide as the longest label, "Orientation", in napari's font.
_LABEL_WIDTH = 86

# Room for the names of models and classes; longer ones are cut.
_BOX_WIDTH = 110

_PANEL_WIDTH = 330


def new_form(parent: QWidget | None = None) -> QFormLayout:
    """Return an empty form without margins."""
    form = QFormLayout(parent) if parent is not None else QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def add_field(form: QFormLayout, text: str, field: QWidget | QLayout) -> None:
    """Append a row."""
    label = plain_label(text)
    label.setMinimumWidth(_LABEL_WIDTH)
    if isinstance(field, QWidget):
        label.setBuddy(field)
        field.setAccessibleName(text)
    form.addRow(label, field)


def narrow_box() -> QComboBox:
    """Return a list that cuts a long entry rather than widen the dock."""
    box = QComboBox()
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    box.setMinimumWidth(_BOX_WIDTH)
    return box


def fill_panel(panel: QWidget, widgets: Iterable[QWidget]) -> ScrollColumn:
    """Lay out a panel: widgets that scroll, and below them what it is not for."""
    column = ScrollColumn(*widgets)
    notice = plain_label(f"{RESEARCH_USE}.")
    notice.setWordWrap(True)
    outer = QVBoxLayout(panel)
    outer.addWidget(column, 1)
    outer.addWidget(notice)
    panel.setMinimumWidth(_PANEL_WIDTH)
    return column
