"""From the files of a scan to what a network is asked: the work of a reading process.

Nothing here imports torch: a reading process is small, and starts fast.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from napari_resonance.classifier.stages import PreparedCase
from napari_resonance.errors import (
    ReadError,
    ResonanceError,
    UnsuitableScanError,
    without_source,
)
from napari_resonance.reading import Promised, promised_scans
from napari_resonance.scan import Scan, source_of
from napari_resonance.scoring.journal import FAILED, SCORED, SKIPPED
from napari_resonance.scoring.maps import Drawn, judged
from napari_resonance.scoring.options import Scorer
from napari_resonance.scoring.plan import Item

GONE = "gone"
"""Status of a scan whose files are not there any more; never kept in the journal."""


@dataclass(frozen=True)
class Job:
    """Scans that are read together, since they lie in the same files.

    Parameters
    ----------
    wanted
        Each scan, and the numbers of the models that are to score it.
    force, maps
        As in `ScoreOptions`.
    whole
        Whether the reading process is to run the network too.
    last
        Whether nothing else is at work: what its process ends over is this scan.

    """

    wanted: tuple[tuple[Item, tuple[int, ...]], ...]
    force: bool = False
    whole: bool = False
    last: bool = False
    maps: bool = False

    @property
    def n_bytes(self) -> int:
        """How much memory its largest scan takes; they are read one at a time."""
        return max(item.n_bytes for item, _ in self.wanted)

    def alone(self) -> list[Job]:
        """Return a job for each scan, to be done one at a time after all others."""
        return [replace(self, wanted=(w,), whole=True, last=True) for w in self.wanted]

    def without(self, done: set[tuple[str, int]]) -> Job:
        """Return the job for what is not done: keys of scans, numbers of models."""
        left = (
            (i, tuple(m for m in ms if (i.key, m) not in done)) for i, ms in self.wanted
        )
        return replace(self, wanted=tuple((i, ms) for i, ms in left if ms))


@dataclass(frozen=True, eq=False)
class Ready:
    """A scan that a network can be asked about.

    Parameters
    ----------
    item, model
        Key of the scan, number of the model.
    case
        Its input; of the scan all but the voxels.
    content
        Hash of voxels and place.
    seconds
        That reading, preparing and the network took.

    """

    item: str
    model: int
    case: PreparedCase
    content: str
    seconds: tuple[float, float, float]

    @property
    def n_bytes(self) -> int:
        """How much memory it takes."""
        return int(self.case.network_input.array.nbytes)


@dataclass(frozen=True, eq=False)
class Ended:
    """A scan that is done with: skipped, failed, or answered by a reading process."""

    item: str
    model: int
    status: str
    answer: dict[str, Any]
    content: str = ""
    seconds: tuple[float, float, float] = (0.0, 0.0, 0.0)
    n_bytes: int = 0
    drawn: Drawn | None = None


def prepared(job: Job, scorers: Sequence[Scorer]) -> Iterator[Ready | Ended]:
    """Yield what comes of each scan of a job with each of its models, all of them.

    Parameters
    ----------
    job
        What is to be read.
    scorers
        All models of the run.

    """
    for item, models, scan, read in _read(job):
        if isinstance(scan, ResonanceError):
            # A share that is gone is no fault of the scan: it will be asked again.
            is_there = os.path.exists(item.files[0])
            for number in models:
                status = FAILED if is_there else GONE
                yield Ended(item.key, number, status, error_entry(scan))
            continue
        started = time.perf_counter()
        content = content_of(scan)
        once = read + time.perf_counter() - started
        for number in models:
            yield _one(job, scorers[number], scan, (item, number, content, once))
            once = 0.0
        del scan  # before the next one is read


def content_of(scan: Scan) -> str:
    """Return a hash of a scan's voxels and where they lie: copies have the same."""
    voxels = np.asarray(scan.voxels)
    digest = hashlib.sha256(f"{voxels.dtype.str} {voxels.shape}".encode())
    digest.update(np.round(scan.affine, 4).tobytes())
    digest.update(np.array([scan.slope, scan.intercept]).tobytes())
    digest.update(np.ascontiguousarray(voxels.T).data.cast("B"))
    return digest.hexdigest()


def error_entry(error: BaseException) -> dict[str, Any]:
    """Return an error as it is kept in the journal: without the place of the file."""
    if isinstance(error, ResonanceError):
        return {"error": without_source(error), "type": type(error).__name__}
    kind = type(error).__name__
    if isinstance(error, MemoryError):
        return {"error": "There is not enough memory for it.", "type": kind}
    return {
        "error": f"An error that was not foreseen: {kind}. Please report it.",
        "type": kind,
    }


def _one(
    job: Job, scorer: Scorer, scan: Scan, known: tuple[Item, int, str, float]
) -> Ready | Ended:
    planned, number, content, read = known
    item = planned.key
    started = time.perf_counter()
    try:
        case = scorer.prepare(scan, center_mm=planned.center_mm, force=job.force)
        ready = time.perf_counter()
        seconds = (read, ready - started, 0.0)
        if not job.whole:
            return Ready(item, number, _light(case), content, seconds)
        network = scorer.run(case.network_input.array)
        answer, drawn = judged(scorer, _light(case), network, maps=job.maps)
    except UnsuitableScanError as error:
        return Ended(item, number, SKIPPED, error_entry(error), content)
    # Whatever a scan brings about ends this scan, not the run over all the others.
    except Exception as error:  # noqa: BLE001
        return Ended(item, number, FAILED, error_entry(error), content)
    seconds = (read, ready - started, time.perf_counter() - ready)
    answer["seconds"] = sum(seconds)
    return Ended(item, number, SCORED, answer, content, seconds, drawn=drawn)


_Read = tuple[Item, tuple[int, ...], Scan | ResonanceError, float]


def _read(job: Job) -> Iterator[_Read]:
    """Yield each scan of a job when it is read, with its models and the seconds.

    There is one in memory at a time, if whoever gets it lets go of it: an archive may
    hold many.
    """
    started = time.perf_counter()
    left = list(job.wanted)
    reasons: list[str] = []
    try:
        with closing(
            promised_scans(
                left[0][0].files, on_skip=lambda path, reason: reasons.append(reason)
            )
        ) as batches:
            # Files that make one scan, or one archive: only one of these holds scans.
            found: list[Promised] = next(filter(None, batches), [])
            for same in _of_one_scan(left):
                scan = _scan(same[0][0], found, reasons)
                for item, models in same:
                    left.pop(0)
                    yield item, models, scan, time.perf_counter() - started
                    started = time.perf_counter()
                del scan
    except ResonanceError as error:
        told: ResonanceError = error
    # As in `_scan`.
    except Exception as error:  # noqa: BLE001
        told = _unforeseen(error)
    for item, models in left:
        yield item, models, told, time.perf_counter() - started


def _of_one_scan(
    wanted: Sequence[tuple[Item, tuple[int, ...]]],
) -> list[list[tuple[Item, tuple[int, ...]]]]:
    """Put regions of one scan together, which are next to each other in a plan."""
    groups = groupby(wanted, lambda one: one[0].number)
    return [list(group) for _, group in groups]


def _scan(
    item: Item, found: Sequence[Promised], reasons: list[str]
) -> Scan | ResonanceError:
    """Read the scan that was planned out of those that its files hold."""
    promised = _chosen(item, found)
    if promised is not None:
        reasons.clear()  # of other scans of the same files
    try:
        scans = promised.read() if promised is not None else []
    except ResonanceError as error:
        return error
    # Whatever a scan brings about ends this scan, not the run over all the others.
    except Exception as error:  # noqa: BLE001
        return _unforeseen(error)
    if len(scans) == 1:
        return scans[0]
    if not scans and reasons:
        return ReadError(reasons[0])
    if scans:
        return ReadError(f"without its damaged files, it falls into {len(scans)} scans")
    return ReadError(
        f"its files hold {len(found)} scans, and {item.of} when they were looked up",
        remedy="Run again: the plan is made anew where files have changed",
    )


def _chosen(item: Item, found: Sequence[Promised]) -> Promised | None:
    if len(found) == item.of:
        return found[item.number]
    like = [
        p
        for p in found
        if p.outline.series == item.series
        and Path(source_of(p.outline)).name == Path(item.source).name
    ]
    return like[0] if len(like) == 1 else None


def _unforeseen(error: Exception) -> ReadError:
    return ReadError(error_entry(error)["error"].rstrip("."))


def _light(case: PreparedCase) -> PreparedCase:
    """Return a case whose scan has no voxels, but as many axes and volumes."""
    shape = (1, 1, 1, *case.scan.shape[3:])
    voxels = np.zeros(shape, np.uint8)
    return replace(case, scan=replace(case.scan, voxels=voxels))
