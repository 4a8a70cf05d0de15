"""What a user chose last, kept for the next window in one small file of Qt's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QComboBox

FILE_VARIABLE = "RESONANCE_SETTINGS"
"""Names another file, where that of the user shall be left alone."""

_NAME = "napari-resonance"
_MOST = 20


def settings() -> QSettings:
    """Return the user's settings."""
    file = os.environ.get(FILE_VARIABLE)
    if file:
        return QSettings(file, QSettings.Format.IniFormat)
    scope = QSettings.Scope.UserScope
    return QSettings(QSettings.Format.IniFormat, scope, _NAME, _NAME)


def remember(name: str, value: str) -> None:
    """Keep a text under a name."""
    settings().setValue(name, value)


def remembered(name: str) -> str:
    """Return what was kept under a name; empty if nothing was."""
    return str(settings().value(name, ""))


def remember_path(name: str, path: Path) -> None:
    """Keep a path before those that were kept under a name earlier."""
    kept = [str(path), *(str(p) for p in remembered_paths(name) if p != path)]
    remember(name, "\n".join(kept[:_MOST]))


def remembered_paths(name: str) -> list[Path]:
    """Return the paths that were kept under a name, the latest first."""
    return [Path(line) for line in remembered(name).splitlines()]


def remember_choice(box: QComboBox, name: str) -> None:
    """Keep what the user chooses in a list, by the data of its entry."""

    def keep(index: int) -> None:
        data: Any = box.itemData(index)
        remember(name, "" if data is None else str(data))

    box.activated.connect(keep)


def choose_remembered(box: QComboBox, name: str) -> None:
    """Choose the entry that was chosen last, if the list still has it."""
    kept = remembered(name)
    texts = [str(box.itemData(n)) for n in range(box.count())]
    if kept in texts:
        box.setCurrentIndex(texts.index(kept))
