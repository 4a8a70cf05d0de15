"""Which models to score with: one or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_resonance.viewer.dialogs import ask_folder

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle

_ROLE = Qt.ItemDataRole.UserRole
_HEIGHT = 84


class ModelList(QWidget):
    """Models with boxes to tick."""

    changed = Signal()
    """Other models are ticked."""

    folder_chosen = Signal(object)
    """The user chose the folder of a model, as Path."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QListWidget()
        self.list.setAccessibleName("Models")
        self.list.setToolTip("Each scan is read once for all models that are ticked")
        self.list.setFixedHeight(_HEIGHT)
        self.list.itemChanged.connect(self.changed)
        self.browse = QPushButton("Other model…")
        self.browse.setToolTip("Use a model from a folder (a MONAI Bundle)")
        self.browse.clicked.connect(self._choose_folder)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        layout.addWidget(self.browse)

    @property
    def models(self) -> list[Bundle]:
        """All models that are listed."""
        return [item.data(_ROLE) for item in self._items()]

    @property
    def chosen(self) -> list[Bundle]:
        """Those that are ticked."""
        ticked = Qt.CheckState.Checked
        return [i.data(_ROLE) for i in self._items() if i.checkState() == ticked]

    def add(self, models: Sequence[Bundle], *, ticked: bool = True) -> None:
        """List models; one from a folder that is listed takes its place."""
        for model in models:
            for item in self._items():
                if item.data(_ROLE).path == model.path:
                    self.list.takeItem(self.list.row(item))
            item = QListWidgetItem(model.card.name)
            item.setData(_ROLE, model)
            item.setToolTip(f"{model.card.task}\n{model.path}")
            state = Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
            item.setCheckState(state)
            self.list.addItem(item)
        self.changed.emit()

    def named(self, name: str) -> Bundle | None:
        """Return the model of this name, the latest if there are several."""
        found = [model for model in self.models if model.card.name == name]
        return found[-1] if found else None

    def _items(self) -> list[QListWidgetItem]:
        found = (self.list.item(n) for n in range(self.list.count()))
        return [item for item in found if item is not None]

    def _choose_folder(self) -> None:
        folder = ask_folder(self, "Open the folder of a model", "models")
        if folder is not None:
            self.folder_chosen.emit(folder)
