"""One NIfTI or Analyze file in, one Scan out: voxels as stored, affine in RAS+ mm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import ReadError
from napari_resonance.geometry import checked_affine
from napari_resonance.reading.gzip_stream import (
    TrailingBytesError,
    fill,
    gzip_errors,
    open_gzip,
)
from napari_resonance.reading.nifti_header import NiftiHeader, read_nifti_header
from napari_resonance.reading.nifti_place import Place, place_of
from napari_resonance.reading.outline import Outline
from napari_resonance.reading.sidecar import facts_beside
from napari_resonance.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Mapping

# Deflate cannot expand a byte into more than 1032; a header that announces more than
# that lies, and is not believed with gigabytes of memory.
_LARGEST_EXPANSION = 1040
_CHUNK = 1 << 24
# Kinds of data whose fourth axis holds components of one value, not time
# (NIFTI_INTENT_GENMATRIX ... NIFTI_INTENT_QUATERNION, vectors and displacements).
_COMPONENT_INTENTS = range(1004, 1011)


def read_nifti(path: Path, *, in_memory: bool = False) -> Scan:
    """Read one NIfTI-1, NIfTI-2 or Analyze image.

    Parameters
    ----------
    path
        ``.nii``, ``.nii.gz``, or either file of an ``.hdr``/``.img`` pair.
    in_memory
        Whether the file may go away: then nothing stays mapped to it.

    Returns
    -------
    Scan
        Voxels with the dtype of the file, memory-mapped where it is not compressed;
        the affine from the sform, else the qform, in mm.

    Raises
    ------
    ReadError
        If the file is damaged or cut short, or holds what is no scan (complex numbers,
        surfaces, one dimension, more than one axis beyond time).

    """
    header = read_nifti_header(path)
    layout = _layout_of(header)
    place = place_of(header)
    stored, file_notes = _voxels(header, layout, in_memory)
    voxels, notes = _native(stored, layout, header.path)
    slope, intercept = header.scaling if not layout.channels else (1.0, 0.0)
    facts = facts_beside(path)
    return Scan(
        voxels=voxels,
        affine=place.affine,
        modality=facts.modality,
        slope=slope,
        intercept=intercept,
        color=bool(layout.channels),
        oriented=place.oriented,
        study=facts.study,
        series=facts.series,
        sources=header.files,
        meta={**_meta(header, place, layout), **facts.meta},
        warnings=(*_header_notes(header, place, layout), *file_notes, *notes),
    )


def outline_nifti(path: Path) -> Outline:
    """Describe one image by its header alone.

    Raises
    ------
    ReadError
        As `read_nifti`, but for compressed voxels that are damaged in the middle.

    """
    header = read_nifti_header(path)
    layout = _layout_of(header)
    place = place_of(header)
    notes: tuple[str, ...] = ()
    if not header.compressed:
        _check_length(header, layout)
    elif not _ends_as_announced(header, layout):
        _, notes = _unpacked(header, layout)
    facts = facts_beside(path)
    return Outline(
        shape=layout.shape + ((3,) if layout.channels else ()),
        affine=checked_affine(place.affine),
        modality=facts.modality,
        color=bool(layout.channels),
        oriented=place.oriented,
        study=facts.study,
        series=facts.series,
        sources=header.files,
        meta={**_meta(header, place, layout), **facts.meta},
        warnings=(*_header_notes(header, place, layout), *notes),
        n_bytes=layout.n_kept,
    )


def _header_notes(
    header: NiftiHeader, place: Place, layout: _Layout
) -> tuple[str, ...]:
    return (*place.warnings, *header.notes, *layout.notes)


@dataclass(frozen=True)
class _Layout:
    """How the bytes of the file are to be taken."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    channels: int
    notes: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize * max(self.channels, 1)

    @property
    def n_kept(self) -> int:
        """Bytes of voxels without those of transparency, which is left out."""
        return self.n_bytes * 3 // 4 if self.channels == 4 else self.n_bytes

    def beyond(self, n_bytes: int) -> tuple[str, ...]:
        """Say that bytes behind the voxels are too many for mere padding."""
        if n_bytes * self.shape[2] < self.n_bytes // math.prod(self.shape[3:]):
            return ()
        return ("it holds more voxels than its header tells of",)


def _layout_of(header: NiftiHeader) -> _Layout:
    shape, notes = _shape_of(header)
    dtype = header.dtype
    if dtype.kind == "c":
        raise ReadError(
            "holds complex numbers, which a network cannot take",
            source=header.path,
            remedy="Save its magnitude, or its real part, as a file of its own",
        )
    channels = len(dtype.names or ())
    if channels and len(shape) > 3:
        raise ReadError(
            "is a time series of colour volumes",
            source=header.path,
            remedy="Split it into one file per time point",
        )
    if channels:
        dtype = np.dtype(np.uint8)
    return _Layout(shape, dtype, channels, notes)


def _shape_of(header: NiftiHeader) -> tuple[tuple[int, ...], tuple[str, ...]]:
    shape = header.shape
    if sum(n > 1 for n in shape) < 2:
        raise ReadError(
            f"holds a single line of numbers, not an image: its shape is {shape}",
            source=header.path,
            remedy="Give the image that these numbers were computed from",
        )
    space, rest = shape[:3], tuple(n for n in shape[3:] if n > 1)
    if len(rest) > 1:
        raise ReadError(
            f"has more axes than space and time: its shape is {shape}",
            source=header.path,
            remedy="Split it into files of three or four dimensions",
        )
    notes: tuple[str, ...] = ()
    if rest and header.intent in _COMPONENT_INTENTS:
        notes = ("its fourth axis holds components of a vector or matrix, not time",)
    return space + (1,) * (3 - len(space)) + rest, notes


def _voxels(
    header: NiftiHeader, layout: _Layout, in_memory: bool
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return the stored voxels, ``(i, j, k[, t])`` or ``(channel, i, j, k)``."""
    shape = (layout.channels, *layout.shape) if layout.channels else layout.shape
    if header.compressed:
        flat, notes = _unpacked(header, layout)
        return flat.reshape(shape, order="F"), notes
    there = _check_length(header, layout)
    mapped = np.memmap(
        header.data_path, layout.dtype, "r", header.offset, shape, order="F"
    )
    voxels: NDArray[Any] = mapped
    # What starts at an odd byte cannot be taken by torch as it lies.
    if in_memory or not mapped.flags.aligned:
        voxels = np.array(mapped, order="F", subok=False)
    return voxels, layout.beyond(there - layout.n_bytes)


def _check_length(header: NiftiHeader, layout: _Layout) -> int:
    """Return how many bytes there are for voxels; refuse too few."""
    there = header.data_path.stat().st_size - header.offset
    if there < layout.n_bytes:
        raise _cut_short(header.path, layout.n_bytes, max(there, 0))
    return there


def _ends_as_announced(header: NiftiHeader, layout: _Layout) -> bool:
    """Tell whether the last word of a gzip file is the length that the header implies.

    A file that was cut short ends in something else (RFC 1952, ISIZE).
    """
    size = header.data_path.stat().st_size
    with open(header.data_path, "rb") as file:
        file.seek(max(size - 4, 0))
        (length,) = np.frombuffer(file.read(4).rjust(4, b"\0"), "<u4")
    return int(length) == (header.offset + layout.n_bytes) % (1 << 32)


def _unpacked(
    header: NiftiHeader, layout: _Layout
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Decompress the voxels into one array, with no second copy."""
    possible = header.data_path.stat().st_size * _LARGEST_EXPANSION
    if layout.n_bytes + header.offset > possible:
        raise _cut_short(header.path, layout.n_bytes, possible, "at most ")
    errors: tuple[type[Exception], ...] = (*gzip_errors(), MemoryError)
    try:
        flat = np.empty(layout.n_bytes, np.uint8)
        with open_gzip(header.data_path) as file:
            file.seek(header.offset)
            got = fill(file, flat.data)
            notes = _end_of(file, layout) if got == layout.n_bytes else ()
    except errors as error:
        raise ReadError(
            f"cannot be decompressed: {error}",
            source=header.path,
            remedy="The file is cut short or damaged; fetch or convert it again",
        ) from error
    if got < layout.n_bytes:
        raise _cut_short(header.path, layout.n_bytes, got)
    voxels = flat.view(layout.dtype)
    if not voxels.dtype.isnative:
        voxels = voxels.byteswap(inplace=True).view(voxels.dtype.newbyteorder("="))
    return voxels, notes


def _end_of(file: IO[bytes], layout: _Layout) -> tuple[str, ...]:
    """Read to the checksum behind the voxels, and say what else is there.

    Raises
    ------
    Exception
        One of `gzip_errors`, if the checksum is not that of the content.

    """
    try:
        return layout.beyond(len(file.read(_CHUNK)))
    except EOFError:
        return ("its end is missing: the checksum of its voxels cannot be verified",)
    except TrailingBytesError as error:
        return (str(error),)


def _cut_short(path: Path, wanted: int, there: int, about: str = "") -> ReadError:
    return ReadError(
        f"is cut short: its header announces {wanted:,} bytes of voxels, "
        f"{about}{there:,} are there",
        source=path,
        remedy="Fetch or convert it again",
    )


def _native(
    voxels: NDArray[Any], layout: _Layout, path: Path
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Bring byte order, colour axis and number type to what numpy and torch can use."""
    if layout.channels:
        moved = np.moveaxis(voxels, 0, -1)
        if layout.channels == 3:
            return moved, ()
        rgb = np.ascontiguousarray(moved[..., :3].transpose(2, 1, 0, 3))
        return rgb.transpose(2, 1, 0, 3), ("its transparency channel was left out",)
    if voxels.dtype.kind == "f" and voxels.dtype.itemsize > 8:
        return voxels.astype(np.float64, order="F"), (
            "its 128-bit numbers were rounded to 64 bits",
        )
    if voxels.dtype.kind not in "iufb":
        raise ReadError(f"holds numbers of type {voxels.dtype}", source=path)
    if not voxels.dtype.isnative:
        return voxels.astype(voxels.dtype.newbyteorder("="), order="F"), ()
    return voxels, ()


def _meta(header: NiftiHeader, place: Place, layout: _Layout) -> Mapping[str, Any]:
    meta: dict[str, Any] = {"affine_source": place.source}
    if header.description:
        meta["description"] = header.description
    if header.intent_name:
        meta["intent_name"] = header.intent_name
    if len(layout.shape) == 4 and header.time_step_ms:
        meta["repetition_time_ms"] = header.time_step_ms
    return meta
