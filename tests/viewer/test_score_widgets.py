"""The table of scores and what is decided about its scans, without a window."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPainter
from qtpy.QtWidgets import QStyleOptionViewItem
from support.labelled import write_labelled

from napari_resonance.errors import TrainingError
from napari_resonance.training.label_writer import write_labels
from napari_resonance.training.labels import read_labels
from napari_resonance.viewer.score_model import (
    CALLED,
    DOUBT,
    MODEL,
    PROBABILITY,
    SCAN,
    VERDICT,
    ScoreModel,
)
from napari_resonance.viewer.score_rows import (
    REJECTED,
    ScoreRow,
    cases_of,
    read_verdicts,
    write_verdicts,
)
from napari_resonance.viewer.score_table import ScoreTable
from napari_resonance.viewer.verdict_row import NOTHING_CHOSEN, VerdictRow


def scored(source: str, p: float | None, **changed: Any) -> ScoreRow:
    given = {} if p is None else {"cube": p, "none": 1 - p}
    label = "" if p is None else "cube" if p >= 0.5 else "none"
    fields = {
        "source": source,
        "series": "",
        "model": "m",
        "label": label,
        "probabilities": given,
        "sure": p is not None and max(p, 1 - p) > 0.9,
        "odd": False,
        "problem": "" if p is not None else "it is blank",
    }
    return ScoreRow(**{**fields, **changed})


ROWS = (
    scored("a/one.nii", 0.97),
    scored("a/two.nii", 0.55),
    scored("b/three.nii", None),
    scored("b/four.nii", 0.2, odd=True),
)


@pytest.fixture
def model(qtbot: Any) -> ScoreModel:
    model = ScoreModel()
    model.show_rows(ROWS, {})
    return model


@pytest.fixture
def table(model: ScoreModel, qtbot: Any) -> ScoreTable:
    table = ScoreTable(model)
    qtbot.addWidget(table)
    return table


def names(table: ScoreTable) -> list[str]:
    return [row.source.split("/")[1][:-4] for row in table.shown()]


def test_the_most_doubtful_stand_first(table: ScoreTable) -> None:
    assert names(table) == ["two", "four", "one", "three"]
    table.view.sortByColumn(PROBABILITY, Qt.SortOrder.DescendingOrder)
    assert names(table) == ["one", "four", "two", "three"]
    table.view.sortByColumn(SCAN, Qt.SortOrder.AscendingOrder)
    assert names(table) == ["four", "one", "three", "two"]
    assert ROWS[0].doubt == pytest.approx(0.1944, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("all", ["two", "four", "one", "three"]),
        ("unsure", ["two", "four"]),
        ("odd", ["four"]),
        ("failed", ["three"]),
        ("open", ["four", "three"]),
    ],
)
def test_filters(
    table: ScoreTable, model: ScoreModel, kind: str, found: list[str]
) -> None:
    model.decide(ROWS[:2], None)
    table.kinds.setCurrentIndex(table.kinds.findData(kind))
    assert names(table) == found


def test_one_model_needs_no_column(table: ScoreTable, model: ScoreModel) -> None:
    model.show_rows(ROWS, {})
    assert table.view.isColumnHidden(MODEL)
    model.show_rows([*ROWS, scored("a/one.nii", 0.5, model="other")], {})
    assert not table.view.isColumnHidden(MODEL)


def test_an_operating_point_has_a_column_a_filter_and_the_say(
    table: ScoreTable, model: ScoreModel
) -> None:
    model.show_rows(ROWS, {})
    assert table.view.isColumnHidden(CALLED)
    # The likelier label of two.nii is "cube"; four.nii has none to be called.
    called = {0: "cube", 1: "none", 3: ""}
    rows = [replace(row, called=called.get(n, "")) for n, row in enumerate(ROWS)]
    model.show_rows(rows, {})
    assert not table.view.isColumnHidden(CALLED)
    table.view.sortByColumn(CALLED, Qt.SortOrder.DescendingOrder)
    assert names(table)[:2] == ["two", "one"]
    tip = model.data(model.index(1, CALLED), Qt.ItemDataRole.ToolTipRole)
    assert tip == "a/two.nii\ncube, called none\nNot sure"
    table.kinds.setCurrentIndex(table.kinds.findData("otherwise"))
    assert names(table) == ["two"]
    model.decide(rows, None)
    texts = [model.data(model.index(n, VERDICT)) for n in range(4)]
    assert texts == ["cube", "none", "", "none"]


def test_names_stay_readable_beside_all_other_columns(
    table: ScoreTable, model: ScoreModel
) -> None:
    table.resize(330, 400)
    table.show()
    rows = [*ROWS, scored("a/x\ny.nii", 0.5, model="other", called="cube")]
    model.show_rows(rows, {})
    assert table.view.columnWidth(SCAN) >= 70
    # Of two labels, doubt says nothing that the probability does not.
    assert table.view.isColumnHidden(DOUBT)
    assert model.data(model.index(4, SCAN)) == "x y.nii"
    table.resize(900, 400)
    assert table.view.columnWidth(SCAN) > 300
    model.show_rows(ROWS, {})
    assert not table.view.isColumnHidden(DOUBT)


def test_all_words_are_searched_for(table: ScoreTable) -> None:
    table.search.setText("B BLANK")
    assert names(table) == ["three"]
    table.search.setText("none")
    assert names(table) == ["four"]
    table.search.setText("")
    assert len(names(table)) == 4


def test_clicks_and_keys(table: ScoreTable, qtbot: Any) -> None:
    index = table.filter.index(1, SCAN)
    with qtbot.waitSignal(table.row_clicked) as clicked:
        table.view.clicked.emit(index)
    assert clicked.args == [ROWS[3]]
    table.view.selectRow(0)
    assert table.chosen() == [ROWS[1]]
    for key, number in ((Qt.Key.Key_2, 2), (Qt.Key.Key_0, 0)):
        with qtbot.waitSignal(table.key_pressed) as pressed:
            qtbot.keyClick(table.view, key)
        assert pressed.args == [number]
    with qtbot.waitSignal(table.row_clicked) as clicked:
        table.choose_next()
    assert clicked.args == [ROWS[3]] == table.chosen()


def test_verdicts(model: ScoreModel, qtbot: Any) -> None:
    with qtbot.waitSignal(model.verdicts_changed):
        model.decide(ROWS[:3], None)
    # Nothing was answered that could be accepted.
    assert set(model.verdicts) == {ROWS[0].key, ROWS[1].key}
    model.decide([ROWS[2]], "none")
    model.decide([ROWS[0]], REJECTED)
    texts = [model.data(model.index(n, VERDICT)) for n in range(4)]
    assert texts == [REJECTED, "cube", "none", ""]


def test_probabilities_are_bars(table: ScoreTable, qtbot: Any) -> None:
    table.view.sortByColumn(DOUBT, Qt.SortOrder.DescendingOrder)
    widths = []
    for row in range(4):
        image = QImage(100, 20, QImage.Format.Format_RGB32)
        image.fill(Qt.GlobalColor.white)
        option = QStyleOptionViewItem()
        option.rect = image.rect()
        painter = QPainter(image)
        delegate = table.view.itemDelegateForColumn(PROBABILITY)
        delegate.paint(painter, option, table.filter.index(row, PROBABILITY))
        painter.end()
        line = [image.pixelColor(x, 4) for x in range(100)]
        widths.append(sum(color.blue() > color.red() + 20 for color in line))
    # two .55, four .80, one .97, and three, which has no answer.
    assert widths == pytest.approx([52, 75, 91, 0], abs=3)


def test_buttons_say_why_not(qtbot: Any) -> None:
    row = VerdictRow()
    qtbot.addWidget(row)
    row.set_labels(("cube", "none"))
    assert not row.accept_button.isEnabled()
    assert row.accept_button.toolTip() == NOTHING_CHOSEN
    assert not row.save_button.isEnabled()
    row.offer(chosen=True, decided=True)
    said: list[Any] = []
    row.decided.connect(said.append)
    row.accept_button.click()
    row.reject_button.click()
    row.label_box.activated.emit(2)
    row.label_box.activated.emit(0)
    assert said == [None, REJECTED, "none"]
    with qtbot.waitSignal(row.save_wanted):
        row.save_button.click()


def test_verdicts_outlive_the_window_and_become_labels(tmp_path: Path) -> None:
    table = write_labelled(tmp_path / "studies", 4)
    names = [f"scan0{n}.nii.gz" for n in range(4)]
    files = [(table.parent / name,) for name in names]
    rows = [scored(name, 0.4, files=f) for name, f in zip(names, files, strict=True)]
    verdicts = {rows[n].key: label for n, label in enumerate(("cube", "none", "cube"))}
    verdicts[rows[3].key] = REJECTED
    assert read_verdicts(tmp_path) == {}
    write_verdicts(tmp_path, verdicts)
    assert read_verdicts(tmp_path) == verdicts
    # Two models may have answered about one scan: it is one case.
    twice = [*rows, scored(names[0], 0.9, model="other", files=files[0])]
    cases = cases_of(twice, verdicts)
    written = write_labels(tmp_path / "labels.csv", cases)
    with written.open() as stream:
        found = [(r["path"], r["label"]) for r in csv.DictReader(stream)]
    assert found == [
        ("studies/scan00.nii.gz", "cube"),
        ("studies/scan01.nii.gz", "none"),
        ("studies/scan02.nii.gz", "cube"),
    ]
    assert len(read_labels(written, patients_per_class=0).cases) == 3


def test_a_class_may_be_called_rejected(tmp_path: Path) -> None:
    table = write_labelled(tmp_path / "studies", 2)
    files = [(table.parent / f"scan0{n}.nii.gz",) for n in range(2)]
    rows = [scored(f[0].name, 0.4, files=f) for f in files]
    verdicts = {rows[0].key: "rejected", rows[1].key: REJECTED}
    write_verdicts(tmp_path, verdicts)
    labels = ("rejected", "accepted")
    assert read_verdicts(tmp_path, labels) == verdicts
    assert [case.label for case in cases_of(rows, verdicts)] == ["rejected"]
    # Where no class is called so, an earlier version rejected the scan.
    assert set(read_verdicts(tmp_path, ("cube", "none")).values()) == {REJECTED}


def test_two_verdicts_about_one_scan_are_told(tmp_path: Path) -> None:
    file = (tmp_path / "one.nii",)
    rows = [scored("one.nii", 0.4, files=file, model=name) for name in ("m", "n")]
    verdicts = dict(zip((row.key for row in rows), ("cube", "none"), strict=True))
    with pytest.raises(TrainingError, match=r"one\.nii has two verdicts: 'cube' and"):
        cases_of(rows, verdicts)
    verdicts[rows[1].key] = "cube"
    assert len(cases_of(rows, verdicts)) == 1
