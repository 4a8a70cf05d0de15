"""Labels of scans: a table with a row for each case, or a folder for each class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from napari_resonance.errors import TrainingError
from napari_resonance.reading.outline import Outline
from napari_resonance.training.cases import Case, LabelledSet, listed
from napari_resonance.training.label_folders import cases_in_folders, files_of_series
from napari_resonance.training.label_numbers import known_as, merged, told
from napari_resonance.training.label_table import Row, read_table
from napari_resonance.training.patients import with_patients

__all__ = ["Case", "LabelledSet", "read_labels"]

_TABLE = "labels.csv"
_Key = tuple[Path, tuple[Path, ...], tuple[float, float, float] | None]


def read_labels(
    source: str | Path,
    *,
    labels: Sequence[str] | None = None,
    patients_per_class: int = 2,
) -> LabelledSet:
    """Read which scans there are, what they show, and whose they are.

    Parameters
    ----------
    source
        A CSV file with the columns ``path`` and ``label`` and optionally ``patient``,
        ``split``, ``weight``, ``center_x``, ``center_y``, ``center_z`` (RAS+ mm) and
        ``channel...`` (further registered scans); other columns become groups. Paths
        are relative to the file; one may be a DICOM folder, where ``series`` (a
        SeriesInstanceUID) says which of several is meant. Or a folder: with a
        ``labels.csv``, or with a folder for each class.
    labels
        The classes in their order; sorted by name if None. Others are refused, but
        whole numbers may be spelled otherwise (``1.0`` for ``1``).
    patients_per_class
        How many patients each class needs; 0 for cases that nothing is trained on.

    Returns
    -------
    LabelledSet
        The patient of each case is that of the column, else a hash of the DICOM
        PatientID, else the folder.

    Raises
    ------
    TrainingError
        If the labels cannot be read, a scan is missing, a scan has two labels, two
        patients or two sides of the split, a patient is on two sides, there is only one
        class, or a class has too few patients.

    """
    path = Path(source)
    if path.is_dir() and (path / _TABLE).is_file():
        path = path / _TABLE
    if path.is_dir():
        cases, warnings = cases_in_folders(path)
        root = path
        if not cases:
            raise TrainingError("there is no scan in its folders", source=path)
        has_column = False
    else:
        root = path.parent
        rows = read_table(path)
        cases, warnings = _cases(rows, path), []
        has_column = any(row.patient for row in rows)
    patient_from = "column"
    if not has_column:
        cases, patient_from, odd = with_patients(cases, root)
        warnings += odd
    found = LabelledSet(tuple(cases), (), patient_from, tuple(warnings))
    return checked(found, path, labels=labels, patients_per_class=patients_per_class)


def checked(
    found: LabelledSet,
    source: Path | None,
    *,
    labels: Sequence[str] | None = None,
    patients_per_class: int = 2,
) -> LabelledSet:
    """Return cases with their classes, or refuse what cannot be right.

    Parameters
    ----------
    found
        Cases with their patients.
    source
        What errors name as the place of the labels; None where they have none.
    labels, patients_per_class
        As for `read_labels`.

    Raises
    ------
    TrainingError
        As `read_labels`.

    """
    cases, renamed = _with_one_spelling(found.cases, labels)
    cases, odd = _without_repeats(cases, source)
    _check_sides(cases, source)
    classes = _classes(cases, labels, source)
    if patients_per_class:
        _check_classes(cases, classes, patients_per_class, source)
    warnings = (*found.warnings, *renamed, *odd, *_alike(classes))
    return LabelledSet(tuple(cases), classes, found.patient_from, warnings)


def _cases(rows: Sequence[Row], source: Path) -> list[Case]:
    """Turn the rows of a table into cases.

    Raises
    ------
    TrainingError
        If scans are missing, or a column has gaps that must have none.

    """
    for column in ("patient", "split"):
        gaps = [row.line for row in rows if not getattr(row, column)]
        if gaps and len(gaps) < len(rows):
            raise TrainingError(
                f"the column {column!r} has gaps, the first in line {gaps[0]}",
                source=source,
                remedy="Fill it in for every row, or for none",
            )
    root = source.parent
    cases, missing = [], []
    outlines: dict[Path, list[Outline]] = {}
    for row in rows:
        paths = tuple(_existing(root, p) for p in (row.path, *row.channels))
        missing += [str(p) for p in paths if not p.exists()]
        files: tuple[Path, ...] = ()
        if row.series and paths[0].is_dir():
            files = files_of_series(paths[0], row.series, outlines)
        name = _relative(files[0] if files else paths[0], root)
        if row.center_mm is not None:
            name += " @ " + ", ".join(f"{mm:g}" for mm in row.center_mm)
        cases.append(
            Case(
                paths,
                row.label,
                row.patient,
                row.split,
                row.weight,
                row.center_mm,
                dict(row.groups),
                name,
                files,
                row.series,
            )
        )
    if missing:
        many = "this labelled scan does not exist"
        if len(missing) > 1:
            many = f"{len(missing)} labelled scans do not exist: {listed(missing)}"
        raise TrainingError(
            many,
            source=missing[0] if len(missing) == 1 else source,
            remedy="Paths are relative to the file with the labels",
        )
    return cases


def _with_one_spelling(
    cases: Sequence[Case], labels: Sequence[str] | None
) -> tuple[list[Case], list[str]]:
    """Return cases whose labels are one class where they are one whole number."""
    names = dict.fromkeys(case.label for case in cases)
    spelled = merged(names) if labels is None else known_as(names, labels)
    return [replace(c, label=spelled[c.label]) for c in cases], told(spelled)


def _existing(root: Path, text: str) -> Path:
    path = root / text
    if "\\" in text and not path.exists():
        return root / text.replace("\\", "/")
    return path


def _relative(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def _without_repeats(
    cases: Sequence[Case], source: Path | None
) -> tuple[list[Case], list[str]]:
    """Drop rows that say the same twice.

    Raises
    ------
    TrainingError
        If one says something else than the other.

    """
    kept: dict[_Key, Case] = {}
    numbers: dict[Path, list[Case]] = defaultdict(list)
    repeats = 0
    for case in cases:
        place = case.paths[0].resolve()
        numbers[place].append(case)
        key = (place, case.files, case.center_mm)
        first = kept.setdefault(key, case)
        if first is case:
            continue
        if first.label != case.label:
            raise TrainingError(
                f"{case.source} has two labels: {first.label!r} and {case.label!r}",
                source=source,
                remedy="Decide on one",
            )
        repeats += 1
    for place, same in numbers.items():
        if same[0].files:
            continue
        _check_same(same, place, source)
    if not repeats:
        return list(kept.values()), []
    rows = "1 row repeats another" if repeats == 1 else f"{repeats} rows repeat others"
    return list(kept.values()), [f"{rows}: left out"]


def _check_same(cases: Sequence[Case], place: Path, source: Path | None) -> None:
    """Refuse that one scan has two patients or two sides."""
    facts: tuple[tuple[str, Callable[[Case], str]], ...] = (
        ("patients", lambda case: case.patient),
        ("sides of the split", lambda case: case.split),
    )
    for what, of in facts:
        if len({of(case) for case in cases}) > 1:
            raise TrainingError(
                f"{cases[0].source} is said to have two {what}",
                source=source,
                remedy="Decide on one",
            )


def _check_sides(cases: Sequence[Case], source: Path | None) -> None:
    sides: dict[str, str] = {}
    for case in cases:
        side = sides.setdefault(case.patient, case.split)
        if side != case.split:
            raise TrainingError(
                f"the patient of {case.source} is on two sides of the split: {side} "
                f"and {case.split}",
                source=source,
                remedy="Keep all scans of a patient on one side: a network that saw "
                "the patient cannot be judged on them",
            )


def _classes(
    cases: Sequence[Case], labels: Sequence[str] | None, source: Path | None
) -> tuple[str, ...]:
    found = sorted({case.label for case in cases})
    if labels is None:
        return tuple(found)
    if len(set(labels)) < len(labels):
        raise TrainingError("a label is named twice", source=source)
    unknown = [case for case in cases if case.label not in labels]
    if unknown:
        named = dict.fromkeys(repr(case.label) for case in unknown)
        what = f"{unknown[0].source} has the unknown label {unknown[0].label!r}"
        if len(unknown) > 1:
            what = (
                f"{len(unknown)} scans have unknown labels, {listed(list(named))}; the "
                f"first is {unknown[0].source}"
            )
        raise TrainingError(
            what,
            source=source,
            remedy=f"The labels are {', '.join(labels)}; leave other rows out",
        )
    return tuple(labels)


def _check_classes(
    cases: Sequence[Case], classes: Sequence[str], least: int, source: Path | None
) -> None:
    if len(classes) < 2:
        raise TrainingError(
            f"all cases have one label, {classes[0]!r}: there is nothing to tell apart",
            source=source,
            remedy="Add cases of another class",
        )
    patients: dict[str, set[str]] = {name: set() for name in classes}
    for case in cases:
        patients[case.label].add(case.patient)
    for name, found in patients.items():
        if len(found) < least:
            count = "1 patient" if len(found) == 1 else f"{len(found)} patients"
            raise TrainingError(
                f"the class {name!r} has {count}, {least} are needed at least",
                source=source,
                remedy="Add patients, leave the class out, or say in a column "
                "'patient' whose the scans are",
            )


def _alike(classes: Sequence[str]) -> list[str]:
    plain: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        text = name.casefold().replace(" ", "")
        # What `merged` leaves: 01 and 1, or 1.50 and 1.5.
        # Codes have up to 18 digits, which float does not tell apart.
        with suppress(InvalidOperation):
            text = str(Decimal(text).normalize())
        plain[text].append(name)
    return [
        f"the labels {' and '.join(map(repr, names))} are counted as different classes"
        for names in plain.values()
        if len(names) > 1
    ]
