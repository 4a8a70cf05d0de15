"""The header of a NIfTI or Analyze file: what is in it, and where its voxels start."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_resonance.errors import ReadError

_NIFTI1_SIZE, _NIFTI2_SIZE = 348, 540
# Some tools write a table beside a DICOM series with the same endings; what is no
# header at all is told apart by its first four bytes.
_SIZES = {_NIFTI1_SIZE, _NIFTI2_SIZE}
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
        The nibabel header, for the fields that are read once.
    is_analyze
        Whether it is an Analyze 7.5 header, which knows no orientation.

    """

    path: Path
    files: tuple[Path, ...]
    data_path: Path
    offset: int
    compressed: bool
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fields: Any
    is_analyze: bool

    @property
    def scaling(self) -> tuple[float, float]:
        """Slope and intercept from stored to physical values.

        A slope of zero, NaN or infinity means that the stored values are physical
        (NIfTI-1, ``scl_slope``); Analyze has no such field.
        """
        if self.is_analyze:
            return 1.0, 0.0
        slope = float(self.fields["scl_slope"])
        intercept = float(self.fields["scl_inter"])
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
        try:
            space, time = self.fields.get_xyzt_units()
        except KeyError:
            return "unknown", "unknown"
        return str(space), str(time)

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
    header_path, data_path = _files_of(path)
    raw, compressed = _first_bytes(header_path)
    fields, is_analyze = _parsed(raw, path)
    single = not is_analyze and _text(fields["magic"]).startswith("n+")
    if single:
        data_path = header_path
    elif not data_path.is_file():
        raise ReadError(
            f"is only the header of an image: {data_path.name} is missing",
            source=path,
            remedy="Put both files of the pair into one folder",
        )
    else:
        compressed = _is_gzip(data_path)
    return NiftiHeader(
        path=path,
        files=(header_path,) if single else (header_path, data_path),
        data_path=data_path,
        offset=_offset(fields, single, path),
        compressed=compressed,
        shape=_shape(fields, path),
        dtype=_dtype(fields, path),
        fields=fields,
        is_analyze=is_analyze,
    )


def _files_of(path: Path) -> tuple[Path, Path]:
    """Name header and voxel file of the image that `path` belongs to."""
    for header, image in ((".hdr", ".img"), (".hdr.gz", ".img.gz")):
        stem, name = path.name, path.name.lower()
        if name.endswith(header):
            return path, _beside(path, stem[: -len(header)], image)
        if name.endswith(image):
            partner = _beside(path, stem[: -len(image)], header)
            # A single-file NIfTI may carry the ending .img.
            return (partner, path) if partner.is_file() else (path, path)
    return path, path


def _beside(path: Path, stem: str, ending: str) -> Path:
    lower, upper = path.with_name(stem + ending), path.with_name(stem + ending.upper())
    return upper if not lower.is_file() and upper.is_file() else lower


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _first_bytes(path: Path) -> tuple[bytes, bool]:
    try:
        if not _is_gzip(path):
            with path.open("rb") as plain:
                return plain.read(_NIFTI2_SIZE), False
        with gzip.open(path) as packed:
            return packed.read(_NIFTI2_SIZE), True
    except (OSError, EOFError, zlib.error) as error:
        raise ReadError(
            f"cannot be read: {_reason(error)}",
            source=path,
            remedy="Check that the file is there, complete and readable",
        ) from error


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or "damaged").lower()


def _parsed(raw: bytes, path: Path) -> tuple[Any, bool]:
    from nibabel.analyze import AnalyzeHeader
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    for order in ("<", ">"):
        size = int(np.frombuffer(raw[:4].ljust(4, b"\0"), order + "i4")[0])
        if size == _NIFTI1_SIZE and len(raw) >= _NIFTI1_SIZE:
            known = raw[344:347] in (b"n+1", b"ni1")
            kind: Any = Nifti1Header if known else AnalyzeHeader
            return kind(raw[:_NIFTI1_SIZE], endianness=order, check=False), not known
        if size == _NIFTI2_SIZE and len(raw) >= _NIFTI2_SIZE:
            return Nifti2Header(raw, endianness=order, check=False), False
        if size in _SIZES:
            raise ReadError(
                "is cut short within its header",
                source=path,
                remedy="Fetch or convert it again",
            )
    raise ReadError(
        "is not a NIfTI or Analyze image",
        source=path,
        remedy="Check that the file is what its name says",
    )


def _offset(fields: Any, single: bool, path: Path) -> int:
    offset = float(fields["vox_offset"])
    if not math.isfinite(offset) or offset < 0:
        raise ReadError(
            f"its voxels start at byte {offset}, which cannot be", source=path
        )
    if single and offset == 0:
        return 352 if int(fields["sizeof_hdr"]) == _NIFTI1_SIZE else 544
    return int(offset)


def _shape(fields: Any, path: Path) -> tuple[int, ...]:
    dim = [int(n) for n in fields["dim"]]
    n_axes = dim[0]
    if not 1 <= n_axes <= _MAX_AXES or min(dim[1 : n_axes + 1]) < 1:
        raise ReadError(
            f"describes no image: its dimensions are {dim[: max(n_axes, 0) + 1]}",
            source=path,
            remedy="Convert the image again",
        )
    if not _is_plain_image(fields):
        raise ReadError(
            "holds surface or greyordinate data (CIFTI-2), not an image",
            source=path,
            remedy="Give the volume it was computed from",
        )
    return tuple(dim[1 : n_axes + 1])


def _is_plain_image(fields: Any) -> bool:
    if "intent_code" not in fields.keys():  # noqa: SIM118 - a header is no mapping
        return True
    return int(fields["intent_code"]) not in _CIFTI_INTENTS


def _dtype(fields: Any, path: Path) -> np.dtype[Any]:
    from nibabel.spatialimages import HeaderDataError

    try:
        dtype: np.dtype[Any] = fields.get_data_dtype()
    except (HeaderDataError, KeyError, TypeError) as error:
        raise ReadError(
            f"has voxels of an unknown type (code {int(fields['datatype'])})",
            source=path,
            remedy="Convert it to integers or floating-point numbers",
        ) from error
    if dtype.itemsize == 0 or dtype.kind == "O":
        raise ReadError(
            f"has voxels of an unsupported type (code {int(fields['datatype'])})",
            source=path,
            remedy="Convert it to integers or floating-point numbers",
        )
    return dtype


def _text(value: Any) -> str:
    raw = bytes(value) if not isinstance(value, bytes) else value
    return raw.split(b"\0")[0].decode("latin-1").strip()
