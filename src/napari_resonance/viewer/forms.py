"""Rows of label and field that line up from one widget of a panel to the next."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QLayout, QSizePolicy, QWidget

# As wide as the longest label, "Orientation", in napari's font.
_LABEL_WIDTH = 86

# Room for the names of models and classes; longer ones are cut.
_BOX_WIDTH = 110


def new_form(parent: QWidget) -> QFormLayout:
    """Return an empty form without margins."""
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def add_field(form: QFormLayout, text: str, field: QWidget | QLayout) -> None:
    """Append a row."""
    label = QLabel(text)
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
