"""Which model, on which device, and which of its classes to explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from napari_resonance.viewer.forms import add_field, narrow_box, new_form

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle

_DEVICE_NAMES = {
    "auto": "Automatic",
    "cpu": "Processor (CPU)",
    "cuda": "Graphics card (CUDA)",
    "mps": "Graphics processor (Apple)",
}


class ModelPicker(QWidget):
    """Model, device and class, with a line that says what the model is for."""

    folder_chosen = Signal(object)
    """The user chose the folder of a model, as Path."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._models: list[Bundle] = []
        self.box = narrow_box()
        self.box.setAccessibleName("Model")
        self.box.setPlaceholderText("looking for models")
        self.box.currentIndexChanged.connect(self._on_model)
        self.browse = QPushButton("Other…")
        self.browse.setToolTip("Use a model from a folder (a MONAI Bundle)")
        self.browse.clicked.connect(self._choose_folder)
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.device_box = narrow_box()
        self.device_box.setToolTip("Automatic takes the fastest one there is")
        self.target_box = narrow_box()
        self.target_box.setToolTip("The map shows what spoke for this class")
        row = QHBoxLayout()
        row.addWidget(self.box, 1)
        row.addWidget(self.browse)
        self._form = form = new_form(self)
        add_field(form, "Model", row)
        add_field(form, "", self.about)
        add_field(form, "Device", self.device_box)
        add_field(form, "Explain", self.target_box)
        self.set_devices(("auto",))
        self._on_model()

    @property
    def model(self) -> Bundle | None:
        """The model that is chosen."""
        index = self.box.currentIndex()
        return self._models[index] if 0 <= index < len(self._models) else None

    @property
    def device(self) -> str:
        """The device that is chosen, as a classifier takes it."""
        return str(self.device_box.currentData())

    @property
    def target(self) -> str | None:
        """The class to explain, None for the most probable one."""
        target: str | None = self.target_box.currentData()
        return target

    def set_devices(self, devices: tuple[str, ...]) -> None:
        """Offer these devices."""
        self.device_box.clear()
        for device in devices:
            self.device_box.addItem(_DEVICE_NAMES.get(device, device), device)

    def add_model(self, model: Bundle) -> None:
        """Offer one more model, and choose it."""
        self._models.append(model)
        self.box.addItem(model.card.name)
        self.box.setCurrentIndex(len(self._models) - 1)

    def set_models(self, models: tuple[Bundle, ...]) -> None:
        """Offer these models and choose the first."""
        for model in models:
            self.add_model(model)
        self.box.setCurrentIndex(0 if models else -1)
        self.box.setPlaceholderText("no model was found")

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open the folder of a model")
        if folder:
            self.folder_chosen.emit(Path(folder))

    def _on_model(self, index: int = -1) -> None:
        model = self.model
        self.about.setText("" if model is None else model.card.task)
        self._form.setRowVisible(self.about, model is not None)
        self.target_box.clear()
        self.target_box.addItem("Most probable class", None)
        for label in () if model is None else model.card.labels:
            self.target_box.addItem(label, label)
