"""Which models to score with: one or several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_resonance.viewer.classification import find_models, read_model
from napari_resonance.viewer.dialogs import ask_folder
from napari_resonance.viewer.imported_models import (
    import_model,
    imported,
    imported_folders,
)
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.model_picker import CHOSEN
from napari_resonance.viewer.settings import remembered

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle

_ROLE = Qt.ItemDataRole.UserRole
_HEIGHT = 84


class ModelList(QWidget):
    """Models with boxes to tick."""

    changed = Signal()
    """Other models are ticked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = JobRunner(self)
        self.list = QListWidget()
        self.list.setAccessibleName("Models")
        self.list.setToolTip("Each scan is read once for all models that are ticked")
        self.list.setFixedHeight(_HEIGHT)
        self.list.itemChanged.connect(self.changed)
        self.browse = QPushButton("Import…")
        self.browse.setToolTip("Use a model from a folder (a MONAI Bundle)")
        self.browse.clicked.connect(self._choose_folder)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        layout.addWidget(self.browse)
        imported.added.connect(self._on_imported)

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

    def offer(self, models: Sequence[Bundle], chosen: str) -> None:
        """List models that are not listed yet, without a tick.

        Parameters
        ----------
        models
            What can be ticked.
        chosen
            Folder of the one that is ticked at first, if it is among them; or else the
            first one is.

        """
        known = {model.path for model in self.models}
        self.add([m for m in models if m.path not in known], ticked=False)
        items = self._items()
        if items and not known:
            wanted = [i for i in items if str(i.data(_ROLE).path) == chosen]
            (wanted or items)[0].setCheckState(Qt.CheckState.Checked)

    def showEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """List what the Classify panel lists, with what came in since."""
        super().showEvent(event)
        self.look()

    def look(self) -> None:
        """Look for models in the background."""
        if not self.search.is_busy:
            work = partial(find_models, imported=imported_folders())
            self.search.run(work, self._on_found)

    def open_model(self, folder: Path) -> None:
        """Read the model in a folder and tick it; other lists offer it as well."""
        self.search.run(lambda *_: read_model(folder), self._on_model)

    def answering(self, name: str, sha256: str) -> Bundle | None:
        """Return the model of this hash, or else the latest of this name."""
        same = [model for model in self.models if model.sha256 == sha256]
        found = same or [model for model in self.models if model.card.name == name]
        return found[-1] if found else None

    def _items(self) -> list[QListWidgetItem]:
        found = (self.list.item(n) for n in range(self.list.count()))
        return [item for item in found if item is not None]

    def _choose_folder(self) -> None:
        folder = ask_folder(self, "Open the folder of a model", "models")
        if folder is not None:
            self.open_model(folder)

    def _on_found(self, models: tuple[Bundle, ...]) -> None:
        self.offer(models, remembered(CHOSEN))

    def _on_model(self, model: Bundle) -> None:
        self.add([model])
        import_model(model)

    def _on_imported(self, model: Bundle) -> None:
        if self.models:  # or else the search is still to choose the first tick
            self.offer([model], "")
