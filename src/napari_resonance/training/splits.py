"""Splits: which cases are learned from, chosen by, and judged with; by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import TrainingError
from napari_resonance.training.cases import SIDES, LabelledSet

# A side without a class weighs more than any deviation from the wanted shares.
_ABSENT = 1000.0
_RESTARTS = 12
# Sets that are larger are balanced well enough by the first try.
_SMALL = 400
_SWEEPS = 4


@dataclass(frozen=True)
class Split:
    """Indices of the cases on each side; sides may be empty, and share no patient."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def to_json(self, labelled: LabelledSet) -> dict[str, list[str]]:
        """Return the sources of the cases on each side."""
        cases = labelled.cases
        return {s: [cases[n].source for n in getattr(self, s)] for s in SIDES}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], labelled: LabelledSet) -> Split:
        """Read what `to_json` wrote; the cases may have another order.

        Raises
        ------
        TrainingError
            If it is no split, names a case that is not there, or mixes a patient.

        """
        places = {case.source: n for n, case in enumerate(labelled.cases)}
        sides = []
        for name in SIDES:
            sources = data.get(name)
            if not isinstance(sources, list):
                raise TrainingError(f"the stored split has no list {name!r}")
            for source in sources:
                if source not in places:
                    raise TrainingError(
                        f"the stored split names the case {source!r}, which is not "
                        "among the labels",
                        remedy="Use the labels it was made with, or make a new split",
                    )
            sides.append(tuple(places[source] for source in sources))
        split = cls(*sides)
        _check_patients(split, labelled)
        return split


def make_splits(
    labelled: LabelledSet,
    *,
    folds: int = 0,
    validation_share: float = 0.2,
    test_share: float = 0.2,
    seed: int = 0,
) -> tuple[Split, ...]:
    """Divide cases by patient, with the classes in the same proportions on all sides.

    Greedy: patients with many cases come first, each to the side where they bring the
    classes nearest to their shares; several seeded tries and an exchange of single
    patients follow while the set is small. The same set and seed give the same split,
    whatever the order of the rows.

    Parameters
    ----------
    labelled
        The cases. Where they name sides (a column ``split``), these are kept; if they
        name no validation, it is taken from the training cases.
    folds
        0 makes one split. k makes k, and each case is tested in one of them; the
        validation cases of a fold are taken from the rest.
    validation_share, test_share
        Of the cases; with folds, validation is this share of the rest. 0 leaves a side
        empty.
    seed
        Of every draw.

    Returns
    -------
    tuple of Split
        One, or as many as folds.

    Raises
    ------
    TrainingError
        If a class would be missing from a side, or the wishes contradict each other.

    """
    _check_wishes(labelled, folds, validation_share, test_share)
    patients = _Patients(labelled)
    everyone = np.arange(len(patients.names))
    if any(case.split for case in labelled.cases):
        splits = [_as_named(labelled, patients, validation_share, seed)]
    elif folds:
        # What two folds leave each other has to be divided once more.
        least = 2 if folds == 2 and validation_share else 1
        part = _divide(patients, everyone, np.full(folds, 1 / folds), seed, least)
        splits = []
        for fold in range(folds):
            shares = np.array([1 - validation_share, validation_share])
            rest = everyone[part != fold]
            side = _divide(patients, rest, shares, seed + 1 + fold)
            tested = everyone[part == fold]
            splits.append(patients.split(rest[side == 0], rest[side == 1], tested))
    else:
        shares = np.array(
            [1 - validation_share - test_share, validation_share, test_share]
        )
        side = _divide(patients, everyone, shares, seed)
        splits = [patients.split(*(everyone[side == n] for n in range(3)))]
    needed = {"train"} | ({"validation"} if validation_share else set())
    if folds or (test_share and not labelled.cases[0].split):
        needed.add("test")
    for split in splits:
        _check_classes(split, labelled, needed, folds)
        _check_patients(split, labelled)
    return tuple(splits)


class _Patients:
    """The patients of a set, and how many cases of each class they have."""

    def __init__(self, labelled: LabelledSet) -> None:
        self.names = sorted({case.patient for case in labelled.cases})
        place = {name: n for n, name in enumerate(self.names)}
        self.of_case = np.array([place[case.patient] for case in labelled.cases])
        targets = [labelled.labels.index(case.label) for case in labelled.cases]
        self.counts = np.zeros((len(self.names), len(labelled.labels)))
        np.add.at(self.counts, (self.of_case, np.array(targets)), 1)

    def split(self, *sides: NDArray[np.int64]) -> Split:
        """Return the cases of these patients."""
        cases = [np.flatnonzero(np.isin(self.of_case, s)).tolist() for s in sides]
        train, validation, test = map(tuple, cases)
        return Split(train, validation, test)


def _as_named(
    labelled: LabelledSet, patients: _Patients, validation_share: float, seed: int
) -> Split:
    named = {case.patient: case.split for case in labelled.cases}
    side = np.array([SIDES.index(named[name]) for name in patients.names])
    if not (side == 0).any():
        raise TrainingError(
            "the labels name no training case",
            remedy="Write train into the column 'split' where it belongs",
        )
    if validation_share and not (side == 1).any():
        training = np.flatnonzero(side == 0)
        shares = np.array([1 - validation_share, validation_share])
        side[training] = _divide(patients, training, shares, seed)
    return patients.split(*(np.flatnonzero(side == n) for n in range(3)))


def _divide(
    patients: _Patients,
    chosen: NDArray[np.int64],
    shares: NDArray[np.float64],
    seed: int,
    least: int = 1,
) -> NDArray[np.int64]:
    """Return the side of each chosen patient; sides get `least` of each class."""
    cases = patients.counts[chosen]
    cases = cases[:, cases.any(axis=0)]
    sides = np.flatnonzero(shares > 0)
    if len(sides) == 1:
        return np.full(len(chosen), sides[0])
    # Half of the columns counts cases, the other half patients, of each class.
    counts = np.concatenate([cases, cases > 0], axis=1)
    goal = _Goal(shares[sides, None] * counts.sum(axis=0), least)
    is_small = len(chosen) <= _SMALL
    best, lowest = np.zeros(len(chosen), np.int64), np.inf
    for attempt in range(_RESTARTS if is_small else 1):
        random = np.random.default_rng([seed, attempt])
        side = _greedy(counts, goal, random)
        if is_small:
            _improve(side, counts, goal)
        price = goal.prices(_totals(side, counts, len(sides))).sum()
        if price < lowest - 1e-9:
            best, lowest = side, price
    return sides[best]


@dataclass(frozen=True, eq=False)
class _Goal:
    """How many cases and patients of each class the sides should have."""

    wanted: NDArray[np.float64]
    least: int

    def prices(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far each side is from what is wanted of it, (sides,)."""
        distance = ((totals - self.wanted) ** 2 / self.wanted).sum(axis=1)
        patients = totals[:, totals.shape[1] // 2 :]
        absent = (self.least - patients).clip(min=0).sum(axis=1)
        prices: NDArray[np.float64] = distance + _ABSENT * absent
        return prices

    def gain(
        self, totals: NDArray[np.float64], added: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return by how much each side's price rises with some cases more."""
        return self.prices(totals + added) - self.prices(totals)


def _greedy(
    counts: NDArray[np.float64], goal: _Goal, random: np.random.Generator
) -> NDArray[np.int64]:
    order = random.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    totals = np.zeros_like(goal.wanted)
    side = np.zeros(len(counts), np.int64)
    for n in order:
        # Sides that are equally good are drawn.
        drawn = random.permutation(len(totals))
        gain = goal.gain(totals, counts[n])[drawn].round(9)
        side[n] = drawn[gain.argmin()]
        totals[side[n]] += counts[n]
    return side


def _totals(
    side: NDArray[np.int64], counts: NDArray[np.float64], n_sides: int
) -> NDArray[np.float64]:
    totals = np.zeros((n_sides, counts.shape[1]))
    np.add.at(totals, side, counts)
    return totals


def _improve(side: NDArray[np.int64], counts: NDArray[np.float64], goal: _Goal) -> None:
    """Move single patients while that brings the sides nearer to their shares."""
    totals = _totals(side, counts, len(goal.wanted))
    for _ in range(_SWEEPS):
        moved = False
        for n, cases in enumerate(counts):
            totals[side[n]] -= cases
            before = side[n]
            gain = goal.gain(totals, cases)
            if gain.min() < gain[before] - 1e-9:
                side[n] = gain.argmin()
                moved = True
            totals[side[n]] += cases
        if not moved:
            return


def _check_wishes(
    labelled: LabelledSet, folds: int, validation_share: float, test_share: float
) -> None:
    if not labelled.cases:
        raise TrainingError("there are no cases to divide")
    if folds < 0 or folds == 1:
        raise TrainingError(f"{folds} folds are not possible: 0, or 2 and more")
    taken = validation_share + (0 if folds else test_share)
    if min(validation_share, test_share) < 0 or taken >= 1:
        raise TrainingError(
            f"a validation share of {validation_share:g} and a test share of "
            f"{test_share:g} leave nothing to train on",
            remedy="Choose shares from 0 on, below 1 in all",
        )
    if folds and any(case.split for case in labelled.cases):
        raise TrainingError(
            "the labels name the sides of one split, so there are no folds to make",
            remedy="Leave out the column 'split', or the folds",
        )


def _check_classes(
    split: Split, labelled: LabelledSet, needed: set[str], folds: int
) -> None:
    for side in SIDES:
        indices: Sequence[int] = getattr(split, side)
        if not indices and side not in needed:
            continue
        found = {labelled.cases[n].label for n in indices}
        for name in labelled.labels:
            if name in found:
                continue
            patients = {c.patient for c in labelled.cases if c.label == name}
            count = "1 patient" if len(patients) == 1 else f"{len(patients)} patients"
            named = bool(labelled.cases[0].split)
            wish = "Add patients of it, or leave it out"
            if folds:
                wish = "Add patients of it, leave it out, or choose fewer folds"
            elif named:
                wish = f"Write {side} into the column 'split' for patients of it, too"
            raise TrainingError(
                f"the class {name!r} would be missing from the {side} cases: it has "
                f"{count}",
                remedy=wish,
            )


def _check_patients(split: Split, labelled: LabelledSet) -> None:
    sides: dict[str, str] = {}
    for side in SIDES:
        for n in getattr(split, side):
            case = labelled.cases[n]
            if sides.setdefault(case.patient, side) != side:
                raise TrainingError(
                    f"the patient of {case.source} is on two sides of the split"
                )
