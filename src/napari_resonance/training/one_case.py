"""One case: its scans read, its input for the network, what is known about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import ReadError, ResonanceError
from napari_resonance.geometry import to_index
from napari_resonance.preprocessing import NetworkInput, Recipe
from napari_resonance.reading import read_scan, read_scans
from napari_resonance.scan import Scan
from napari_resonance.training.cases import Case
from napari_resonance.training.fingerprints import fingerprint_of
from napari_resonance.training.patients import hashed, header_of

_OLDEST = 90  # Above, an age alone may tell who somebody is.
# One damaged file must not end a night's work.
_DAMAGE = (ResonanceError, OSError, ValueError, ArithmeticError, MemoryError)
_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclass(frozen=True, eq=False)
class OneCase:
    """What `PreparedSet` holds of one case; `array` is without the case axis."""

    array: NDArray[np.float32]
    affine: NDArray[np.float64]
    fingerprint: NDArray[np.int8]
    study: str
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """Why a case cannot be used."""

    reason: str


class _Scans:
    """The scans of a case, and what is known of them for each of its regions."""

    def __init__(self, case: Case) -> None:
        self.all = scans_of(case)

    @cached_property
    def fingerprint(self) -> NDArray[np.int8]:
        return fingerprint_of(self.all[0])


def scans_together(case: Case) -> tuple[object, ...]:
    """Return what cases have in common that are regions of the same scans."""
    return case.paths, case.files


def prepare_regions(cases: Sequence[Case], recipe: Recipe) -> list[OneCase | LeftOut]:
    """Return the input of each case, or why it has none.

    Parameters
    ----------
    cases
        Of the same scans, see `scans_together`, which are read once.
    recipe
        What the network wants.

    """
    try:
        scans = _Scans(cases[0])
    except _DAMAGE as error:
        return [_left_out(error)] * len(cases)
    return [_prepared(case, scans, recipe) for case in cases]


def _prepared(case: Case, read: _Scans, recipe: Recipe) -> OneCase | LeftOut:
    """Apply a recipe to the scans of a case, or say why that is not possible."""
    scans = read.all
    try:
        prepared = recipe.apply(
            scans if len(scans) > 1 else scans[0], center_mm=case.center_mm
        )
        array, affine = _one_input(prepared, recipe, case)
        if not np.isfinite(array).all():
            return LeftOut("its input holds values that are not finite")
        if not np.ptp(array, axis=tuple(range(1, array.ndim))).any():
            return LeftOut("it is blank: all its voxels have the same value")
        return OneCase(
            array,
            affine,
            read.fingerprint,
            hashed(scans[0].study),
            _facts(scans[0], case),
            prepared.warnings,
        )
    except _DAMAGE as error:
        return _left_out(error)


def _left_out(error: Exception) -> LeftOut:
    if isinstance(error, ResonanceError):
        return LeftOut(error.message)
    return LeftOut(f"{type(error).__name__}: {error}")


def scans_of(case: Case) -> list[Scan]:
    """Read the scans of a case, one of each channel.

    Raises
    ------
    ReadError
        If one cannot be read, or there is more than one where one is expected.

    """
    return [_read(case), *(read_scan(path) for path in case.paths[1:])]


def _read(case: Case) -> Scan:
    if not case.files:
        return read_scan(case.paths[0])
    scans = read_scans(case.files)
    if len(scans) != 1:
        raise ReadError(f"its files hold {len(scans)} scans, not one")
    return scans[0]


def _one_input(
    prepared: NetworkInput, recipe: Recipe, case: Case
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the input without its first axis; of several slices one."""
    affine = prepared.grid.affine
    if recipe.dimensions == 3:
        return prepared.array[0], affine
    chosen = len(prepared.array) // 2
    if case.center_mm is not None:
        index = to_index(affine, np.array(case.center_mm))
        chosen = int(np.clip(np.rint(index[2]), 0, len(prepared.array) - 1))
    shifted = affine.copy()
    shifted[:3, 3] += chosen * affine[:3, 2]
    return prepared.array[chosen], shifted


def _facts(scan: Scan, case: Case) -> dict[str, str]:
    """Return what tables by subgroup are made of; nothing that tells who it is."""
    header = header_of(Path(case.files[0] if case.files else case.paths[0]))
    maker = str(scan.meta.get("manufacturer", "")).strip()
    sex = header.get("PatientSex", "").upper()
    facts = {
        "modality": scan.modality,
        "manufacturer": maker.split()[0].upper() if maker else "",
        "sex": sex if sex in ("F", "M", "O") else "",
        "age": _age_band(header),
    }
    return {name: value for name, value in facts.items() if value}


def _age_band(header: Mapping[str, str]) -> str:
    """Return the decade of an age, ``"40-49"``; empty if it is unknown."""
    found = re.fullmatch(r"(\d{1,3})([YMWD])", header.get("PatientAge", "").upper())
    if found:
        years = int(found[1]) * _UNITS[found[2]]
    else:
        born, seen = header.get("PatientBirthDate", ""), header.get("StudyDate", "")
        if not (re.fullmatch(r"\d{8}", born) and re.fullmatch(r"\d{8}", seen)):
            return ""
        years = (int(seen) - int(born)) // 10_000
    if not 0 <= years < 130:
        return ""
    if years >= _OLDEST:
        return f"{_OLDEST}+"
    decade = int(years // 10) * 10
    return f"{decade}-{decade + 9}"
