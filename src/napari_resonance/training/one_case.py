"""One case: its scans read, its input for the network, what is known about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import ReadError, ResonanceError
from napari_resonance.geometry import to_index
from napari_resonance.preprocessing import NetworkInput, Recipe
from napari_resonance.reading import read_scan, read_scans
from napari_resonance.scan import Scan
from napari_resonance.training.cases import Case
from napari_resonance.training.fingerprints import fingerprints_of
from napari_resonance.training.patients import hashed
from napari_resonance.training.subgroups import facts_of

# One damaged file must not end a night's work.
_DAMAGE = (ResonanceError, OSError, ValueError, ArithmeticError, MemoryError)


@dataclass(frozen=True, eq=False)
class OneCase:
    """What `PreparedSet` holds of one case; `array` is without the case axis."""

    array: NDArray[np.float32]
    affine: NDArray[np.float64]
    fingerprints: NDArray[np.int8]
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
    def fingerprints(self) -> NDArray[np.int8]:
        return fingerprints_of(self.all)


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
            read.fingerprints,
            hashed(scans[0].study),
            facts_of(scans[0], case),
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
