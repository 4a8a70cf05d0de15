"""The bytes of NIfTI-1, NIfTI-2 and Analyze 7.5 headers, and their codes.

Read here rather than by nibabel, whose import takes longer than reading a scan; the
tests hold both equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NIFTI1_SIZE, NIFTI2_SIZE = 348, 540

_NIFTI1 = [
    *(("sizeof_hdr", "i4"), ("unused1", "V36"), ("dim", "i2", 8)),
    *(("intent_p", "f4", 3), ("intent_code", "i2"), ("datatype", "i2")),
    *(("bitpix", "i2"), ("slice_start", "i2"), ("pixdim", "f4", 8)),
    *(("vox_offset", "f4"), ("scl_slope", "f4"), ("scl_inter", "f4")),
    *(("slice_end", "i2"), ("slice_code", "u1"), ("xyzt_units", "u1")),
    *(("cal_max", "f4"), ("cal_min", "f4"), ("slice_duration", "f4")),
    *(("toffset", "f4"), ("unused2", "V8"), ("descrip", "S80"), ("aux_file", "S24")),
    *(("qform_code", "i2"), ("sform_code", "i2"), ("quatern", "f4", 3)),
    *(("qoffset", "f4", 3), ("srow", "f4", (3, 4)), ("intent_name", "S16")),
    ("magic", "S4"),
]
_NIFTI2 = [
    *(("sizeof_hdr", "i4"), ("magic", "S8"), ("datatype", "i2"), ("bitpix", "i2")),
    *(("dim", "i8", 8), ("intent_p", "f8", 3), ("pixdim", "f8", 8)),
    *(("vox_offset", "i8"), ("scl_slope", "f8"), ("scl_inter", "f8")),
    *(("cal_max", "f8"), ("cal_min", "f8"), ("slice_duration", "f8")),
    *(("toffset", "f8"), ("slice_start", "i8"), ("slice_end", "i8")),
    *(("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "i4")),
    *(("sform_code", "i4"), ("quatern", "f8", 3), ("qoffset", "f8", 3)),
    *(("srow", "f8", (3, 4)), ("slice_code", "i4"), ("xyzt_units", "i4")),
    *(("intent_code", "i4"), ("intent_name", "S16"), ("dim_info", "u1")),
    ("unused", "V15"),
]

_NUMBER_TYPES = {
    **{2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8", 256: "i1", 512: "u2"},
    **{768: "u4", 1024: "i8", 1280: "u8", 1792: "c16"},
}
_RGB, _RGBA = 128, 2304
_FLOAT128, _COMPLEX256 = 1536, 2048

_SPACE_UNITS = {1: "meter", 2: "mm", 3: "micron"}
_TIME_UNITS = {8: "sec", 16: "msec", 24: "usec"}


def header_fields(raw: bytes) -> tuple[np.void | None, str]:
    """Return the fields of a header and its byte order.

    None where the first number is no size of a header, or the header is cut short.
    """
    for order in ("<", ">"):
        size = int(np.frombuffer(raw[:4].ljust(4, b"\0"), order + "i4")[0])
        layout = {NIFTI1_SIZE: _NIFTI1, NIFTI2_SIZE: _NIFTI2}.get(size)
        if layout is not None and len(raw) >= size:
            dtype = np.dtype(layout).newbyteorder(order)
            fields: np.void = np.frombuffer(raw, dtype, 1)[0]
            return fields, order
    return None, "<"


def voxel_type(code: int, order: str) -> np.dtype[Any] | None:
    """Return the type of a voxel, structured for colours; None if there is none.

    Numbers of 128 bits are taken for the extended ones of Intel processors, which
    wrote all such files that are met.
    """
    if code in _NUMBER_TYPES:
        return np.dtype(_NUMBER_TYPES[code]).newbyteorder(order)  # type: ignore[arg-type]
    if code in (_RGB, _RGBA):
        return np.dtype([(c, "u1") for c in ("RGB" if code == _RGB else "RGBA")])
    if code == _COMPLEX256:
        return np.dtype("c16")
    if code == _FLOAT128 and np.dtype(np.longdouble).itemsize == 16:
        return np.dtype(np.longdouble).newbyteorder(order)  # type: ignore[arg-type]
    return None


def units_of(code: int) -> tuple[str, str]:
    """Return the units of space and time, ``"unknown"`` where not given."""
    return (
        _SPACE_UNITS.get(code & 0x07, "unknown"),
        _TIME_UNITS.get(code & 0x38, "unknown"),
    )
