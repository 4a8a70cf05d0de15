"""Leaks: what is judged with was seen in training, under another name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import ResonanceError
from napari_resonance.training.cases import SIDES, Case
from napari_resonance.training.fingerprints import (
    LENGTH,
    are_brightness,
    dimensions_of,
    pictures_of,
    turned,
)
from napari_resonance.training.one_case import scans_of, scans_together
from napari_resonance.training.second_look import TEXTURE, texture_in_common
from napari_resonance.training.splits import Split

if TYPE_CHECKING:
    from napari_resonance.training.prepared import PreparedSet

LIKENESS = 0.85
"""Correlation of two fingerprints from which on they are of one scan.

Different patients reach 0.74 (heads of one protocol) and 0.61 (masks of one organ);
copies that were mirrored, saved with 8 bits, padded, cropped by a few voxels or
resliced to 0.8 stay above 0.89, if they have more than about 30 voxels along an axis.
"""

# Projections onto so few directions keep high correlations to within about 0.03: they
# sort out nearly all pairs, and the rest is compared in full.
_DIRECTIONS = 256
_ROUGHNESS = 0.1
# Share of the other scans that is looked at to learn how alike scans of a set are.
_NEAREST = 0.1
# With fewer, nothing is learned.
_FEW = 5
_ROWS = 512
# Pairs in a row that a second look parts, after which no more are looked at.
_ENOUGH = 64
_KEPT = 4  # scans


@dataclass(frozen=True)
class Leak:
    """Two cases on two sides of a split that should not be parted.

    Parameters
    ----------
    kind
        ``"pixels"``: one is a copy of the other; ``"patient"``, ``"study"``: they are
        of the same one.
    cases
        Their indices.
    sentence
        What is wrong, for reports.

    """

    kind: Literal["pixels", "patient", "study"]
    cases: tuple[int, int]
    sentence: str


def find_leaks(prepared: PreparedSet, split: Split) -> list[Leak]:
    """Find patients, studies and pictures that are on two sides of a split.

    Parameters
    ----------
    prepared
        The cases, with their fingerprints.
    split
        Of these cases.

    Returns
    -------
    list of Leak
        One for each patient and study on two sides, and one for each pair of copies;
        copies that are mirrored, turned about, or saved in another way are found too,
        and such of any of a case's scans.

    """
    leaks: list[Leak] = []
    for first, second in combinations(SIDES, 2):
        one: Sequence[int] = getattr(split, first)
        other: Sequence[int] = getattr(split, second)
        leaks += _shared(prepared, "patient", (first, one), (second, other))
        leaks += _shared(prepared, "study", (first, one), (second, other))
        alike = _alike_cases(prepared.fingerprints, one, other)
        for a, b, likeness, _ in _confirmed(prepared.labelled.cases, alike):
            cases = prepared.labelled.cases[a], prepared.labelled.cases[b]
            labels = ""
            if cases[0].label != cases[1].label:
                labels = f", and have two labels: {cases[0].label}, {cases[1].label}"
            sentence = (
                f"{cases[0].source} ({first}) and {cases[1].source} ({second}) show "
                f"the same picture (likeness {likeness:.2f}){labels}"
            )
            leaks.append(Leak("pixels", (a, b), sentence))
    return leaks


class _Alike(NamedTuple):
    """Two cases, their likeness, and which of their pictures have it."""

    one: int
    other: int
    likeness: float
    pictures: tuple[int, int]


def _confirmed(cases: Sequence[Case], alike: Sequence[_Alike]) -> list[_Alike]:
    """Return the pairs that a second look takes for one scan, too.

    The likeliest are looked at first. Where many in a row turn out to be different,
    it is the set that is alike, and the others are not looked at.
    """
    found, different = [], 0
    pictures = _Pictures(cases)
    for pair in sorted(alike, key=lambda pair: -pair.likeness):
        # Regions of one scan share its picture; that is told by the patient.
        if scans_together(cases[pair.one]) == scans_together(cases[pair.other]):
            continue
        texture = pictures.texture_in_common(pair)
        if texture is None or texture >= TEXTURE:
            found.append(pair)
            different = 0
            continue
        different += 1
        if different >= _ENOUGH:
            break
    return sorted(found)


class _Pictures:
    """Scans at full resolution, those of the last few cases kept."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = cases
        self._kept: dict[int, list[NDArray[np.float32]]] = {}

    def texture_in_common(self, pair: _Alike) -> float | None:
        """Return what `second_look` says, None where a scan cannot be read again."""
        one, other = self._values(pair.one), self._values(pair.other)
        if not one or not other:
            return None
        a, b = pair.pictures
        return texture_in_common(one[a], other[b])

    def _values(self, case: int) -> list[NDArray[np.float32]]:
        if case not in self._kept:
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[case] = self._read(case)
        return self._kept[case]

    def _read(self, case: int) -> list[NDArray[np.float32]]:
        try:
            return [picture for picture, _ in pictures_of(scans_of(self.cases[case]))]
        except ResonanceError:
            return []


def _shared(
    prepared: PreparedSet,
    kind: Literal["patient", "study"],
    one: tuple[str, Sequence[int]],
    other: tuple[str, Sequence[int]],
) -> Iterator[Leak]:
    """Yield a leak for each patient, or study of two patients, on both sides."""
    cases = prepared.labelled.cases

    def key(n: int) -> str:
        return cases[n].patient if kind == "patient" else prepared.studies[n]

    places: dict[str, int] = {}
    for n in one[1]:
        places.setdefault(key(n), n)
    told = set()
    for n in other[1]:
        at = places.get(key(n))
        if at is None or not key(n) or key(n) in told:
            continue
        told.add(key(n))
        if kind == "study" and cases[at].patient == cases[n].patient:
            continue
        sentence = (
            f"{cases[at].source} ({one[0]}) and {cases[n].source} ({other[0]}) are of "
            f"the same {kind}"
        )
        yield Leak(kind, (at, n), sentence)


def copies(
    fingerprints: NDArray[np.int8], one: Sequence[int], other: Sequence[int]
) -> list[tuple[int, int, float]]:
    """Return the pairs of copies between two groups, and how alike they are.

    Parameters
    ----------
    fingerprints
        int8 ``(n, r, 4097)``, or ``(n, 4097)`` of one picture each, of the whole set,
        which tells how alike its scans are.
    one, other
        Indices of the groups.

    Returns
    -------
    list of tuple
        Index in `one`, index in `other`, correlation of their likest pictures in their
        best position; in the order of the indices.

    """
    return [pair[:3] for pair in _alike_cases(fingerprints, one, other)]


def _alike_cases(
    fingerprints: NDArray[np.int8], one: Sequence[int], other: Sequence[int]
) -> list[_Alike]:
    """Return the pairs of `copies`, and by which of their pictures they are."""
    n_pictures = 1 if fingerprints.ndim == 2 else fingerprints.shape[1]
    rows = fingerprints.reshape(-1, LENGTH + 1)
    cases = np.arange(len(rows)) // n_pictures
    best: dict[tuple[int, int], _Alike] = {}
    for dimensions in (2, 3):
        here = np.flatnonzero(dimensions_of(rows) == dimensions)
        prints = _Rows(
            _normed(rows[here, 1:].astype(np.float32)),
            cases[here],
            are_brightness(rows[here]),
            dimensions,
        )
        a, b = (np.flatnonzero(np.isin(prints.cases, group)) for group in (one, other))
        # Turning is dearer than comparing: the smaller group is turned.
        if len(a) >= len(b):
            pairs = _alike(prints, a, b)
        else:
            pairs = [(i, j, v) for j, i, v in _alike(prints, b, a)]
        for i, j, likeness in pairs:
            places = int(here[i]), int(here[j])
            key = places[0] // n_pictures, places[1] // n_pictures
            if key not in best or best[key].likeness < likeness:
                pictures = places[0] % n_pictures, places[1] % n_pictures
                best[key] = _Alike(*key, likeness, pictures)
    return sorted(best.values())


class _Rows(NamedTuple):
    """Fingerprints ``(n, 4096)`` of length 1, whose they are, and what of."""

    pictures: NDArray[np.float32]
    cases: NDArray[np.int64]
    brightness: NDArray[np.bool_]
    dimensions: int


def _alike(
    prints: _Rows, one: NDArray[np.int64], other: NDArray[np.int64]
) -> list[tuple[int, int, float]]:
    """Return pairs of copies, as places among the fingerprints."""
    random = np.random.default_rng(0)
    directions = random.standard_normal((LENGTH, _DIRECTIONS), dtype=np.float32)
    pictures = prints.pictures
    rough = _normed(pictures @ directions)
    result = []
    for start in range(0, len(other), _ROWS):
        chosen = other[start : start + _ROWS]
        views = turned(pictures[chosen], prints.dimensions)
        best = np.full((len(pictures), len(chosen)), -1, np.float32)
        at = np.zeros(best.shape, np.uint8)
        for n, view in enumerate(views):
            near = rough @ _normed(view @ directions).T
            at[near > best] = n
            np.maximum(best, near, out=best)
        best[prints.cases[:, None] == prints.cases[chosen]] = -1
        limit = _limits(best)
        for row, j in np.argwhere(best[one] > limit - _ROUGHNESS):
            i = one[row]
            if prints.brightness[i] and prints.brightness[chosen[j]]:
                continue
            likeness = float(pictures[i] @ views[at[i, j]][j])
            if likeness >= limit[j]:
                result.append((int(i), int(chosen[j]), likeness))
    return result


def _limits(likeness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return from which likeness on columns have a copy among the rows.

    The rows are all scans of the set; -1 stands where both are of the same case. Where
    all scans are much alike (phantoms, masks, one protocol), a copy has to be nearer
    than half as far as the nearest tenth of them.
    """
    n = len(likeness)
    if n < _FEW:
        return np.full(likeness.shape[1], LIKENESS, np.float32)
    rank = 1 + int(np.ceil(_NEAREST * n))
    usual = np.partition(likeness, n - rank, axis=0)[n - rank]
    limits: NDArray[np.float32] = np.maximum(LIKENESS, (1 + usual) / 2)
    return limits


def _normed(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(length, 1e-6)
    return unit
