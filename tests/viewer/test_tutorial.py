"""The tutorial of the window is done step by step, in a window, as it is written.

Steps stand in the page as comments, ``<!-- step ... -->``, below the sentences they are
about; what a reader is told to press has to be there, under that name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QComboBox, QFileDialog, QPushButton
from support.panels import TIMEOUT, wait_for_threads

from napari_resonance.samples import sample_path
from napari_resonance.viewer import commands
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.records import record_of

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "from-a-folder-to-a-result.md"
STEP = re.compile(r"^<!-- step\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\*\*(.+?)\*\*")

# Words of an answer, not of a button.
ANSWERS = {"Sure", "Unsure", "Go on"}

OPENERS = {
    "Classify": commands.panel_of,
    "Series": commands.series_panel_of,
    "Score": commands.score_panel_of,
}


class Hands:
    """What a reader does with the window."""

    def __init__(self, viewer: Any, qtbot: Any, monkeypatch: Any) -> None:
        self.viewer, self.panel, self.used = viewer, None, set()
        self._qtbot, self._patch = qtbot, monkeypatch

    def open_panel(self, name: str) -> Any:
        self.panel = OPENERS[name](self.viewer)
        self.wait(lambda: not self._busy())
        return self.panel

    def wait(self, condition: Callable[[], bool]) -> None:
        self._qtbot.waitUntil(lambda: condition() and not self._busy(), timeout=TIMEOUT)

    def press(self, text: str) -> None:
        (button,) = self.exists(text)
        assert button.isEnabled(), f"{text}: {button.toolTip()}"
        button.click()
        self.wait(lambda: True)

    def exists(self, text: str) -> list[Any]:
        self.used.add(text)
        kinds = {QPushButton: lambda w: w.text(), QComboBox: lambda w: w.itemText(0)}
        found = [
            widget
            for kind, text_of in kinds.items()
            for widget in self.panel.findChildren(kind)
            if widget.isVisibleTo(self.panel) and text_of(widget) == text
        ]
        assert found, f"nothing in the {type(self.panel).__name__} is called {text!r}"
        return found

    def choose(self, folder: Path) -> None:
        answer = str(folder)
        self._patch.setattr(QFileDialog, "getExistingDirectory", lambda *_: answer)

    def choose_files(self, *files: Path) -> None:
        answer = ([str(file) for file in files], "")
        self._patch.setattr(QFileDialog, "getOpenFileNames", lambda *_: answer)

    def choose_target(self, file: Path) -> None:
        answer = (str(file), "")
        self._patch.setattr(QFileDialog, "getSaveFileName", lambda *_: answer)

    def choose_entry(self, box: Any, text: str) -> None:
        index = box.findText(text)
        assert index >= 0
        box.setCurrentIndex(index)
        box.activated.emit(index)

    def click_row(self, row: Any) -> None:
        table = self.panel.review.table
        at = [shown.key for shown in table.shown()].index(row.key)
        table.view.selectRow(at)
        table.view.clicked.emit(table.filter.index(at, 0))
        self.wait(lambda: True)

    def shown_record(self) -> Any:
        return record_of(self.panel.scan_picker.layer)

    def badge(self) -> str:
        return str(self.panel.view.result.badge.text())

    def badge_of_canvas(self) -> str:
        text = self.viewer.canvas.overlays["resonance_answer"].text
        return str(text).split("\n")[1] if "\n" in text else ""

    def clipboard(self) -> str:
        return QGuiApplication.clipboard().text()

    def _busy(self) -> bool:
        return any(runner.is_busy for runner in self.panel.findChildren(JobRunner))


def test_the_tutorial_does_what_it_says(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = PAGE.read_text("utf-8")
    hands = Hands(viewer, qtbot, monkeypatch)
    names = [name for name in dir(hands) if not name.startswith("_")]
    namespace = {name: getattr(hands, name) for name in names}
    namespace |= {"folder": sample_path(), "results": tmp_path / "results"}
    steps = STEP.findall(page)
    assert len(steps) > 8
    for number, code in enumerate(steps, start=1):
        exec(compile(code, f"{PAGE.name}, step {number}", "exec"), namespace)
    wait_for_threads(qtbot)
    # What the text names is what was pressed.
    assert set(NAMED.findall(page)) - ANSWERS == hands.used
