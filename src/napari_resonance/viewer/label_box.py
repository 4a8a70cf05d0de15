"""Labels of scans: typed over the canvas, from folders, or from a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_resonance.viewer.class_names import NO_CLASSES, ClassNames
from napari_resonance.viewer.connecting import connect_while_alive
from napari_resonance.viewer.dialogs import ask_file, ask_folder, ask_target
from napari_resonance.viewer.fold import plain_label
from napari_resonance.viewer.label_keys import bind_label_keys
from napari_resonance.viewer.label_model import LabelModel
from napari_resonance.viewer.label_rows import (
    LabelRow,
    balance,
    row_of_scan,
    thumbnail_of,
)
from napari_resonance.viewer.label_table import LabelTable
from napari_resonance.viewer.records import is_scan, record_of
from napari_resonance.viewer.showing import show_only
from napari_resonance.viewer.thumbnail_loader import ThumbnailLoader

_TIPS = {
    "folder": "A folder for each class",
    "table": "A CSV file with path and label",
    "check": "Look for classes with too few scans, and for leaks",
}
SAVE = "A CSV file that resonance finetune takes, too"
NO_LABEL = "No scan has a label yet"
BUSY = "Wait until the work that goes on has ended, or cancel it"


class LabelBox(QWidget):
    """The list of scans, what they are called, and where more labels come from."""

    source_chosen = Signal(object)
    """Labels shall be read from this table or folder (`Path`)."""

    save_wanted = Signal(object)
    """Labels shall be written to this table (`Path`)."""

    check_wanted = Signal()
    """Balance and leaks shall be looked for."""

    open_wanted = Signal(object)
    """A `LabelRow` that is not open shall be shown."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.classes = ClassNames()
        self.model = LabelModel(self)
        self.table = LabelTable(self.model)
        self.thumbnails = ThumbnailLoader(self)
        self.summary = plain_label()
        self.summary.setWordWrap(True)
        self.next_box = QCheckBox("Show the next scan after a label")
        self.next_box.setToolTip("The next open scan that has no label yet")
        self.next_box.setChecked(True)
        self.folder_button = QPushButton("From folders…")
        self.table_button = QPushButton("From a table…")
        self.save_button = QPushButton("Save labels…")
        self.check_button = QPushButton("Check")
        self._idle = True
        self._lay_out()
        self._connect()
        for layer in viewer.layers:
            self._add_layer(layer)
        self.set_idle(True)

    def add_rows(self, rows: list[LabelRow]) -> None:
        """List scans; their labels become classes."""
        new = self.model.add(rows)
        self.classes.add(sorted({row.case.label for row in rows} - {""}))
        self.thumbnails.add(new, thumbnail_of)

    def set_idle(self, idle: bool) -> None:
        """Offer what reads or checks labels, or not while other work goes on."""
        for button, tip in _TIPS.items():
            widget = getattr(self, f"{button}_button")
            widget.setEnabled(idle)
            widget.setToolTip(tip if idle else BUSY)
        self._idle = idle
        self._tell()

    def label_layer(self, number: int, layer: Any) -> None:
        """Give the scan of a layer the class of a key, and go on to the next."""
        record = record_of(layer)
        rows = [
            row
            for row in self.model.rows
            if record is not None
            and (shown := record_of(row.shown_layer())) is not None
            and shown.scan is record.scan
        ]
        self._label(rows, number)
        if rows and self.classes.name_of_key(number) and self.next_box.isChecked():
            self._show_next()

    def _label(self, rows: list[LabelRow], number: int) -> None:
        name = self.classes.name_of_key(number)
        rows = [row for row in rows if not row.problem]
        if not name:
            self._viewer.status = f"Key {number} has no class yet: {NO_CLASSES}"
        elif rows:
            self.model.set_label(rows, name)
            self.table.choose(rows[0])
            self._viewer.status = f"{rows[0].title}: {name}"

    def _show_next(self) -> None:
        for row in self.model.rows:
            layer = row.shown_layer()
            if layer is not None and not row.case.label and not row.problem:
                show_only(self._viewer, layer)
                return

    def _show(self, row: LabelRow) -> None:
        layer = row.shown_layer()
        if layer is not None and layer in self._viewer.layers:
            show_only(self._viewer, layer)
        else:
            self.open_wanted.emit(row)

    def _add_layer(self, layer: Any) -> None:
        record = record_of(layer)
        if record is not None and is_scan(layer):
            self.add_rows([row_of_scan(record.scan, layer)])

    def _remove_layer(self, layer: Any) -> None:
        gone = [row for row in self.model.rows if row.shown_layer() is layer]
        for row in gone:
            row.layer = None
        # What has a label stays: closing a scan is no change of mind.
        self.model.remove(row for row in gone if not row.case.label)

    def _lay_out(self) -> None:
        buttons = QGridLayout()
        for n, button in enumerate(
            (self.folder_button, self.table_button, self.save_button, self.check_button)
        ):
            buttons.addWidget(button, n // 2, n % 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.classes)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.summary)
        layout.addWidget(self.next_box)
        layout.addLayout(buttons)

    def _connect(self) -> None:
        self.model.changed.connect(self._tell)
        self.thumbnails.ready.connect(self.model.show_picture)
        self.table.key_pressed.connect(lambda n: self._label(self.table.chosen(), n))
        self.table.show_wanted.connect(self._show)
        self.folder_button.clicked.connect(self._choose_folder)
        self.table_button.clicked.connect(self._choose_table)
        self.save_button.clicked.connect(self._choose_target)
        self.check_button.clicked.connect(self.check_wanted)
        bind_label_keys(self._viewer, self, self.label_layer)
        events = self._viewer.layers.events
        add, remove = self._add_layer, self._remove_layer
        connect_while_alive(self, events.inserted, lambda e: add(e.value))
        connect_while_alive(self, events.removed, lambda e: remove(e.value))

    def _choose_folder(self) -> None:
        title = "Open a folder with a folder for each class"
        self._emit(self.source_chosen, ask_folder(self, title, "labels"))

    def _choose_table(self) -> None:
        title, kinds = "Open a table of labels", "Tables (*.csv *.tsv *.txt)"
        self._emit(self.source_chosen, ask_file(self, title, "labels", kinds))

    def _choose_target(self) -> None:
        path = ask_target(self, "Save the labels", "labels", ".csv", "labels.csv")
        self._emit(self.save_wanted, path)

    def _emit(self, signal: Any, path: Path | None) -> None:
        if path is not None:
            signal.emit(path)

    def _tell(self) -> None:
        self.summary.setText(balance(self.model.rows))
        labelled = any(row.case.label for row in self.model.rows)
        self.save_button.setEnabled(labelled)
        self.save_button.setToolTip(SAVE if labelled else NO_LABEL)
        self.check_button.setEnabled(labelled and self._idle)
        if self._idle:
            tip = _TIPS["check"] if labelled else NO_LABEL
            self.check_button.setToolTip(tip)
