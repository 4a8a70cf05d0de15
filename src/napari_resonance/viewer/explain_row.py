"""Which map is wanted: of which class, by which method, of which evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_resonance.export.wording import method_name
from napari_resonance.saliency.methods import METHODS
from napari_resonance.saliency.question import ExplainOptions
from napari_resonance.viewer.fold import Fold
from napari_resonance.viewer.forms import add_field, narrow_box, new_form
from napari_resonance.viewer.settings import choose_remembered, remember_choice

_TIP = Qt.ItemDataRole.ToolTipRole
_SIGNS = {
    "for": "For the class",
    "against": "Against the class",
    "both": "For and against",
}


class ExplainRow(QWidget):
    """The class to explain, and below a fold everything else about the map."""

    changed = Signal()
    """The user wants another map."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.target_box = narrow_box()
        self.target_box.setToolTip("The map shows what spoke for this class")
        self.method_box = narrow_box()
        for n, (name, method) in enumerate(METHODS.items()):
            self.method_box.addItem(method_name(name), name)
            cost = "" if method.takes_layer else " Takes longer."
            self.method_box.setItemData(n, f"{method.about}.{cost}", _TIP)
        self.method_box.setToolTip("How the map is made; each entry says what it means")
        self.against_box = narrow_box()
        self.against_box.setToolTip(
            "Show what speaks for the class rather than for this one"
        )
        self.sign_box = narrow_box()
        for sign, text in _SIGNS.items():
            self.sign_box.addItem(text, sign)
        self.sign_box.setToolTip("Which evidence is drawn")
        more = QWidget()
        form = new_form(more)
        add_field(form, "Method", self.method_box)
        add_field(form, "Rather than", self.against_box)
        add_field(form, "Evidence", self.sign_box)
        self.more = Fold("More about the map", more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        first = new_form()
        add_field(first, "Explain", self.target_box)
        layout.addLayout(first)
        layout.addWidget(self.more)
        choose_remembered(self.method_box, "method")
        remember_choice(self.method_box, "method")
        for box in (self.target_box, self.method_box, self.against_box, self.sign_box):
            box.activated.connect(lambda _: self.changed.emit())
        self.follow_model(())

    def follow_model(self, labels: Sequence[str]) -> None:
        """Offer the classes of a model."""
        for box, none in (
            (self.target_box, "Most probable class"),
            (self.against_box, "No other class"),
        ):
            box.clear()
            box.addItem(none, None)
            for label in labels:
                box.addItem(label, label)

    def options(self, **region: Any) -> ExplainOptions:
        """Return what is chosen; `region` are further fields of the options."""
        return ExplainOptions(
            method=self.method_box.currentData(),
            target=self.target_box.currentData(),
            against=self.against_box.currentData(),
            sign=self.sign_box.currentData(),
            **region,
        )
