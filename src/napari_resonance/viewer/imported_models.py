"""Models of the user's own: kept for later windows, and told to every open list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_resonance.viewer.settings import remember_path, remembered_paths

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle

_NAME = "models/imported"


class _Imported(QObject):
    """Tells all panels of all windows."""

    added = Signal(object)
    """A model was imported, as Bundle."""


imported = _Imported()


def import_model(model: Bundle) -> None:
    """Have every list of models offer this one, now and in later windows.

    Parameters
    ----------
    model
        Just read from a folder of the user's.

    """
    remember_path(_NAME, model.path)
    imported.added.emit(model)


def imported_folders() -> list[Path]:
    """Return the folders of the models that were imported, the latest first."""
    return remembered_paths(_NAME)
