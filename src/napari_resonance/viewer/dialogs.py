"""Dialogs for files and folders, which open where the user was last."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_resonance.viewer.settings import remember, remembered


def ask_folder(parent: QWidget, title: str, what: str) -> Path | None:
    """Ask for a folder that is there; None if the user thinks better.

    Parameters
    ----------
    parent
        Whose dialog it is.
    title
        What the dialog says.
    what
        What is looked for ("scans", "models", ...): each has a place of its own, the
        folder that held what was chosen last.

    """
    return _chosen(QFileDialog.getExistingDirectory(parent, title, _place(what)), what)


def ask_new_folder(parent: QWidget, title: str, what: str) -> Path | None:
    """Ask for a folder that need not be there yet."""
    only = QFileDialog.Option.ShowDirsOnly
    place = _place(what)
    name, _ = QFileDialog.getSaveFileName(parent, title, place, options=only)
    return _chosen(name, what)


def ask_file(parent: QWidget, title: str, what: str, kinds: str) -> Path | None:
    """Ask for one file of some kinds: ``"Tables (*.csv *.tsv)"``."""
    name, _ = QFileDialog.getOpenFileName(parent, title, _place(what), kinds)
    return _chosen(name, what)


def ask_files(parent: QWidget, title: str, what: str) -> list[Path]:
    """Ask for files of any kind."""
    names, _ = QFileDialog.getOpenFileNames(parent, title, _place(what))
    found = (_chosen(name, what) for name in names)
    return [path for path in found if path is not None]


def ask_target(
    parent: QWidget, title: str, what: str, ending: str, name: str = ""
) -> Path | None:
    """Ask for a file to write, of a name with this ending; `name` is proposed."""
    place = _place(what)
    start = str(Path(place, name)) if place else name
    chosen, _ = QFileDialog.getSaveFileName(parent, title, start, f"*{ending}")
    path = _chosen(chosen, what)
    if path is None or path.name.endswith(ending):
        return path
    path = path.with_name(path.name + ending)
    return path if _may_replace(parent, path) else None


def _may_replace(parent: QWidget, path: Path) -> bool:
    """Ask about a file that the dialog, which had no ending, has not asked about."""
    if not path.exists():
        return True
    text = f"{path.name} is there already. Replace it?"
    return ask_replace(parent, "Replace the file?", text)


def ask_replace(parent: QWidget, title: str, text: str) -> bool:
    """Ask whether something may be replaced; who just presses Enter says no."""
    button = QMessageBox.StandardButton
    choice = button.Yes | button.No
    answer = QMessageBox.question(parent, title, text, choice, button.No)
    return bool(answer == button.Yes)


def _place(what: str) -> str:
    return remembered(f"places/{what}")


def _chosen(name: str, what: str) -> Path | None:
    if not name:
        return None
    path = Path(name)
    # The next study, table or model mostly lies beside this one.
    remember(f"places/{what}", str(path.parent))
    return path
