"""The answers for every scan that is open, of this session or saved with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_resonance.export.wording import certainty, percent, title_of
from napari_resonance.viewer.connecting import connect_while_alive
from napari_resonance.viewer.records import Run, record_of

_ROLE = Qt.ItemDataRole.UserRole
_ROWS = 5


class RunList(QTreeWidget):
    """One line an answer, the latest first; there while there is one."""

    wanted = Signal(object, object)
    """The user wants to see an answer again: a layer and its `Run`."""

    filled = Signal(bool)
    """Whether there are answers now."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.setHeaderLabels(["Time", "Scan", "Answer"])
        self.setAccessibleName("Answers")
        self.setToolTip("Click an answer, or press Enter on it, to see it again")
        self.setRootIsDecorated(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._size_columns()
        self.itemClicked.connect(self._on_wanted)
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.renamed):
            connect_while_alive(self, event, self.refresh)
        self.refresh()

    def runs(self) -> list[tuple[Any, Run]]:
        """Return the answers with their layers, the latest first."""
        return sorted(_runs(self._viewer), key=lambda r: r[1].ended, reverse=True)

    def refresh(self, event: Any = None) -> None:
        """List anew what the open scans carry."""
        self.clear()
        for layer, run in self.runs():
            answer = run.prediction
            sure = certainty(answer)
            words = f"{answer.label}  {percent(answer.probability)}"
            # Beside it the scan's name needs room: the tip has all of it.
            short = f"{words}, {sure.split()[0]}"
            texts = [run.ended[11:16], layer.name, short]
            item = QTreeWidgetItem(self, texts)
            item.setData(0, _ROLE, (layer, run))
            facts = [answer.model, _map_of(run), *answer.warnings]
            tip = "\n".join([layer.name, f"{words}, {sure}", *filter(None, facts)])
            for column in range(3):
                item.setToolTip(column, tip)
        n = self.topLevelItemCount()
        self.setVisible(n > 0)
        self.filled.emit(n > 0)
        row = self.sizeHintForRow(0) if n else 0
        header = self.header()
        top = 0 if header is None else header.sizeHint().height()
        frame = 2 * self.frameWidth() + top
        self.setFixedHeight(frame + row * min(max(n, 1), _ROWS) + 2)

    def _size_columns(self) -> None:
        header = self.header()
        if header is not None:
            modes = QHeaderView.ResizeMode
            header.setStretchLastSection(False)
            for n, mode in enumerate(
                (modes.ResizeToContents, modes.Stretch, modes.ResizeToContents)
            ):
                header.setSectionResizeMode(n, mode)

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Show the answer that the keys have gone to."""
        item = self.currentItem()
        if item is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._on_wanted(item)
        else:
            super().keyPressEvent(event)

    def _on_wanted(self, item: QTreeWidgetItem, column: int = 0) -> None:
        self.wanted.emit(*item.data(0, _ROLE))


def _runs(viewer: Any) -> Iterator[tuple[Any, Run]]:
    for layer in viewer.layers:
        record = record_of(layer)
        if record is not None and record.role == "scan":
            for run in record.runs:
                yield layer, run


def _map_of(run: Run) -> str:
    saliency = run.prediction.saliency
    return "" if saliency is None else title_of(saliency)
