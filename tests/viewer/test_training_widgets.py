"""The small parts of a training in the window, one by one."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from qtpy.QtCore import QRectF, Qt
from qtpy.QtWidgets import QFileDialog, QLabel, QWidget

from napari_resonance.classifier.catalogue import CATALOGUE
from napari_resonance.errors import CancelledError
from napari_resonance.progress import no_progress
from napari_resonance.training.checking import LabelCheck
from napari_resonance.training.epochs import Epoch
from napari_resonance.training.options import COLOR, PRESETS, UNFREEZE, FinetuneOptions
from napari_resonance.viewer.beginnings import Beginning, find_beginnings
from napari_resonance.viewer.curve_view import CurveView
from napari_resonance.viewer.dock_end import DockEnd
from napari_resonance.viewer.finetune_result import FinetuneResultView
from napari_resonance.viewer.finetuning import findings
from napari_resonance.viewer.option_help import help_of
from napari_resonance.viewer.pace import Pace, duration
from napari_resonance.viewer.pretrained_picker import PretrainedPicker
from napari_resonance.viewer.relay import Relay
from napari_resonance.viewer.scroll_column import ScrollColumn
from napari_resonance.viewer.train_row import FINISH, TRAIN, TrainRow
from napari_resonance.viewer.training_form import TrainingForm
from napari_resonance.viewer.turns import Turns


def epoch(number: int, title: str = "", **figures: float) -> Epoch:
    return Epoch(number, 10, title, figures)


def test_a_relay_carries_values_to_the_window(qtbot: Any) -> None:
    got: list[tuple[Any, bool]] = []
    here = threading.get_ident()
    widget = QWidget()
    qtbot.addWidget(widget)
    relay = Relay(lambda v: got.append((v, threading.get_ident() == here)), widget)
    thread = threading.Thread(target=lambda: [relay.send(n) for n in range(3)])
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: got == [(0, True), (1, True), (2, True)])
    relay.send(3)
    relay.close()
    qtbot.wait(20)
    assert len(got) == 3


def test_the_pace_tells_the_time_that_is_left() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.seconds_left(0, 10, "epoch 1 of 5, loss 0.7") is None
    now[0] = 4.0
    assert pace.seconds_left(2, 10, "epoch 2 of 5, loss 0.6") == pytest.approx(16)
    # Another kind of work begins anew.
    assert pace.seconds_left(3, 10, "judging") is None
    now[0] = 5.0
    assert pace.seconds_left(4, 10, "judging") is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "less than a minute"),
        (170, "about 3 min"),
        (7300, "about 2 h"),
        (200000, "about 2 days"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_work_waits_for_its_turn() -> None:
    turns = Turns()
    said: list[str] = []
    go_on, order = threading.Event(), []

    def first(progress: Any, should_stop: Any) -> None:
        go_on.wait(10)
        order.append("first")

    def second(progress: Any, should_stop: Any) -> str:
        order.append("second")
        return "result"

    thread = threading.Thread(target=turns.taking(first), args=(no_progress, bool))
    thread.start()
    with pytest.raises(CancelledError):
        turns.taking(second)(no_progress, lambda: True)

    def tell(done: int, total: int, text: str) -> None:
        said.append(text)
        go_on.set()

    assert turns.taking(second)(tell, lambda: False) == "result"
    thread.join()
    assert order == ["first", "second"]
    assert said[0] == "waiting for the cancelled work to end"


def test_curves_are_drawn_where_their_values_are(qtbot: Any) -> None:
    curves = CurveView()
    qtbot.addWidget(curves)
    assert curves.isHidden()
    curves.add(epoch(1, training_loss=2.0, validation_auroc=0.5))
    curves.add(epoch(2, training_loss=1.0, validation_auroc=0.75))
    curves.add(epoch(3, training_loss=float("nan"), validation_auroc=1.0))
    area = QRectF(0, 0, 90, 100)
    loss = [(p.x(), p.y()) for p in curves.points("training_loss", area)]
    assert loss == [(0, 0), (10, 50)]
    auroc = [(p.x(), p.y()) for p in curves.points("validation_auroc", area)]
    assert auroc == [(0, 50), (10, 25), (20, 0)]
    assert curves.text().startswith("epoch 3 of 10: ")
    assert "Validation AUROC 1.000" in curves.accessibleDescription()
    curves.resize(300, 200)
    assert not curves.grab().isNull()


def test_curves_of_another_training_begin_anew(qtbot: Any) -> None:
    curves = CurveView()
    qtbot.addWidget(curves)
    for n in (1, 2):
        curves.add(epoch(n, "fold 1 of 2", training_loss=1.0))
    curves.add(epoch(1, "fold 2 of 2", training_loss=1.0))
    assert [e.number for e in curves.epochs] == [1]
    assert curves.text().startswith("fold 2 of 2, epoch 1")
    curves.clear()
    assert curves.isHidden()
    assert curves.text() == ""


def test_pretrained_networks_are_listed_with_what_counts(qtbot: Any) -> None:
    picker = PretrainedPicker()
    qtbot.addWidget(picker)
    assert picker.name == "auto"
    found = find_beginnings(no_progress, lambda: False)
    picker.set_choices(found)
    assert picker.name == "auto"
    assert {one.name for one in found} >= {"auto", "none", "mr-sequence", *CATALOGUE}
    picker.choose("medicalnet-18")
    assert picker.name == "medicalnet-18"
    entry = CATALOGUE["medicalnet-18"]
    for fact in (entry.licence, f"{entry.megabytes} MB", entry.training_data):
        assert fact in picker.about.text()


def test_weights_of_ones_own(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    picker = PretrainedPicker()
    qtbot.addWidget(picker)
    answers = ["", "/weights/mine.safetensors"]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (answers.pop(0), ""))
    picker.browse.click()
    assert picker.name == "auto"
    picker.browse.click()
    assert picker.name == "/weights/mine.safetensors"
    picker.set_choices([Beginning("none", "From scratch", "")])
    assert picker.name == "/weights/mine.safetensors"


def test_any_name_of_weights_can_be_typed(qtbot: Any) -> None:
    picker = PretrainedPicker()
    qtbot.addWidget(picker)
    picker.set_choices(find_beginnings(no_progress, lambda: False))

    def typed(text: str) -> str:
        picker.box.lineEdit().selectAll()
        qtbot.keyClicks(picker.box.lineEdit(), text)
        qtbot.keyClick(picker.box.lineEdit(), Qt.Key.Key_Return)
        return picker.name

    assert typed("/weights/moco.pth#encoder_q") == "/weights/moco.pth#encoder_q"
    assert picker.box.currentText() == "moco.pth#encoder_q"
    # What a file began from is not told by its weights.
    assert not picker.like_box.isHidden()
    assert picker.like == ""
    picker.like_box.setCurrentText("medicalnet-18")
    assert picker.like == "medicalnet-18"
    assert typed("medicalnet-34") == "medicalnet-34"
    assert picker.like_box.isHidden()
    assert picker.like == ""
    assert typed("From scratch") == "none"
    assert typed("~/models/mine") == str(Path.home() / "models" / "mine")
    picker.box.lineEdit().clear()
    assert picker.name == str(Path.home() / "models" / "mine")
    # Pressed at once, a button takes what was typed last.
    picker.box.lineEdit().selectAll()
    qtbot.keyClicks(picker.box.lineEdit(), "x.pth")
    assert picker.name == "x.pth"
    picker.choose("/weights/mine.pth", "imagenet-50")
    assert (picker.name, picker.like) == ("/weights/mine.pth", "imagenet-50")


def test_the_form_gives_the_options_of_the_core(qtbot: Any, tmp_path: Path) -> None:
    form = TrainingForm()
    qtbot.addWidget(form)
    assert form.options() == FinetuneOptions()
    assert not form.out.exists()
    boxes = [form.preset, form.unfreeze, form.color]
    values = [[box.itemData(n) for n in range(box.count())] for box in boxes]
    assert values == [list(PRESETS), list(UNFREEZE), list(COLOR)]
    form.preset.setCurrentIndex(0)
    form.folds.setCurrentIndex(1)
    form.color.setCurrentIndex(1)
    form.mirror.setChecked(True)
    form.task.setText("Benign or not?")
    wanted = FinetuneOptions(
        preset="quick", folds=5, flip="x", color="keep", task="Benign or not?"
    )
    assert form.options() == wanted
    form.show_options(FinetuneOptions())
    assert form.options() == FinetuneOptions()
    form.show_options(wanted)
    assert form.options() == wanted
    assert form.taken.isHidden()
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").touch()
    with qtbot.waitSignal(form.place_changed):
        form.place.setText(str(tmp_path))
    assert not form.taken.isHidden()


def test_help_comes_from_the_core() -> None:
    assert help_of(FinetuneOptions, "task") == (
        "The question that the model answers, for its card"
    )
    for name in FinetuneOptions.__dataclass_fields__:
        assert help_of(FinetuneOptions, name)
    with pytest.raises(KeyError):
        help_of(FinetuneOptions, "colour")


def test_the_buttons_of_a_training_say_why_not(qtbot: Any) -> None:
    row = TrainRow()
    qtbot.addWidget(row)
    row.offer("Label scans first.", interrupted=False)
    button = row.run_row.run_button
    assert (button.isEnabled(), button.toolTip()) == (False, "Label scans first.")
    assert not row.wants_resume
    row.offer("", interrupted=True)
    assert (button.isEnabled(), button.toolTip()) == (True, TRAIN)
    assert row.wants_resume
    row.offer_finish(True, "Not yet.")
    finish = row.finish_button
    assert (finish.isEnabled(), finish.toolTip()) == (False, "Not yet.")
    row.offer_finish(True, "")
    assert (finish.isEnabled(), finish.toolTip()) == (True, FINISH)
    row.show_progress(3, 9, "epoch 1 of 3, loss 0.4, validation AUROC 0.7")
    assert row.run_row.text.text() == "Epoch 1 of 3…"


def test_a_result_is_told_with_its_intervals(qtbot: Any) -> None:
    view = FinetuneResultView()
    qtbot.addWidget(view)
    assert view.isHidden()
    result = SimpleNamespace(
        bundle=SimpleNamespace(
            card=SimpleNamespace(name="lumps", labels=("no", "yes"))
        ),
        metrics={
            "auroc": {"value": 0.912, "low": 0.801, "high": 0.98},
            "accuracy": {"value": 0.8, "low": None, "high": None},
            "sensitivity": {"value": 1.0, "low": 0.4, "high": None},
            "ece": {"value": 0.1, "low": 0.0, "high": 0.2},
        },
        notes=("the weights are those of epoch 3",),
        report=None,
    )
    view.show_result(result)
    assert view.figures.text().splitlines() == [
        "lumps is trained.",
        "AUROC 0.91 (95 % interval 0.80 to 0.98)",
        "Accuracy 0.80",
        "Sensitivity for yes 1.00",
    ]
    assert view.notes.text() == "Note: the weights are those of epoch 3."
    assert not view.report_button.isEnabled()
    with qtbot.waitSignal(view.use_wanted):
        view.use_button.click()


def test_findings_name_leaks_first() -> None:
    counts = {"train": {"a": 2, "b": 1}, "validation": {"a": 1}, "test": {"b": 1}}
    leaks = tuple(f"{n} and {n + 1} show the same picture" for n in range(6))
    found = LabelCheck(counts, {}, 3, leaks, (("x.nii", "it is blank"),), ("odd",))
    text, is_fine = findings(found)
    assert not is_fine
    assert text.startswith("3 patients: 3 scans to learn from (a: 2, b: 1); ")
    assert "· 0 and 1 show the same picture" in text
    assert "and 2 more" in text
    assert "· x.nii: it is blank" in text
    assert text.endswith("Note: odd.")
    clean = LabelCheck(counts, {}, 3, (), (), ())
    assert findings(clean)[1]


def test_a_panel_ends_with_its_dock(qtbot: Any) -> None:
    dock, panel, stopped, gone = QWidget(), QWidget(), [], []
    qtbot.addWidget(dock)
    panel.setParent(dock)
    DockEnd(panel, lambda: stopped.append(1))
    panel.destroyed.connect(lambda: gone.append(1))
    panel.setParent(QWidget(dock))
    assert not stopped
    panel.setParent(None)
    assert stopped == [1]
    qtbot.waitUntil(lambda: gone == [1])


def test_a_column_scrolls_to_what_is_wanted(qtbot: Any) -> None:
    first, last = QLabel("first"), QLabel("last")
    first.setMinimumHeight(500)
    column = ScrollColumn(first, last)
    qtbot.addWidget(column)
    column.resize(200, 100)
    column.show()
    bar = column.verticalScrollBar()
    assert bar.value() == 0
    column.bring(last)
    qtbot.waitUntil(lambda: bar.value() > 300)
