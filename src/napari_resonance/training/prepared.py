"""Prepared cases: every scan read and brought into the network's form, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import CancelledError, TrainingError
from napari_resonance.preprocessing import Recipe
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.training.cases import Case, LabelledSet, listed
from napari_resonance.training.one_case import (
    LeftOut,
    OneCase,
    prepare_regions,
    scans_together,
)
from napari_resonance.training.prepared_store import (
    Store,
    Stored,
    folder_for,
    load_stored,
    open_store,
)

# Regions of one scan; more would make stopping wait.
_TOGETHER = 16
_OTHER_SHAPE = "its input is"
_WARNINGS = 10  # sentences about the preparation that are passed on


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """Cases as the network is given them.

    Parameters
    ----------
    labelled
        Only the cases that could be prepared.
    inputs
        float32 ``(n, C, X, Y, Z)`` or ``(n, C, row, column)``; read-only where they
        lie on disk.
    affines
        float64 ``(n, 4, 4)``: index on the input's grid to RAS+ mm.
    targets
        int64 ``(n,)``: place of the label among ``labelled.labels``.
    fingerprints
        int8 ``(n, r, 4097)``: what copies are recognised by, see `fingerprints`.
    studies
        Hash of the StudyInstanceUID, or empty.
    left_out
        Source and reason of each case that could not be prepared.
    facts
        ``modality``, ``manufacturer``, ``sex``, ``age`` (a band of ten years) of each
        case, where its files tell.

    """

    labelled: LabelledSet
    inputs: NDArray[np.float32]
    affines: NDArray[np.float64]
    targets: NDArray[np.int64]
    fingerprints: NDArray[np.int8]
    studies: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    facts: tuple[Mapping[str, str], ...]

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.targets)


def prepare_cases(
    labelled: LabelledSet,
    recipe: Recipe,
    *,
    cache: Path | None = None,
    workers: int = 2,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> PreparedSet:
    """Read all scans and apply a recipe to them, or take what was prepared before.

    Parameters
    ----------
    labelled
        Which scans.
    recipe
        What the network wants; all inputs must get one shape. For a 2D network, a
        volume gives its middle slice, or the one nearest to the case's centre.
    cache
        Folder in which the result is kept, named after the files (path, size, time of
        the last change) and the recipe; None keeps it in memory. Labels may change
        without a scan being read again.
    workers
        Scans that are prepared at a time.
    progress, should_stop
        Called after each scan.

    Returns
    -------
    PreparedSet
        A scan that cannot be read or prepared is left out, with the reason.

    Raises
    ------
    TrainingError
        If nothing is left, the recipe gives different shapes, or the cache cannot be
        written.
    CancelledError
        If `should_stop` returned True.

    """
    place = None if cache is None else folder_for(cache, labelled, recipe)
    stored = load_stored(place)
    if stored is None:
        with open_store(place) as store:
            _fill(store, labelled, recipe, workers, (progress, should_stop))
            stored = store.close()
    return _as_set(labelled, stored)


def _fill(
    store: Store,
    labelled: LabelledSet,
    recipe: Recipe,
    workers: int,
    callables: tuple[Progress, ShouldStop],
) -> None:
    """Prepare the cases, a few ahead of the one that is stored."""
    progress, should_stop = callables
    total = len(labelled.cases)
    waiting = _together(labelled.cases)

    def begun(most: int) -> list[Future[list[OneCase | LeftOut]]]:
        groups = islice(waiting, most)
        return [pool.submit(prepare_regions, cases, recipe) for cases in groups]

    n = 0
    with ThreadPoolExecutor(max(1, workers)) as pool:
        ahead = begun(2 * max(1, workers))
        try:
            while ahead:
                for result in ahead.pop(0).result():
                    if should_stop():
                        raise CancelledError("preparing the scans was stopped")
                    store.add(n, _of_one_shape(result, store.shape))
                    n += 1
                    progress(n, total, "preparing the scans")
                ahead += begun(1)
        finally:
            for future in ahead:
                future.cancel()


def _together(cases: Sequence[Case]) -> Iterator[tuple[Case, ...]]:
    """Yield cases by the scan of which they are regions: it is read once for some."""
    for _, group in groupby(cases, key=scans_together):
        while part := tuple(islice(group, _TOGETHER)):
            yield part


def _of_one_shape(
    result: OneCase | LeftOut, shape: tuple[int, ...] | None
) -> OneCase | LeftOut:
    if isinstance(result, LeftOut) or shape in (None, result.array.shape):
        return result
    size = "×".join(map(str, result.array.shape))
    return LeftOut(f"{_OTHER_SHAPE} {size}, that of others {'×'.join(map(str, shape))}")


def _as_set(labelled: LabelledSet, stored: Stored) -> PreparedSet:
    """Put names and labels to what was prepared.

    Raises
    ------
    TrainingError
        If nothing was, or most has another shape than the first.

    """
    cases = labelled.cases
    left_out = tuple((cases[n].source, why) for n, why in stored.left_out)
    other_shape = [why for _, why in left_out if why.startswith(_OTHER_SHAPE)]
    if not stored.kept:
        told = listed([f"{source}: {why}" for source, why in left_out], 3)
        raise TrainingError(
            f"no scan could be prepared ({told})",
            remedy="Look at the first scan with 'resonance inspect'",
        )
    if len(other_shape) > len(stored.kept):
        raise TrainingError(
            f"the recipe gives inputs of different shapes ({other_shape[0]})",
            remedy="End its geometry with crop_or_pad, head_crop, box or "
            "resample_shape",
        )
    kept = tuple(cases[n] for n in stored.kept)
    warnings = [*labelled.warnings, *_told(stored.warnings, len(kept))]
    targets = [labelled.labels.index(case.label) for case in kept]
    return PreparedSet(
        replace(labelled, cases=kept, warnings=tuple(warnings)),
        stored.inputs,
        stored.affines,
        np.array(targets, np.int64),
        stored.fingerprints,
        stored.studies,
        left_out,
        stored.facts,
    )


def _told(warnings: tuple[str, ...], n: int) -> list[str]:
    counted = Counter(warnings).most_common(_WARNINGS)
    return [f"{count} of {n} cases: {sentence}" for sentence, count in counted]
