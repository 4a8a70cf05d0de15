"""The header of a NIfTI or Analyze file: what is in it, and where its voxels start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_resonance.errors import ReadError
from napari_resonance.reading.gzip_stream import MAGIC, gzip_errors, open_gzip
from napari_resonance.reading.nifti_layout import (
    NIFTI1_SIZE,
    NIFTI2_SIZE,
    header_fields,
    units_of,
    voxel_type,
)
from napari_resonance.reading.nifti_pair import pair_of

_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_SIZES = {n.to_bytes(4, o) for n in (NIFTI1_SIZE, NIFTI2_SIZE) for o in _ORDERS}
_EXTENSION_FLAG = 4
_FARTHEST_VOXELS = 1 << 62
_BINARY, _FLOAT128 = 1, 1536
_CIFTI_INTENTS = range(3000, 3100)
_SECONDS_IN_MS = {"sec": 1000.0, "msec": 1.0, "usec": 0.001}
_MAX_AXES = 7


@dataclass(frozen=True)
class NiftiHeader:
    """What a header says, checked as far as numbers go.

    Parameters
    ----------
    path
        The file that was asked for.
    files
        All files of the image: one, or header and voxels.
    data_path, offset, compressed
        Where the voxels are, from which (uncompressed) byte on.
    shape
        Lengths of all axes, as in the file.
    dtype
        Type of a voxel in the file's byte order; structured for RGB and RGBA.
    fields
        The header as it stands in the file.
    is_analyze
        Whether it is an Analyze 7.5 header, which knows no orientation.
    notes
        What is odd about it.

    """

    path: Path
    files: tuple[Path, ...]
    data_path: Path
    offset: int
    compressed: bool
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fields: np.void
    is_analyze: bool
    notes: tuple[str, ...]

    @property
    def scaling(self) -> tuple[float, float]:
        """Slope and intercept from stored to physical values.

        A slope of zero, NaN or infinity means that the stored values are physical
        (NIfTI-1, ``scl_slope``). SPM puts a slope at the same place into Analyze files,
        and no intercept.
        """
        slope = float(self.fields["scl_slope"])
        intercept = 0.0 if self.is_analyze else float(self.fields["scl_inter"])
        if not math.isfinite(slope) or slope == 0:
            return 1.0, 0.0
        return slope, intercept if math.isfinite(intercept) else 0.0

    @property
    def intent(self) -> int:
        """The intent code; 0 for a plain image."""
        return 0 if self.is_analyze else int(self.fields["intent_code"])

    @property
    def intent_name(self) -> str:
        """What the file calls its values; often empty."""
        return "" if self.is_analyze else _text(self.fields["intent_name"])

    @property
    def description(self) -> str:
        """The free text of the header."""
        return _text(self.fields["descrip"])

    @property
    def units(self) -> tuple[str, str]:
        """Names of the units of space and time, ``"unknown"`` where not given."""
        if self.is_analyze:
            return "mm", "unknown"
        return units_of(int(self.fields["xyzt_units"]))

    @property
    def time_step_ms(self) -> float | None:
        """Time from one volume to the next, where the header gives it."""
        step = float(self.fields["pixdim"][4])
        scale = _SECONDS_IN_MS.get(self.units[1])
        return step * scale if scale and math.isfinite(step) and step > 0 else None


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read and check the header of a single file or of an ``.hdr``/``.img`` pair.

    Raises
    ------
    ReadError
        If there is no such header, or it describes no image.

    """
    header_path, data_path = pair_of(path)
    raw, compressed = _first_bytes(header_path or path)
    fields, order = _parsed(raw, path, header_path)
    magic = _text(fields["magic"])
    is_analyze = not magic.startswith(("n+", "ni"))
    # A single-file image may carry the ending .img, or the mark of a pair.
    single = magic.startswith("n+") or (header_path is None and not is_analyze)
    if single:
        header_path = data_path = header_path or path
    elif header_path is None or data_path is None:
        missing = Path(path.name).with_suffix(".img")
        raise ReadError(
            f"is only the header of an image: {missing} is missing",
            source=path,
            remedy="Put both files of the pair into one folder",
        )
    else:
        compressed = _first_bytes(data_path)[1]
    offset, notes = _offset(fields, single, path)
    shape, shape_notes = _shape(fields, path)
    return NiftiHeader(
        path=path,
        files=(header_path,) if single else (header_path, data_path),
        data_path=data_path,
        offset=offset,
        compressed=compressed,
        shape=shape,
        dtype=_dtype(fields, order, path),
        fields=fields,
        is_analyze=is_analyze,
        notes=(*notes, *shape_notes),
    )


def _first_bytes(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes, inflated, and whether they were compressed."""
    try:
        with path.open("rb") as plain:
            head = plain.read(NIFTI2_SIZE)
        if not head.startswith(MAGIC):
            return head, False
        with open_gzip(path) as packed:
            return packed.read(NIFTI2_SIZE), True
    except gzip_errors() as error:
        raise ReadError(
            f"cannot be read: {_reason(error)}",
            source=path,
            remedy="Check that the file is there, complete and readable",
        ) from error


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or "damaged").lower()


def _parsed(raw: bytes, path: Path, header_path: Path | None) -> tuple[np.void, str]:
    fields, order = header_fields(raw)
    if fields is not None:
        return fields, order
    if raw[:4] in _SIZES:
        raise ReadError(
            "is cut short within its header",
            source=path,
            remedy="Fetch or convert it again",
        )
    if header_path is None and path.name.lower().endswith((".img", ".img.gz")):
        raise ReadError(
            f"is not a NIfTI or Analyze image by itself: {path.stem}.hdr is missing",
            source=path,
            remedy="Put both files of the pair into one folder",
        )
    raise ReadError(
        "is not a NIfTI or Analyze image",
        source=path,
        remedy="Check that the file is what its name says",
    )


def _offset(fields: np.void, single: bool, path: Path) -> tuple[int, tuple[str, ...]]:
    offset = float(fields["vox_offset"])
    if not math.isfinite(offset) or not 0 <= offset < _FARTHEST_VOXELS:
        raise ReadError(
            f"its voxels start at byte {offset}, which cannot be",
            source=path,
            remedy="Convert the image again",
        )
    size = int(fields["sizeof_hdr"])
    if single and offset < size:
        usual = size + _EXTENSION_FLAG
        note = f"its header lets the voxels start within it; read from byte {usual}"
        return usual, ((note,) if offset else ())
    return int(offset), ()


def _shape(fields: np.void, path: Path) -> tuple[tuple[int, ...], tuple[str, ...]]:
    dim = [int(n) for n in fields["dim"]]
    shape = dim[1 : dim[0] + 1] if 1 <= dim[0] <= _MAX_AXES else []
    # Programs that fill no more than three leave zeros in the axes behind.
    filled = [*shape[:2], *(n or 1 for n in shape[2:])]
    if not shape or min(filled) < 1:
        raise ReadError(
            f"describes no image: its dimensions are {dim[: max(dim[0], 0) + 1]}",
            source=path,
            remedy="Convert the image again",
        )
    if int(fields["intent_code"]) in _CIFTI_INTENTS:
        raise ReadError(
            "holds surface or greyordinate data (CIFTI-2), not an image",
            source=path,
            remedy="Give the volume it was computed from",
        )
    notes = ("its header gives an axis no length; taken as 1",)
    return tuple(filled), (() if filled == shape else notes)


def _dtype(fields: np.void, order: str, path: Path) -> np.dtype[Any]:
    code = int(fields["datatype"])
    dtype = voxel_type(code, order)
    if dtype is None:
        what = {0: "an unknown type", _BINARY: "one bit each, not numbers"}
        what[_FLOAT128] = "128 bits, which this processor cannot read"
        raise ReadError(
            f"has voxels of {what.get(code, 'an unsupported type')} (code {code})",
            source=path,
            remedy="Convert it to integers or floating-point numbers",
        )
    return dtype


def _text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("latin-1").strip()
