"""The pixels of planes, decoded straight into one array that is the volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.progress import ShouldStop
from napari_resonance.reading.dicom_decoding import images_of, mend_bits, read_frame
from napari_resonance.reading.dicom_encoding import Encoding
from napari_resonance.reading.dicom_frames import Frame
from napari_resonance.reading.dicom_geometry import Stack
from napari_resonance.reading.dicom_header import DamagedError, parse_errors, reason_of


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
        pairs = {(f.slope, f.intercept) for f in frames}
        if len(pairs) == 1:
            return cls(*pairs.pop(), False)
        return cls(1.0, 0.0, True)


def load_volumes(
    volumes: Sequence[Sequence[Frame]], stack: Stack, should_stop: ShouldStop
) -> NDArray[Any]:
    """Decode planes into ``(time, plane, row, column[, 3])``.

    Parameters
    ----------
    volumes
        The planes of each time point, in the order of the stack.
    stack
        The grid; planes that it has and the files have not are interpolated between
        their neighbours, in the dtype of the files.
    should_stop
        Asked before each file.

    Raises
    ------
    PixelError
        If files are damaged; it names all of them.
    DependencyError
        If the decoder of their compression is not installed.

    """
    frames = [f for volume in volumes for f in volume]
    scaling = Scaling.of(frames)
    dtype = np.result_type(*{f.encoding.dtype for f in frames})
    if scaling.is_applied:
        dtype = np.dtype(np.float32)
    first = frames[0]
    size = (first.rows, first.columns) + ((3,) if first.encoding.color else ())
    out = _reserve((len(volumes), stack.n_planes, *size), dtype, first.path)
    whole = stack.is_even or all(a == round(a) for a in stack.at)
    jobs: list[tuple[Frame, NDArray[Any]]] = []
    loose: list[NDArray[Any]] = []
    for volume, target in zip(volumes, out, strict=True):
        planes = [target[round(a)] for a in stack.at]
        if not whole:
            loose.append(_reserve((len(volume), *size), dtype, first.path))
            planes = list(loose[-1])
        jobs += zip(volume, planes, strict=True)
    _decode(jobs, scaling.is_applied, should_stop)
    for n, target in enumerate(out):
        if not stack.is_even:
            given = target[[round(a) for a in stack.at]] if whole else loose[n]
            _fill_between(given, stack.at, target)
    return out


def _reserve(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> NDArray[Any]:
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        raise ReadError(
            f"needs more memory than there is for its {shape} voxels",
            source=path,
            remedy="Read it on a machine with more memory",
        ) from error


def _fill_between(
    given: NDArray[Any], at: Sequence[float], target: NDArray[Any]
) -> None:
    """Interpolate linearly along the stack wherever a grid plane is not a given one."""
    for k in range(len(target)):
        above = int(np.searchsorted(at, k))
        if above < len(at) and abs(at[above] - k) < 1e-9:
            target[k] = given[above]
            continue
        above = min(max(above, 1), len(at) - 1)
        share = (k - at[above - 1]) / (at[above] - at[above - 1])
        between = (1 - share) * given[above - 1] + share * given[above].astype(
            np.float64
        )
        target[k] = between if target.dtype.kind == "f" else np.round(between)


def _decode(
    jobs: Iterable[tuple[Frame, NDArray[Any]]], rescale: bool, should_stop: ShouldStop
) -> None:
    failed: dict[Path, str] = {}
    by_file: dict[Path, list[tuple[Frame, NDArray[Any]]]] = defaultdict(list)
    for job in jobs:
        by_file[job[0].path].append(job)
    for path, planes in by_file.items():
        if should_stop():
            raise CancelledError("reading was stopped", source=path)
        try:
            _decode_file(path, planes, rescale)
        except parse_errors() as error:
            failed[path] = reason_of(error)
    if failed:
        raise PixelError(failed)


def _decode_file(
    path: Path, planes: list[tuple[Frame, NDArray[Any]]], rescale: bool
) -> None:
    encoding = planes[0][0].encoding
    if encoding.is_direct and not rescale and _fit(encoding, planes):
        with path.open("rb", buffering=0) as file:
            for frame, plane in planes:
                read_frame(file, encoding, frame.index, plane)
                mend_bits(plane, encoding)
        return
    planes.sort(key=lambda job: job[0].index)
    indices = sorted({f.index for f, _ in planes})
    frames = images_of(path, encoding, indices)
    for _, group in groupby(planes, key=lambda job: job[0].index):
        image = next(frames)
        for frame, plane in group:
            _put(_cut(image, frame), frame, plane, rescale)


def _fit(encoding: Encoding, planes: list[tuple[Frame, NDArray[Any]]]) -> bool:
    """Tell whether the bytes of the file can go into the planes as they are."""
    return all(
        f.tile is None and plane.dtype == encoding.dtype and plane.flags.c_contiguous
        for f, plane in planes
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
