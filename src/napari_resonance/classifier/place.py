"""The place of a new model: what lies there, and whether it may be replaced."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from napari_resonance.errors import ModelError, ResonanceError

METADATA = "configs/metadata.json"


def is_model(folder: Path) -> bool:
    """Tell whether a folder is that of a model, whole or damaged."""
    return (folder / METADATA).is_file()


def check_place(target: Path, *, overwrite: bool) -> None:
    """Refuse a place where something lies that a new model would replace.

    Parameters
    ----------
    target
        Folder of the new model.
    overwrite
        A model may be replaced; nothing else ever may.

    Raises
    ------
    ModelError
        If something does; a model is told by its name and date.

    """
    if is_model(target):
        if overwrite:
            return
        raise ModelError(
            f"there is a model here already: {described(target)}",
            source=target,
            remedy="Choose another folder, or replace the model with --overwrite "
            "(overwrite=True in Python)",
        )
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    raise ModelError(
        "there is something else at the place of the model",
        source=target,
        remedy="Choose a new folder",
    )


def refuse_model(folder: Path) -> None:
    """Refuse the folder of a model as the place of results.

    Raises
    ------
    ModelError
        If it is one; it is told by its name and date.

    """
    if is_model(folder):
        raise ModelError(
            f"this is the folder of a model: {described(folder)}",
            source=folder,
            remedy="Choose another folder for results",
        )


def described(model: Path) -> str:
    """Return the name of the model in a folder, and when it was written."""
    from napari_resonance.classifier.bundle_checks import entry, own_entry, read_json
    from napari_resonance.classifier.card import ModelCard

    file = model / METADATA
    try:
        name = ModelCard.from_json(entry(own_entry(read_json(file)), "card")).name
    except ResonanceError:  # damaged, or of a newer version: it counts all the same
        name = model.resolve().name
    written = datetime.fromtimestamp(file.stat().st_mtime).astimezone()
    return f"{name}, of {written:%Y-%m-%d %H:%M}"
