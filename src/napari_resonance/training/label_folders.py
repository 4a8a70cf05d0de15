"""Labels by place: a folder for each class, with scans below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from napari_resonance.errors import TrainingError
from napari_resonance.progress import ShouldStop, never
from napari_resonance.reading import outline_scans
from napari_resonance.reading.outline import Outline
from napari_resonance.training.cases import Case
from napari_resonance.training.label_table import side_of


def cases_in_folders(
    folder: Path, should_stop: ShouldStop = never
) -> tuple[list[Case], list[str]]:
    """Find the scans below the folders of classes; their patients are left open.

    Where the folders are called train, validation and test (or like them), the classes
    are the folders in these.

    Parameters
    ----------
    folder
        With one folder for each class.
    should_stop
        Asked between files; True ends the search with `CancelledError`.

    Returns
    -------
    cases, warnings
        Each scan is a case; what was left out is told in sentences.

    Raises
    ------
    TrainingError
        If there is no folder in it.

    """
    inside = _folders(folder)
    if not inside:
        raise TrainingError(
            "there is no folder in it that could be a class",
            source=folder,
            remedy="Give a CSV file, or a folder with a folder for each class",
        )
    by_side = {f: side_of(f.name) for f in inside}
    classes = [(f, "") for f in inside]
    if all(by_side.values()) and "train" in by_side.values():
        classes = [(c, side) for f, side in by_side.items() for c in _folders(f)]
    cases: list[Case] = []
    warnings: list[str] = []
    for path, side in classes:
        found, odd = _cases_of_class(folder, path, side, should_stop)
        cases += found
        warnings += odd
    return cases, warnings


def _folders(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir())
    return [e for e in entries if e.is_dir() and not e.name.startswith((".", "__"))]


def _cases_of_class(
    root: Path, folder: Path, side: str, should_stop: ShouldStop
) -> tuple[list[Case], list[str]]:
    skipped: list[str] = []
    outlines = outline_scans(
        folder,
        on_skip=lambda source, why: skipped.append(why),
        should_stop=should_stop,
    )
    name = folder.relative_to(root).as_posix()
    warnings = []
    if skipped:
        why = Counter(skipped).most_common(1)[0][0]
        count = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
        warnings.append(f"{name}: {count} left out ({why})")
    cases = []
    packed = 0
    for outline in outlines:
        if not all(path.exists() for path in outline.sources):
            packed += 1
            continue
        path, files = _place(outline, outlines, folder)
        source = path if not files else files[0]
        cases.append(
            Case(
                (path,),
                folder.name,
                "",
                split=side,
                source=source.relative_to(root).as_posix(),
                files=files,
                series=outline.series if files else "",
            )
        )
    if packed:
        warnings.append(
            f"{name}: {packed} scans in archives were left out: unpack them"
        )
    if not cases:
        warnings.append(f"{name}: there is no scan in this folder")
    return cases, warnings


def _place(
    outline: Outline, outlines: Sequence[Outline], folder: Path
) -> tuple[Path, tuple[Path, ...]]:
    """Return the path of a scan, and its files where the path alone is not enough."""
    if len(outline.sources) == 1:
        only = outline.sources[0]
        shared = sum(o.sources == outline.sources for o in outlines) > 1
        return only, (only,) if shared else ()
    parents = {path.parent for path in outline.sources}
    parent = next(iter(parents))
    others = (o for o in outlines if o is not outline)
    alone = len(parents) == 1 and not any(
        parent in path.parents for other in others for path in other.sources
    )
    # The folder of the class itself names nothing.
    if alone and parent != folder:
        return parent, ()
    return parent, outline.sources


def files_of_series(
    folder: Path, series: str, known: dict[Path, list[Outline]]
) -> tuple[Path, ...]:
    """Return the files of one DICOM series of a folder.

    Parameters
    ----------
    folder, series
        Where it lies, and its SeriesInstanceUID.
    known
        What is in folders that were looked through; this one is added.

    Raises
    ------
    TrainingError
        If the series is not there, or holds several scans.

    """
    if folder not in known:
        known[folder] = outline_scans(folder)
    found = [outline for outline in known[folder] if outline.series == series]
    if len(found) != 1:
        held = "is not in this folder" if not found else f"holds {len(found)} scans"
        raise TrainingError(
            f"a labelled series {held}",
            source=folder,
            remedy="Name the file of the scan in the column 'path'",
        )
    return found[0].sources
