"""The list of what was found: studies, their scans with pictures, and what is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_resonance.viewer.pictures import blank_icon, icon_of
from napari_resonance.viewer.survey import Series, Study, Survey
from napari_resonance.viewer.thumbnails import SIDE, Thumbnail

_ROLE = Qt.ItemDataRole.UserRole

# More names of files than anybody reads only keep the window busy.
_LISTED_FILES = 100


class SeriesTree(QTreeWidget):
    """Shows a survey; one or several scans can be chosen."""

    chosen_changed = Signal()
    """Other scans are chosen."""

    open_wanted = Signal()
    """The user double-clicked a scan, or pressed Enter."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._items: dict[Series, QTreeWidgetItem] = {}
        self._studies: list[tuple[Study, QTreeWidgetItem]] = []
        self.setHeaderHidden(True)
        self.setAccessibleName("Scans that were found")
        self.setIndentation(10)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.itemSelectionChanged.connect(self.chosen_changed)
        self.itemActivated.connect(self._on_activated)

    def show_survey(self, survey: Survey) -> None:
        """List what was found."""
        self.clear()
        self._items, self._studies = {}, []
        for study in survey.studies:
            branch = QTreeWidgetItem(self, [study.title])
            self._studies.append((study, branch))
            for series in study.series:
                self._items[series] = _series_item(branch, series)
            branch.setExpanded(True)
        if survey.skipped:
            _list_skipped(self, survey.skipped)

    def chosen(self) -> list[Series]:
        """Return the scans that are chosen, all of a study where that is chosen."""
        wanted: dict[Series, None] = {}
        for item in self.selectedItems():
            parts = [item, *(item.child(n) for n in range(item.childCount()))]
            found = (part.data(0, _ROLE) for part in parts if part is not None)
            wanted |= dict.fromkeys(s for s in found if isinstance(s, Series))
        return [series for series in self._items if series in wanted]

    def choose(self, series: Series) -> None:
        """Choose one scan."""
        self.setCurrentItem(self._items[series])

    def show_picture(self, series: Series, thumbnail: Thumbnail) -> None:
        """Put the picture of a scan beside it."""
        item = self._items.get(series)
        if item is None:
            return
        if thumbnail.pixels is not None:
            item.setIcon(0, icon_of(thumbnail.pixels))
        if thumbnail.problem:
            item.setToolTip(0, f"{item.toolTip(0)}\n{thumbnail.problem}")

    def show_names(self, names: Mapping[Study, str]) -> None:
        """Write whom each study shows behind its title; nothing for no names."""
        for study, item in self._studies:
            name = names.get(study, "")
            item.setText(0, f"{study.title}\n{name}" if name else study.title)

    def _on_activated(self, item: QTreeWidgetItem, column: int) -> None:
        if isinstance(item.data(0, _ROLE), Series):
            self.open_wanted.emit()


def _series_item(branch: QTreeWidgetItem, series: Series) -> QTreeWidgetItem:
    lines = [series.title, series.facts]
    warnings = series.outline.warnings
    if warnings:
        more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
        lines.append(f"⚠ {warnings[0]}{more}")
    item = QTreeWidgetItem(branch, ["\n".join(lines)])
    item.setData(0, _ROLE, series)
    item.setToolTip(0, "\n".join([*lines[:2], *warnings]))
    item.setIcon(0, blank_icon())
    return item


def _list_skipped(tree: QTreeWidget, skipped: tuple[tuple[str, str], ...]) -> None:
    n = len(skipped)
    branch = QTreeWidgetItem(tree, [f"Left out: {n} file{'' if n == 1 else 's'}"])
    for reason, count in Counter(reason for _, reason in skipped).most_common():
        item = QTreeWidgetItem(branch, [f"{count} × {reason}"])
        item.setToolTip(0, reason)
        files = [source for source, why in skipped if why == reason]
        for source in files[:_LISTED_FILES]:
            # Names of folders often hold a patient's.
            QTreeWidgetItem(item, [Path(source).name])
        if count > _LISTED_FILES:
            QTreeWidgetItem(item, [f"and {count - _LISTED_FILES} more"])
