"""Classes, list and table of labelled scans, without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from support.phantoms import phantom, write_dicom_series

from napari_resonance.errors import TrainingError
from napari_resonance.reading import read_scan
from napari_resonance.training.cases import Case, LabelledSet
from napari_resonance.viewer.class_names import NO_CLASSES, ClassNames, classes_by_key
from napari_resonance.viewer.label_model import (
    LABEL,
    PATIENT,
    SCAN,
    SIDE,
    LabelModel,
)
from napari_resonance.viewer.label_rows import (
    LabelRow,
    balance,
    labelled_cases,
    labelled_set,
    row_of_scan,
    rows_of,
    thumbnail_of,
)
from napari_resonance.viewer.label_table import LabelTable
from napari_resonance.viewer.thumbnails import Thumbnail


class Layer:
    """Stands for a layer; of ours where it has a record."""


def row(name: str, label: str = "", patient: str = "") -> LabelRow:
    return LabelRow(name, Case((Path(name),), label, patient, source=name))


@pytest.fixture
def model(qtbot: Any) -> LabelModel:
    model = LabelModel()
    model.add([row("a.nii", "x"), row("b.nii"), row("c.nii", "y")])
    return model


def cell(model: LabelModel, at: int, column: int, role: Any = None) -> Any:
    role = Qt.ItemDataRole.DisplayRole if role is None else role
    return model.data(model.index(at, column), role)


def test_classes_have_keys_in_their_order(qtbot: Any) -> None:
    classes = ClassNames()
    qtbot.addWidget(classes)
    assert classes.keys.text() == NO_CLASSES
    with qtbot.waitSignal(classes.changed):
        classes.line.setText(" benign, malignant ,, benign")
    assert classes.names == ("benign", "malignant")
    assert classes.keys.text() == "Keys: 1 benign · 2 malignant"
    assert [classes.name_of_key(n) for n in (1, 2, 3)] == ["benign", "malignant", ""]
    classes.add(["malignant", "other"])
    assert classes.line.text() == "benign, malignant, other"


@pytest.mark.parametrize(
    ("names", "keys", "told"),
    [
        # In their order, key 1 would give the label 0.
        ("0, 1", {0: "0", 1: "1"}, "Keys: 0 · 1"),
        ("3, 1, 2", {1: "1", 2: "2", 3: "3"}, "Keys: 1 · 2 · 3"),
        ("none, 1, ²", {1: "1", 2: "none", 3: "²"}, "Keys: 1 · 2 none · 3 ²"),
    ],
)
def test_a_class_named_by_a_digit_has_its_key(
    qtbot: Any, names: str, keys: dict[int, str], told: str
) -> None:
    classes = ClassNames()
    qtbot.addWidget(classes)
    classes.line.setText(names)
    found = {n: classes.name_of_key(n) for n in range(10)}
    assert {n: name for n, name in found.items() if name} == keys
    assert classes.keys.text() == told
    # Where 0 means something else, the class 0 has another key.
    kept = {n: name for n, name in keys.items() if n}
    if kept != keys:
        kept[2] = "0"
    assert classes_by_key(classes.names, least=1) == kept


def test_a_comma_may_be_part_of_a_name(qtbot: Any) -> None:
    classes = ClassNames()
    qtbot.addWidget(classes)
    names = ("cancer, grade 2", 'the "other", too', '"quoted"', '5" lesion', "plain")
    classes.add(names)
    assert classes.names == names
    classes.add([*names, "new"])
    assert classes.names == (*names, "new")


def test_a_scan_is_listed_once(model: LabelModel) -> None:
    new = model.add([row("b.nii", "z"), row("d.nii")])
    assert [r.title for r in new] == ["d.nii"]
    assert [r.case.label for r in model.rows] == ["x", "z", "y", ""]


def test_a_folder_stands_for_the_scan_in_it(tmp_path: Path, qtbot: Any) -> None:
    folder = write_dicom_series(phantom("oblique")[0], tmp_path / "one")
    folder = tmp_path / "one"
    scan, layer = read_scan(folder), Layer()
    model = LabelModel()
    model.add([LabelRow("one", Case((folder,), "x", ""))])
    assert model.add([row_of_scan(scan, layer)]) == []
    (only,) = model.rows
    assert only.case.label == "x"
    assert only.shown_layer() is layer


def test_labels_and_patients_are_typed(model: LabelModel, qtbot: Any) -> None:
    with qtbot.waitSignals([model.changed, model.dataChanged]):
        assert model.setData(model.index(1, LABEL), " y ")
    assert model.setData(model.index(1, PATIENT), "p1")
    assert not model.setData(model.index(1, SCAN), "other")
    assert not model.setData(model.index(1, SIDE), "test")
    assert (cell(model, 1, LABEL), cell(model, 1, PATIENT)) == ("y", "p1")
    assert balance(model.rows) == "3 scans of 3 labelled: x 1, y 2."
    editable = Qt.ItemFlag.ItemIsEditable
    flags = [bool(model.flags(model.index(0, c)) & editable) for c in range(4)]
    assert flags == [False, True, True, False]


def test_a_label_makes_the_side_unknown(model: LabelModel) -> None:
    model.show_sides({model.rows[0]: "train", model.rows[2]: "test"})
    assert [cell(model, n, SIDE) for n in range(3)] == ["train", "", "test"]
    model.set_label([model.rows[0]], "y")
    assert [cell(model, n, SIDE) for n in range(3)] == ["", "", "test"]


def test_pictures_come_to_their_rows(model: LabelModel) -> None:
    icon = Qt.ItemDataRole.DecorationRole
    pixels = np.full((30, 60, 3), 200, np.uint8)
    model.show_picture(model.rows[1], Thumbnail(pixels))
    model.show_picture(model.rows[2], Thumbnail(None, "No picture: damaged."))
    model.show_picture(row("gone.nii"), Thumbnail(pixels))
    middle = [
        cell(model, n, SCAN, icon).pixmap(72, 72).toImage().pixelColor(36, 36).red()
        for n in range(3)
    ]
    assert middle == [0, 200, 0]
    assert "damaged" in cell(model, 2, SCAN, Qt.ItemDataRole.ToolTipRole)


def test_digits_and_enter_in_the_table(model: LabelModel, qtbot: Any) -> None:
    table = LabelTable(model)
    qtbot.addWidget(table)
    table.choose(model.rows[1])
    assert [r.title for r in table.chosen()] == ["b.nii"]
    with qtbot.waitSignal(table.key_pressed) as pressed:
        qtbot.keyClick(table, Qt.Key.Key_2)
    assert pressed.args == [2]
    with qtbot.waitSignal(table.show_wanted) as shown:
        qtbot.keyClick(table, Qt.Key.Key_Return)
    assert shown.args == [model.rows[1]]
    with qtbot.waitSignal(table.key_pressed) as pressed:
        qtbot.keyClick(table, Qt.Key.Key_0)
    assert pressed.args == [0]


def test_patients_are_told_by_files_where_nobody_typed_them(tmp_path: Path) -> None:
    layers, rows = [], []
    for n, patient in enumerate(("A", "A", "B")):
        folder = tmp_path / str(n)
        write_dicom_series(phantom("oblique")[0], folder, PatientID=patient)
        layers.append(Layer())
        rows.append(row_of_scan(read_scan(folder), layers[-1]))
        rows[-1].name("x")
    model = LabelModel()
    model.add(rows)
    model.setData(model.index(2, PATIENT), "typed")
    found = labelled_set(list(labelled_cases(rows).values()))
    patients = [case.patient for case in found.cases]
    assert patients[0] == patients[1] != patients[2] == "typed"
    assert "A" not in patients
    assert [case.source for case in found.cases][2].startswith("2/")
    with pytest.raises(TrainingError, match="no scan has a label yet"):
        labelled_set([])


def test_only_typed_patients_are_shown(tmp_path: Path) -> None:
    case = Case((tmp_path / "Doe_John" / "t1.nii",), "x", "Doe_John", "train")
    case = Case(case.paths, "x", "p", "train", source="Doe_John/t1.nii")
    (by_folder,) = rows_of(LabelledSet((case,), ("x",), "folder"))
    (typed,) = rows_of(LabelledSet((case,), ("x",), "column"))
    assert by_folder.title == "t1.nii"
    assert (by_folder.case.patient, typed.case.patient) == ("", "p")
    assert by_folder.side == "train"


def test_a_picture_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"nothing")
    made = thumbnail_of(row(str(tmp_path / "a.nii")), lambda: False)
    assert made.pixels is None
    assert made.problem.startswith("No picture: ")


def test_sides_take_room_only_once_there_are_some(qtbot: Any) -> None:
    model = LabelModel()
    table = LabelTable(model)
    qtbot.addWidget(table)
    (row,) = model.add([LabelRow("a", Case((Path("a.nii"),), "x", "p"))])
    assert table.isColumnHidden(SIDE)
    model.show_sides({row: "train"})
    assert not table.isColumnHidden(SIDE)
    model.set_label([row], "y")
    assert table.isColumnHidden(SIDE)
