"""Where a training begins: a pretrained network, a model, a file, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_resonance.training.options import SCRATCH
from napari_resonance.viewer.beginnings import Beginning
from napari_resonance.viewer.dialogs import ask_file
from napari_resonance.viewer.forms import add_field, narrow_box, new_form

_YOURS = "Weights of your own. Their licence is for you to know."


class PretrainedPicker(QWidget):
    """A list of names, with size, licence and place of the one that is chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: list[Beginning] = []
        self.box = narrow_box()
        self.box.setToolTip("What the network has learned before it sees your scans")
        self.box.currentIndexChanged.connect(self._tell)
        self.browse = QPushButton("Other…")
        self.browse.setToolTip("Begin with a file of weights (.safetensors, .pth)")
        self.browse.clicked.connect(self._choose_file)
        self.about = QLabel()
        self.about.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.box, 1)
        row.addWidget(self.browse)
        self._form = form = new_form(self)
        add_field(form, "Begin with", row)
        self.box.setAccessibleName("Begin with")
        add_field(form, "", self.about)
        self.set_choices([Beginning(SCRATCH, "From scratch", "")])

    @property
    def name(self) -> str:
        """What is chosen, as `finetune` takes it."""
        return self._found[max(0, self.box.currentIndex())].name

    def set_choices(self, found: Sequence[Beginning]) -> None:
        """Offer these; what was chosen stays chosen."""
        before = self.name if self._found else SCRATCH
        self._found = list(found)
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([one.title for one in found])
        self.box.blockSignals(False)
        self.choose(before)

    def choose(self, name: str) -> None:
        """Choose by name; one that is not listed is a path, and is added."""
        names = [one.name for one in self._found]
        if name not in names:
            self._found.append(Beginning(name, Path(name).name, _YOURS))
            self.box.addItem(Path(name).name)
            names.append(name)
        self.box.setCurrentIndex(names.index(name))
        self._tell()

    def _choose_file(self) -> None:
        kinds = "Weights (*.safetensors *.pth *.pt)"
        path = ask_file(self, "Open weights", "weights", kinds)
        if path is not None:
            self.choose(str(path))

    def _tell(self) -> None:
        about = self._found[max(0, self.box.currentIndex())].about
        self.about.setText(about)
        self._form.setRowVisible(self.about, bool(about))
