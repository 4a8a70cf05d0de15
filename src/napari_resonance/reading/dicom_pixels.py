"""The pixels of planes, decoded straight into one array that is the volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import CancelledError, DependencyError, ReadError
from napari_resonance.progress import ShouldStop
from napari_resonance.reading.dicom_encoding import Encoding
from napari_resonance.reading.dicom_frames import Frame
from napari_resonance.reading.dicom_geometry import Stack
from napari_resonance.reading.dicom_header import (
    DEFLATED,
    PARSE_ERRORS,
    inflate_checked,
)

_JPEG = "1.2.840.10008.1.2.4."
_JPEG_EXTENDED = _JPEG + "51"
# Which package of the plain installation decodes what.
_DECODED_BY = {
    **{_JPEG + n: "python-gdcm" for n in ("50", "51", "57", "70")},
    **{_JPEG + n: "pyjpegls" for n in ("80", "81")},
    **{
        _JPEG + n: "pylibjpeg-openjpeg"
        for n in ("90", "91", "92", "93", "201", "202", "203")
    },
}


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
        except PARSE_ERRORS as error:
            failed[path] = _reason(error)
    if failed:
        raise PixelError(failed)


def _reason(error: Exception) -> str:
    """Return one line: of several decoders that failed, what the first one says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = (
        lines[1] if len(lines) > 1 and lines[0].endswith(":") else "".join(lines[:1])
    )
    return first or type(error).__name__


def _decode_file(
    path: Path, planes: list[tuple[Frame, NDArray[Any]]], rescale: bool
) -> None:
    encoding = planes[0][0].encoding
    if encoding.is_direct and not rescale and _fit(encoding, planes):
        with path.open("rb", buffering=0) as file:
            for frame, plane in planes:
                _read_frame(file, encoding, frame.index, plane)
                _mend_bits(plane, encoding)
        return
    planes.sort(key=lambda job: job[0].index)
    indices = sorted({f.index for f, _ in planes})
    images = _stored if encoding.is_direct else _decoded
    frames = images(path, encoding, indices)
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


def _stored(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Read frames that are stored as they are."""
    size = (encoding.rows, encoding.columns) + ((3,) if encoding.color else ())
    with path.open("rb", buffering=0) as file:
        for index in indices:
            image = np.empty(size, encoding.dtype)
            _read_frame(file, encoding, index, image)
            yield image


def _read_frame(
    file: IO[bytes], encoding: Encoding, index: int, image: NDArray[Any]
) -> None:
    file.seek((encoding.start or 0) + index * encoding.frame_bytes)
    target = image.view(np.uint8).reshape(-1).data
    done = 0
    while done < len(target):
        got = file.readinto(target[done:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError("the file ends within its pixels")
        done += got
    if not encoding.little:
        image.byteswap(inplace=True)


def _cut(image: NDArray[Any], frame: Frame) -> NDArray[Any]:
    if frame.tile is None:
        return image
    top, bottom, left, right = frame.tile
    return image[top:bottom, left:right]


def _put(image: NDArray[Any], frame: Frame, plane: NDArray[Any], rescale: bool) -> None:
    if image.shape != plane.shape:
        raise ValueError(f"decoded to {image.shape} instead of {plane.shape} pixels")
    if not rescale:
        plane[...] = image
        _mend_bits(plane, frame.encoding)
        return
    stored = image.astype(frame.encoding.dtype)
    _mend_bits(stored, frame.encoding)
    plane[...] = stored * frame.slope + frame.intercept


def _mend_bits(plane: NDArray[Any], encoding: Encoding) -> None:
    """Clear an overlay from the unused high bits, and extend a sign into them."""
    bits = encoding.stored
    if plane.dtype.kind not in "iu" or not 0 < bits < encoding.allocated:
        return
    if encoding.hides_overlay:
        plane &= plane.dtype.type((1 << bits) - 1)
    half = 1 << (bits - 1)
    if encoding.signed and plane.min() >= 0 and half <= plane.max() < 2 * half:
        plane[plane >= half] |= plane.dtype.type(-2 * half)


def _decoded(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Decode frames of a file through pydicom and the packages it knows."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    if encoding.syntax == _JPEG_EXTENDED and encoding.allocated > 8:
        yield from _by_gdcm(path, encoding, indices)
        return
    decoder = get_decoder(UID(encoding.syntax))
    if not decoder.is_available:
        raise _no_decoder(encoding.syntax, path)
    if encoding.native or encoding.start is None:
        if encoding.syntax == DEFLATED:
            inflate_checked(path)
        source, options = _dataset(path, encoding)
    else:
        source, options = _compressed(path, encoding)
    for image, _ in decoder.iter_array(source, indices=indices, raw=False, **options):
        yield _as_rgb(image, path, encoding)


def _by_gdcm(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Decode 12-bit JPEG, which pydicom does not let gdcm do."""
    try:
        import gdcm
    except ImportError:
        raise _no_decoder(encoding.syntax, path) from None
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise ValueError("gdcm cannot read it")
    # gdcm hands bytes over as text.
    buffer = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    size = (encoding.frames, encoding.rows, encoding.columns)
    images = np.frombuffer(buffer, encoding.dtype).reshape(size)
    for index in indices:
        yield images[index]


def _dataset(path: Path, encoding: Encoding) -> tuple[Any, dict[str, Any]]:
    from pydicom import dcmread

    dataset = dcmread(path, force=True)
    # What a damaged header leaves out is filled in as it was understood.
    dataset.SamplesPerPixel = encoding.samples
    dataset.PhotometricInterpretation = encoding.photometric or "MONOCHROME2"
    return dataset, {}


def _compressed(path: Path, encoding: Encoding) -> tuple[Any, dict[str, Any]]:
    """Return the encapsulated fragments as they are, with what describes them.

    They are taken by their lengths. Looking for the mark of their end instead, as a
    parser of the whole file does, stops too early where compressed bytes resemble it.
    """
    with path.open("rb") as file:
        file.seek(encoding.start or 0)
        fragments = file.read()
    return fragments, {
        "bits_allocated": encoding.allocated,
        "bits_stored": encoding.stored,
        "columns": encoding.columns,
        "number_of_frames": encoding.frames,
        "photometric_interpretation": encoding.photometric or "MONOCHROME2",
        "pixel_keyword": encoding.element,
        "pixel_representation": int(encoding.signed),
        "planar_configuration": int(encoding.planar),
        "rows": encoding.rows,
        "samples_per_pixel": encoding.samples,
    }


def _no_decoder(syntax: str, path: Path) -> DependencyError:
    from pydicom.uid import UID

    package = _DECODED_BY.get(syntax, "python-gdcm")
    return DependencyError(
        f"is compressed as {UID(syntax).name}, and no decoder for it is installed",
        source=path,
        remedy=f"Install it with: python -m pip install {package}",
    )


def _as_rgb(image: NDArray[Any], path: Path, encoding: Encoding) -> NDArray[Any]:
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut

    if encoding.photometric != "PALETTE COLOR":
        return image
    palette = dcmread(path, stop_before_pixels=True, force=True)
    colors: NDArray[Any] = apply_color_lut(image, palette)[..., :3]
    if colors.dtype.itemsize > 1:
        colors = (colors >> 8).astype(np.uint8)
    return colors
