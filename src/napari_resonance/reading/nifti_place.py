"""Which affine of a NIfTI header places its voxels, and in which unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_resonance.errors import GeometryError, ReadError
from napari_resonance.geometry import FloatArray, checked_affine, spacing_of, to_world
from napari_resonance.reading.nifti_header import NiftiHeader

_UNIT_IN_MM = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
# A voxel beyond this in mm is taken for a wrong unit, not for a scan.
_LARGEST_VOXEL_MM = 100.0
_DISAGREEMENT_MM = 0.5
# How far the squares of a quaternion may sum up beyond 1 and still be meant as one.
_LONGEST_ROUNDED = 0.01
# No unit makes a scan lie farther from its origin than this.
_FARTHEST = 1e9


@dataclass(frozen=True)
class Place:
    """Affine to RAS+ mm, whether it tells directions, and where it came from."""

    affine: FloatArray
    oriented: bool
    source: str
    warnings: tuple[str, ...]


def place_of(header: NiftiHeader) -> Place:
    """Choose the affine: sform if coded, else qform if coded, else spacing alone.

    Raises
    ------
    ReadError
        If the header codes an affine that no scan can have, and no other is there.

    """
    sform, qform = _sform(header), _qform(header)
    usable = {
        name: form
        for name, form in (("sform", sform), ("qform", qform))
        if form is not None and _is_valid(form)
    }
    if not usable:
        if sform is not None or qform is not None:
            raise _no_affine(header)
        return _unplaced(header)
    name, affine = next(iter(usable.items()))
    notes = []
    if name == "qform" and sform is not None:
        notes.append("its sform is not valid; the qform is used")
    if len(usable) == 2 and _differ(header, usable["sform"], usable["qform"]):
        notes.append(
            "its sform and qform disagree; the sform is used, as most programs do"
        )
    if name == "qform":
        notes += _sizes(header)[1]
    affine, unit_notes = _in_mm(affine, header.units[0])
    return Place(affine, True, name, (*notes, *unit_notes))


def _no_affine(header: NiftiHeader) -> ReadError:
    return ReadError(
        "has an affine that is zero, singular or not a number",
        source=header.path,
        remedy="Convert it again from the original images, or repair its sform",
    )


def _sform(header: NiftiHeader) -> FloatArray | None:
    if header.is_analyze or int(header.fields["sform_code"]) <= 0:
        return None
    return np.vstack([np.asarray(header.fields["srow"], np.float64), [0, 0, 0, 1]])


def _qform(header: NiftiHeader) -> FloatArray | None:
    """Return the affine of the quaternion; one of zeros where it is none."""
    if header.is_analyze or int(header.fields["qform_code"]) <= 0:
        return None
    stored = header.fields["quatern"]
    b, c, d = np.asarray(stored, np.float64)
    length = b * b + c * c + d * d
    rest = 1 - length
    # A half turn leaves nothing for the fourth number but the rounding of three.
    if abs(rest) < 3 * np.finfo(stored.dtype).eps or -_LONGEST_ROUNDED < rest < 0:
        a, (b, c, d) = 0.0, np.array([b, c, d]) / np.sqrt(length)
    elif rest > 0:
        a = np.sqrt(rest)
    else:
        return np.zeros((4, 4))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    sizes = _sizes(header)[0]
    if float(header.fields["pixdim"][0]) < 0:
        sizes[2] = -sizes[2]
    affine = np.eye(4)
    affine[:3, :3] = turn * sizes
    affine[:3, 3] = header.fields["qoffset"]
    return affine


def _sizes(header: NiftiHeader) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the voxel size in the header's unit; 1 where it gives none."""
    sizes = np.abs(np.asarray(header.fields["pixdim"][1:4], np.float64))
    used = np.array([n > 1 for n in (*header.shape[:3], 1, 1)[:3]])
    bad = ~np.isfinite(sizes) | (sizes <= 0)
    sizes[bad] = 1.0
    if not (bad & used).any():
        return sizes, ()
    return sizes, ("its header gives no voxel size on every axis; 1 mm assumed",)


def _is_valid(affine: FloatArray) -> bool:
    if not np.isfinite(affine).all() or np.abs(affine).max() > _FARTHEST:
        return False
    try:
        checked_affine(affine)
    except GeometryError:
        return False
    return True


def _differ(header: NiftiHeader, a: FloatArray, b: FloatArray) -> bool:
    size = [n - 1 for n in (*header.shape[:3], 1, 1)[:3]]
    corners = np.array(np.meshgrid(*[(0, n) for n in size])).reshape(3, -1).T
    apart = np.abs(to_world(a, corners) - to_world(b, corners)).max()
    return bool(apart > _DISAGREEMENT_MM)


def _in_mm(affine: FloatArray, unit: str) -> tuple[FloatArray, tuple[str, ...]]:
    scale = _UNIT_IN_MM.get(unit, 1.0)
    if scale == 1:
        return affine, ()
    if not _is_plausible(np.array(spacing_of(affine)) * scale):
        return affine, (
            f"its header gives {unit} as unit, which cannot be; taken as mm",
        )
    return np.diag([scale] * 3 + [1.0]) @ affine, (
        f"its header gives {unit} as unit; converted to mm",
    )


def _is_plausible(spacing: FloatArray) -> bool:
    return bool(spacing.max() <= _LARGEST_VOXEL_MM and spacing.min() >= 1e-4)


def _unplaced(header: NiftiHeader) -> Place:
    sizes, size_notes = _sizes(header)
    affine, notes = _in_mm(np.diag([*sizes, 1.0]), header.units[0])
    why = (
        "an Analyze header knows no orientation; left and right cannot be told"
        if header.is_analyze
        else "its header gives no orientation (neither sform nor qform)"
    )
    return Place(affine, False, "pixdim", (why, *notes, *size_notes))
