"""The pixels of planes, decoded straight into one array that is the volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.progress import ShouldStop
from napari_resonance.reading.decoder_pool import decoder_pool
from napari_resonance.reading.dicom_decoding import (
    decode_frame,
    images_of,
    is_framed,
    read_frame,
)
from napari_resonance.reading.dicom_encoding import Encoding
from napari_resonance.reading.dicom_header import DamagedError, parse_errors, reason_of
from napari_resonance.reading.fragments import Fragments
from napari_resonance.reading.frame import Frame
from napari_resonance.reading.isolated import TooSlowError
from napari_resonance.reading.sharing import share_out
from napari_resonance.reading.stored_bits import mend_bits

Job = tuple[Frame, NDArray[Any]]
"""A plane of a file, and the array it goes into."""

# Threads that read: more than there are cores, since they wait for disks or networks.
_READERS, _FILES_PER_READER = 4, 8
# After so many images whose decoders had to be stopped, the others of the scan are not
# tried: a thousand of them would take hours to refuse.
_MOST_SLOW = 3
# A helper process takes a third of a second to start, which less is not worth.
_BYTES_PER_DECODER, _BYTES_OF_LONE_FRAMES = 1 << 21, 1 << 20


class PixelError(ReadError):
    """Files whose pixels cannot be decoded; the rest of their series may be fine."""

    def __init__(self, failed: dict[Path, str]) -> None:
        path, reason = next(iter(failed.items()))
        super().__init__(
            f"its pixels cannot be decoded: {reason}",
            source=path,
            remedy="The file is damaged; fetch or export it again",
        )
        self.failed = failed


@dataclass(frozen=True)
class Scaling:
    """From stored to physical values: one for all planes, or applied plane by plane."""

    slope: float
    intercept: float
    is_applied: bool

    @classmethod
    def of(cls, frames: Iterable[Frame]) -> Scaling:
        """Find out whether all planes share slope and intercept."""
        frames = list(frames)
        if any(f.encoding.color for f in frames):
            # Only grey values are measured in units (PS3.3 C.11.1).
            return cls(1.0, 0.0, False)
        pairs = {(f.slope, f.intercept) for f in frames}
        if len(pairs) == 1:
            return cls(*pairs.pop(), False)
        return cls(1.0, 0.0, True)


def fill_planes(jobs: Sequence[Job], rescale: bool, should_stop: ShouldStop) -> None:
    """Read or decode planes into the arrays they are given, on all cores.

    Parameters
    ----------
    jobs
        Planes of any number of files.
    rescale
        Apply slope and intercept of each plane.
    should_stop
        Asked before each file.

    Raises
    ------
    PixelError
        If files are damaged; it names all of them.
    DependencyError
        If the decoder of their compression is not installed.
    CancelledError
        If `should_stop` returned True.

    """
    by_file: dict[Path, list[Job]] = defaultdict(list)
    for job in jobs:
        by_file[job[0].path].append(job)
    failures = _Failures()
    tasks = _tasks(by_file, rescale, failures, should_stop)
    share_out(tasks, _n_threads(jobs, len(by_file)))
    if failed := failures.reasons:
        # In the order of the planes, not in that in which threads met them.
        raise PixelError({path: failed[path] for path in by_file if path in failed})


@dataclass
class _Failures:
    """Files that could not be decoded, and why."""

    reasons: dict[Path, str] = field(default_factory=dict)
    n_slow: int = 0

    def attempt(self, path: Path, fill: Callable[[], None]) -> None:
        """Fill planes of a file, unless others of it could not be filled."""
        if path in self.reasons:
            return
        if self.n_slow >= _MOST_SLOW:
            self.reasons[path] = "not tried: decoders did not end over others"
            return
        try:
            fill()
        except parse_errors() as error:
            self.n_slow += isinstance(error, TooSlowError)
            self.reasons[path] = reason_of(error)


def _n_threads(jobs: Sequence[Job], n_files: int) -> int:
    framed = [f.encoding for f, _ in jobs if is_framed(f.encoding)]
    if framed:
        n_bytes = sum(encoding.frame_bytes for encoding in framed)
        worth = max(1, n_bytes // _BYTES_PER_DECODER)
        return min(decoder_pool.size, len(framed), worth)
    return max(1, min(_READERS, n_files // _FILES_PER_READER))


def _tasks(
    by_file: dict[Path, list[Job]],
    rescale: bool,
    failures: _Failures,
    should_stop: ShouldStop,
) -> Iterator[Callable[[], None]]:
    """Yield what is to be done, a file or a compressed frame at a time."""
    n_bytes = sum(f.encoding.frame_bytes for jobs in by_file.values() for f, _ in jobs)
    is_lone = n_bytes <= _BYTES_OF_LONE_FRAMES
    for path, jobs in by_file.items():
        if should_stop():
            raise CancelledError("reading was stopped", source=path)
        encoding = jobs[0][0].encoding
        if not is_framed(encoding):
            yield partial(failures.attempt, path, partial(_fill_file, jobs, rescale))
            continue
        try:
            for stream, planes in _streams(path, encoding, jobs):
                fill = partial(_fill_frame, stream, planes, rescale, is_lone)
                yield partial(failures.attempt, path, fill)
        except parse_errors() as error:
            failures.reasons[path] = reason_of(error)


def _streams(
    path: Path, encoding: Encoding, jobs: list[Job]
) -> Iterator[tuple[bytes, list[Job]]]:
    """Yield the compressed frames of a file, each with the planes that it holds."""
    jobs.sort(key=_index)
    with path.open("rb") as file:
        fragments = Fragments(file, encoding)
        for index, planes in groupby(jobs, key=_index):
            yield fragments.stream(index), list(planes)


def _index(job: Job) -> int:
    return job[0].index


def _fill_frame(stream: bytes, jobs: list[Job], rescale: bool, is_lone: bool) -> None:
    frame, plane = jobs[0]
    into = None if rescale or len(jobs) > 1 or frame.tile is not None else plane
    image = decode_frame(stream, frame.path, frame.encoding, into, is_lone=is_lone)
    if image is into:
        mend_bits(plane, frame.encoding)
        return
    for frame, plane in jobs:
        _put(_cut(image, frame), frame, plane, rescale)


def _fill_file(jobs: list[Job], rescale: bool) -> None:
    path, encoding = jobs[0][0].path, jobs[0][0].encoding
    if encoding.is_direct and not rescale and _fit(encoding, jobs):
        with open(path, "rb", buffering=0) as file:
            for frame, plane in jobs:
                read_frame(file, encoding, frame.index, plane)
                mend_bits(plane, encoding)
        return
    jobs.sort(key=_index)
    images = images_of(path, encoding, sorted({f.index for f, _ in jobs}))
    for _, group in groupby(jobs, key=_index):
        image = next(images)
        for frame, plane in group:
            _put(_cut(image, frame), frame, plane, rescale)


def _fit(encoding: Encoding, jobs: list[Job]) -> bool:
    """Tell whether the bytes of the file can go into the planes as they are."""
    return all(
        f.tile is None and plane.dtype == encoding.dtype and plane.flags.c_contiguous
        for f, plane in jobs
    )


def _cut(image: NDArray[Any], frame: Frame) -> NDArray[Any]:
    if frame.tile is None:
        return image
    top, bottom, left, right = frame.tile
    return image[top:bottom, left:right]


def _put(image: NDArray[Any], frame: Frame, plane: NDArray[Any], rescale: bool) -> None:
    if image.shape != plane.shape:
        raise DamagedError(f"decoded to {image.shape} instead of {plane.shape} pixels")
    if not rescale:
        plane[...] = image
        mend_bits(plane, frame.encoding)
        return
    stored = image.astype(frame.encoding.dtype)
    mend_bits(stored, frame.encoding)
    plane[...] = stored * frame.slope + frame.intercept
