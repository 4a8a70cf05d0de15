"""All that can be pressed has a name and a tip, and says why if it cannot be."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QScrollBar,
    QTabBar,
    QWidget,
)
from superqt import QCollapsible
from support.panels import add_phantom, wait_for_threads, wait_idle

from napari_resonance.viewer import commands, run_row
from napari_resonance.viewer.run_row import RunRow

KINDS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
)


def controls(panel: QWidget) -> list[Any]:
    """Return what takes keys in a panel, the parts of Qt's own widgets left out."""
    found = []
    for widget in panel.findChildren(QWidget):
        parent = widget.parentWidget()
        own = not isinstance(parent, (QTabBar, QCollapsible, QAbstractSpinBox))
        listed = isinstance(parent, QWidget) and parent.parent() is not None
        popup = listed and isinstance(parent.parentWidget(), QComboBox)
        takes_keys = widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        wanted = isinstance(widget, KINDS) and not isinstance(widget, QScrollBar)
        if wanted and own and not popup and takes_keys:
            found.append(widget)
    return found


def name_of(widget: Any) -> str:
    text = widget.text() if isinstance(widget, QAbstractButton) else ""
    return widget.accessibleName() or text


def test_every_control_has_a_name_and_a_tip(viewer: Any, qtbot: Any) -> None:
    for opened in (
        commands.panel_of,
        commands.series_panel_of,
        commands.finetune_panel_of,
        commands.score_panel_of,
    ):
        panel = opened(viewer)
        wait_for_threads(qtbot)
        found = controls(panel)
        assert len(found) > 4
        for widget in found:
            where = f"{type(panel).__name__}: {type(widget).__name__} {name_of(widget)}"
            assert name_of(widget), where
            assert widget.toolTip() or widget.isHidden(), where


def test_names_from_files_are_shown_as_they_are(viewer: Any, qtbot: Any) -> None:
    # Rich text would swallow a class such as "<low>", and draw what a file asks for.
    finetune = commands.finetune_panel_of(viewer)
    panels = (commands.panel_of(viewer), finetune, commands.score_panel_of(viewer))
    wait_for_threads(qtbot)
    for panel in (*panels, commands.series_panel_of(viewer)):
        for label in panel.findChildren(QLabel):
            if type(label) is QLabel:
                assert label.textFormat() == Qt.TextFormat.PlainText, label.text()
    finetune.labels.classes.line.setText("<low>, <b>high</b>")
    assert finetune.labels.classes.keys.text() == "Keys: 1 <low> · 2 <b>high</b>"


def test_a_button_says_why_it_cannot_be_pressed(qtbot: Any) -> None:
    row = RunRow("Classify", "Classify the scan", several="All")
    qtbot.addWidget(row)
    row.offer_several(3)
    tips = {b: b.toolTip() for b in (row.run_button, row.several_button)}
    assert row.cancel_button.toolTip() == run_row.IDLE
    row.set_busy(True)
    for button in tips:
        assert (button.isEnabled(), button.toolTip()) == (False, run_row.BUSY)
    assert row.cancel_button.toolTip() == run_row.CANCEL
    row.set_busy(False)
    assert {b: b.toolTip() for b in tips} == tips
    row.offer("Classify", "This scan is CT.", possible=False)
    assert row.run_button.toolTip() == "This scan is CT."


def test_keys_alone_are_enough_to_classify(
    make_viewer: Any, qtbot: Any, bundle: Any
) -> None:
    from napari_resonance.classifier.bundle import load_bundle

    viewer = make_viewer(show=True)
    panel = commands.panel_of(viewer)
    qtbot.waitUntil(lambda: not panel.model_search.is_busy)
    add_phantom(viewer)
    panel.model_picker.add_model(load_bundle(bundle))
    panel.scan_picker.box.setFocus()
    for _ in range(40):
        if panel.run_row.run_button.hasFocus():
            break
        qtbot.keyClick(panel.window().focusWidget(), Qt.Key.Key_Tab)
    qtbot.keyClick(panel.run_row.run_button, Qt.Key.Key_Space)
    wait_idle(panel, qtbot)
    assert panel.view.result.isVisible()
    wait_for_threads(qtbot)
