"""Scans with their labels, as the Fine-tune panel lists them; without Qt."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari_resonance.errors import TrainingError
from napari_resonance.export.wording import counted
from napari_resonance.training.cases import Case, LabelledSet
from napari_resonance.viewer.naming import scan_name
from napari_resonance.viewer.thumbnails import Thumbnail, make_thumbnails, picture_of

if TYPE_CHECKING:
    from napari_resonance.progress import ShouldStop
    from napari_resonance.scan import Scan

NO_SCAN = "Open scans to label them, or take labels from folders or a table."
HOW_TO_LABEL = (
    "Press the key of a class over a scan, or take labels from folders or a table"
)
NOT_ON_DISK = "It is not a file of its own: save it, or unpack its archive, first."


@dataclass(eq=False)
class LabelRow:
    """A scan that has a label, or may get one.

    Parameters
    ----------
    title
        How the list names it; never whom it shows.
    case
        What is trained on; its label and patient are empty while they are not known.
    layer
        Weak reference to the layer that shows it, None while it is not open.
    side
        Of the split, as far as that is known.
    problem
        Why it cannot be trained on, as a sentence; empty if it can.

    """

    title: str
    case: Case
    layer: Any = None
    side: str = ""
    problem: str = ""

    def __post_init__(self) -> None:
        """Note where it lies; the index of lists."""
        self.place = self.case.paths[0].resolve()

    def is_same(self, other: LabelRow) -> bool:
        """Tell whether two rows at one place are of one scan.

        A folder without files stands for the only scan in it.
        """
        one, two = self.case, other.case
        if one.center_mm != two.center_mm:
            return False
        return not one.files or not two.files or set(one.files) == set(two.files)

    def shown_layer(self) -> Any | None:
        """Return the layer that shows it, None if it is not open."""
        return None if self.layer is None else self.layer()

    def name(self, label: str) -> None:
        """Give it a label, or take it away."""
        self.case = replace(self.case, label=label)


def row_of_scan(scan: Scan, layer: Any) -> LabelRow:
    """Return the row of a scan that is open."""
    sources = scan.sources
    there = bool(sources) and all(path.exists() for path in sources)
    several = len(sources) > 1
    place = sources[0].parent if several else (sources or (Path(),))[0]
    case = Case(
        (place,),
        "",
        "",
        source=str(place),
        files=sources if several else (),
        series=scan.series if several else "",
    )
    problem = "" if there else NOT_ON_DISK
    return LabelRow(scan_name(scan), case, ref(layer), problem=problem)


def rows_of(labelled: LabelledSet) -> list[LabelRow]:
    """Return the rows of scans that were labelled elsewhere."""
    typed = labelled.patient_from == "column"
    rows = []
    for case in labelled.cases:
        # Folders often have the name of a patient: the last part has to do.
        title = Path(case.source).name or case.source
        shown = case if typed else replace(case, patient="")
        rows.append(LabelRow(title, shown, side=case.split))
    return rows


def labelled_cases(rows: Iterable[LabelRow]) -> dict[LabelRow, Case]:
    """Return what can be trained on, as it is now: scans with a label, on disk."""
    return {row: row.case for row in rows if row.case.label and not row.problem}


def labelled_set(cases: Sequence[Case]) -> LabelledSet:
    """Return cases with their patients, under names relative to their common folder.

    Raises
    ------
    TrainingError
        If there is none.

    """
    from napari_resonance.training.patients import with_patients

    if not cases:
        raise TrainingError("no scan has a label yet", remedy=HOW_TO_LABEL)
    root = Path(os.path.commonpath([c.paths[0].resolve().parent for c in cases]))
    cases = [replace(c, paths=_resolved(c), source=_source(c, root)) for c in cases]
    if all(case.patient for case in cases):
        return LabelledSet(tuple(cases), (), "column")
    found, origin, odd = with_patients(cases, root)
    pairs = zip(cases, found, strict=True)
    known = [replace(f, patient=c.patient or f.patient) for c, f in pairs]
    return LabelledSet(tuple(known), (), origin, tuple(odd))


def _resolved(case: Case) -> tuple[Path, ...]:
    return tuple(path.resolve() for path in case.paths)


def _source(case: Case, root: Path) -> str:
    path = (case.files or case.paths)[0].resolve()
    place = Path(os.path.relpath(path, root)).as_posix()
    if case.center_mm is not None:
        place += " @ " + ", ".join(f"{mm:g}" for mm in case.center_mm)
    return place


def balance(rows: Iterable[LabelRow]) -> str:
    """Return in a sentence how many scans of each label there are."""
    rows = list(rows)
    counts = Counter(row.case.label for row in rows if row.case.label)
    if not rows:
        return NO_SCAN
    said = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
    text = f"{counted(sum(counts.values()), 'scan')} of {len(rows)} labelled"
    return f"{text}: {said}." if counts else f"{text}."


def thumbnail_of(row: LabelRow, should_stop: ShouldStop) -> Thumbnail:
    """Return the picture of a row's scan."""
    from napari_resonance.errors import ResonanceError
    from napari_resonance.reading import outline_scans
    from napari_resonance.viewer.records import record_of
    from napari_resonance.viewer.survey import Series

    record = record_of(row.shown_layer())
    try:
        if record is not None:
            return Thumbnail(picture_of(record.scan))
        sources = row.case.files or row.case.paths[:1]
        outlines = outline_scans(sources, should_stop=should_stop)
        return make_thumbnails([Series(outlines[0])], should_stop)[0]
    except (ResonanceError, OSError, IndexError) as error:
        return Thumbnail(None, f"No picture: {error}.")
