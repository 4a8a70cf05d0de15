"""How to train: what the core leaves to choose, and where the model goes."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_resonance.classifier.place import described, is_model
from napari_resonance.training.finetune import is_interrupted
from napari_resonance.training.options import PRESETS, UNFREEZE, FinetuneOptions
from napari_resonance.viewer.dialogs import ask_new_folder, ask_replace
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.forms import add_field, narrow_box, new_form
from napari_resonance.viewer.option_help import help_of
from napari_resonance.viewer.settings import choose_remembered, remember_choice

TAKEN = "There is a model already: you are asked before it is replaced."

_DEFAULT = FinetuneOptions()
_UNFREEZE = {"auto": "Chosen from the scans", "head": "The last layer", "all": "All"}
_COLOR = {
    "auto": "Chosen from the scans",
    "keep": "Red, green and blue",
    "brightness": "Brightness only",
}
_FOLDS = {0: "Patients kept apart", 5: "Five folds (slower)"}


class TrainingForm(QWidget):
    """Presets and a few options; all defaults and help texts are the core's."""

    place_changed = Signal()
    """The model shall go somewhere else."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.preset = _box({name: name.capitalize() for name in PRESETS}, "preset")
        self.unfreeze = _box(
            {n: _UNFREEZE.get(n, f"From {n} on") for n in UNFREEZE}, "unfreeze"
        )
        self.folds = _box(_FOLDS, "folds")
        self.color = _box(_COLOR, "color")
        self._boxes = {
            "preset": self.preset,
            "unfreeze": self.unfreeze,
            "folds": self.folds,
            "color": self.color,
        }
        self.mirror = QCheckBox("Left and right")
        self.mirror.setToolTip(help_of(FinetuneOptions, "flip"))
        self.task = QLineEdit(_DEFAULT.task)
        self.task.setPlaceholderText("What the model answers")
        self.task.setToolTip(help_of(FinetuneOptions, "task"))
        self.place = QLineEdit(str(_free_place()))
        self.place.setPlaceholderText("Folder of the new model")
        self.place.setToolTip("Folder of the new model; its last part is the name")
        self.place.textChanged.connect(self._on_place)
        self.taken = plain_label(
            "There is a model already: you are asked before it is replaced."
        )
        self.taken.setWordWrap(True)
        self.browse = QPushButton("…")
        self.browse.setAccessibleName("Choose the folder of the new model")
        self.browse.setToolTip("Choose where the model goes")
        self.browse.clicked.connect(self._choose_place)
        row = QHBoxLayout()
        row.addWidget(self.place, 1)
        row.addWidget(self.browse)
        self._form = form = new_form(self)
        add_field(form, "Preset", self.preset)
        add_field(form, "Learns", self.unfreeze)
        add_field(form, "Judged by", self.folds)
        add_field(form, "Colour", self.color)
        add_field(form, "Mirror", self.mirror)
        add_field(form, "Task", self.task)
        add_field(form, "Save as", row)
        self.place.setAccessibleName("Save as")
        add_field(form, "", self.taken)
        for name, box in self._boxes.items():
            choose_remembered(box, f"training/{name}")
            remember_choice(box, f"training/{name}")
        self._on_place()

    @property
    def out(self) -> Path:
        """Folder of the new model."""
        return Path(self.place.text().strip()).expanduser()

    def options(self) -> FinetuneOptions:
        """Return what is chosen."""
        return FinetuneOptions(
            preset=self.preset.currentData(),
            unfreeze=self.unfreeze.currentData(),
            folds=self.folds.currentData(),
            color=self.color.currentData(),
            flip="x" if self.mirror.isChecked() else _DEFAULT.flip,
            task=self.task.text().strip(),
        )

    def show_options(self, options: FinetuneOptions) -> None:
        """Choose what these options say, as far as the form has it."""
        for name, box in self._boxes.items():
            box.setCurrentIndex(max(0, box.findData(getattr(options, name))))
        self.mirror.setChecked("x" in options.flip)
        self.task.setText(options.task)

    def may_replace(self) -> bool:
        """Ask about a model or an interrupted training in the folder, if one is."""
        lost = []
        if is_model(self.out):
            lost.append(
                f"The model in this folder, {described(self.out)}, will be gone."
            )
        if self.out.name and is_interrupted(self.out):
            lost.append("The training that was interrupted here will be lost.")
        if not lost:
            return True
        title = "Replace the model?" if is_model(self.out) else "Begin anew?"
        return ask_replace(self, title, "\n".join(lost))

    def _on_place(self) -> None:
        self._form.setRowVisible(self.taken, is_model(self.out))
        self.place_changed.emit()

    def _choose_place(self) -> None:
        path = ask_new_folder(self, "Folder of the new model", "models")
        if path is not None:
            self.place.setText(str(path))


def _free_place() -> Path:
    """Return a folder for a model, in the user's home, that nothing is in."""
    home = Path.home() / "resonance-models"
    names = (home / f"model-{n}" for n in count(1))
    return next(name for name in names if not name.exists())


def _box(choices: dict[Any, str], option: str) -> QComboBox:
    box = narrow_box()
    for value, title in choices.items():
        box.addItem(title, value)
    box.setCurrentIndex(box.findData(getattr(_DEFAULT, option)))
    box.setToolTip(help_of(FinetuneOptions, option))
    return box
