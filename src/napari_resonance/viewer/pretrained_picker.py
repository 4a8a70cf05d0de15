"""Where a training begins: a pretrained network, a model, a file, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_resonance.classifier.catalogue import CATALOGUE
from napari_resonance.classifier.pretrained import is_file_of_weights
from napari_resonance.training.options import AUTO, FinetuneOptions
from napari_resonance.viewer.beginnings import Beginning, automatic
from napari_resonance.viewer.dialogs import ask_file
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.forms import add_field, narrow_box, new_form
from napari_resonance.viewer.option_help import help_of
from napari_resonance.viewer.remedies import MADE_FROM, UNKNOWN

_YOURS = "Weights of your own. Their licence is for you to know."
_HELP = (
    "What the network has learned before it sees your scans. A path may be typed: of a "
    "model, or of a file of weights; FILE#PART is one of several networks in a file"
)


class PretrainedPicker(QWidget):
    """A list of names, with size, licence and place of the one that is chosen.

    Whatever `finetune` takes may be typed instead. Of a file of weights, it is asked
    what they began from.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: list[Beginning] = []
        self.box = narrow_box()
        self.box.setToolTip(_HELP)
        line = QLineEdit()
        line.setAccessibleName("Begin with")
        line.setToolTip(_HELP)
        line.editingFinished.connect(self._take_text)
        self.box.setLineEdit(line)
        self.box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.box.currentIndexChanged.connect(self._tell)
        self.browse = QPushButton("Other…")
        self.browse.setToolTip("Begin with a file of weights (.safetensors, .pth)")
        self.browse.clicked.connect(self._choose_file)
        self.like_box = narrow_box()
        self.like_box.setToolTip(help_of(FinetuneOptions, "like"))
        self.like_box.addItem(UNKNOWN, "")
        for name in CATALOGUE:
            self.like_box.addItem(name, name)
        self.about = plain_label()
        self.about.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.box, 1)
        row.addWidget(self.browse)
        self._form = form = new_form(self)
        add_field(form, "Begin with", row)
        self.box.setAccessibleName("Begin with")
        add_field(form, MADE_FROM, self.like_box)
        add_field(form, "", self.about)
        self.set_choices([automatic()])

    @property
    def name(self) -> str:
        """What is chosen, as `finetune` takes it."""
        self._take_text()  # on macOS a button that is pressed takes no focus
        return self._current.name

    @property
    def _current(self) -> Beginning:
        return self._found[max(0, self.box.currentIndex())]

    @property
    def like(self) -> str:
        """What the weights that are chosen began from; empty if it is not asked."""
        asked = self._form.isRowVisible(self.like_box)
        return str(self.like_box.currentData()) if asked else ""

    def set_choices(self, found: Sequence[Beginning]) -> None:
        """Offer these; what was chosen stays chosen."""
        before = self._current.name if self._found else AUTO
        self._found = list(found)
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([one.title for one in found])
        self.box.blockSignals(False)
        self.choose(before, self.like)

    def choose(self, name: str, like: str = "") -> None:
        """Choose by name; one that is not listed is a path, and is added."""
        names = [one.name for one in self._found]
        if name not in names:
            self._found.append(Beginning(name, Path(name).name, _YOURS))
            self.box.addItem(Path(name).name)
            names.append(name)
        self.box.setCurrentIndex(names.index(name))
        self.like_box.setCurrentIndex(max(0, self.like_box.findData(like)))
        self._tell()

    def _take_text(self) -> None:
        """Choose what was typed: a title of the list, a name, or a path."""
        text = self.box.currentText().strip()
        if text == self._current.title:
            return
        named = [one.name for one in self._found if one.title == text]
        typed = str(Path(text).expanduser()) if text.startswith("~") else text
        self.choose(next(iter(named), typed) or self._current.name)

    def _choose_file(self) -> None:
        kinds = "Weights (*.safetensors *.pth *.pt)"
        path = ask_file(self, "Open weights", "weights", kinds)
        if path is not None:
            self.choose(str(path))

    def _tell(self) -> None:
        chosen = self._current
        self.about.setText(chosen.about)
        self._form.setRowVisible(self.about, bool(chosen.about))
        self._form.setRowVisible(self.like_box, is_file_of_weights(chosen.name))
