"""Which model, and where it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QWidget,
)

from napari_resonance.classifier.card_facts import card_facts
from napari_resonance.viewer.device_picker import DevicePicker
from napari_resonance.viewer.dialogs import ask_folder
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.forms import add_field, narrow_box, new_form
from napari_resonance.viewer.imported_models import import_model, imported
from napari_resonance.viewer.model_card import ModelCard
from napari_resonance.viewer.settings import (
    choose_remembered,
    remember,
    remember_choice,
)

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle

CHOSEN = "models/chosen"
"""Setting that names the folder of the model that was chosen last."""


class ModelPicker(QWidget):
    """Model and device, with the card that says what the model is for."""

    folder_chosen = Signal(object)
    """The user chose the folder of a model, as Path."""

    changed = Signal(object)
    """Another model is chosen, or None."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._models: list[Bundle] = []
        self.box = narrow_box()
        self.box.setAccessibleName("Model")
        self.box.setPlaceholderText("looking for models")
        self.box.setToolTip("Which model is asked; below stands what it was made for")
        self.box.currentIndexChanged.connect(self._on_model)
        self.browse = QPushButton("Import…")
        self.browse.setToolTip("Use a model from a folder (a MONAI Bundle)")
        self.browse.clicked.connect(self._choose_folder)
        self.about = plain_label()
        self.about.setWordWrap(True)
        # Both are laid out by the panel, below the answer: few read or change them.
        self.card = ModelCard(self)
        self.device_picker = DevicePicker(self)
        row = QHBoxLayout()
        row.addWidget(self.box, 1)
        row.addWidget(self.browse)
        self._form = form = new_form(self)
        add_field(form, "Model", row)
        form.addRow(self.about)
        remember_choice(self.box, CHOSEN)
        imported.added.connect(self._on_imported)
        self._on_model()

    @property
    def model(self) -> Bundle | None:
        """The model that is chosen."""
        index = self.box.currentIndex()
        return self._models[index] if 0 <= index < len(self._models) else None

    @property
    def models(self) -> tuple[Bundle, ...]:
        """All models that are listed."""
        return tuple(self._models)

    def add_model(self, model: Bundle) -> None:
        """Offer one more model, or anew one that was trained again, and choose it."""
        self.box.setCurrentIndex(self._list(model))

    def adopt_model(self, model: Bundle) -> None:
        """Offer a model of the user's, choose it, and do so in later windows too."""
        self.add_model(model)
        import_model(model)
        remember(CHOSEN, str(model.path))

    def set_models(self, models: tuple[Bundle, ...]) -> None:
        """Offer these models and choose the one that was used last, or the first."""
        for model in models:
            self.add_model(model)
        self.box.setCurrentIndex(0 if models else -1)
        choose_remembered(self.box, CHOSEN)
        self.box.setPlaceholderText("no model was found")

    def _on_imported(self, model: Bundle) -> None:
        """List what another panel imported, without choosing it."""
        # Without any the search is still to choose the first one.
        if self._models and all(model is not known for known in self._models):
            self._list(model)

    def _list(self, model: Bundle) -> int:
        """List one, in the place of one of the same folder; return where."""
        places = [known.path for known in self._models]
        if model.path in places:
            index = places.index(model.path)
            self._models[index] = model
            self.box.setItemText(index, model.card.name)
        else:
            index = len(self._models)
            self._models.append(model)
            self.box.addItem(model.card.name, str(model.path))
        if self.box.currentIndex() == index:
            self._on_model()
        return index

    def _choose_folder(self) -> None:
        folder = ask_folder(self, "Open the folder of a model", "models")
        if folder is not None:
            self.folder_chosen.emit(folder)

    def _on_model(self, index: int = -1) -> None:
        model = self.model
        self.about.setText("" if model is None else model.card.task)
        self._form.setRowVisible(self.about, model is not None)
        self.card.show_facts({} if model is None else card_facts(model))
        self.changed.emit(model)
