"""What layers and axes are called: how a scan was taken, never whom it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_resonance.geometry import orientation_of
from napari_resonance.viewer.frame import ViewerFrame

if TYPE_CHECKING:
    from napari_resonance.reading.outline import Outline
    from napari_resonance.scan import Scan

_PLANES = {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal"}

# Planes turned by more than this against the body are called oblique.
_OBLIQUE_COSINE = np.cos(np.radians(5))


def scan_name(scan: Scan | Outline) -> str:
    """Return a layer name: what was acquired, the plane if that does not say it.

    Built from acquisition facts, because folder and file names of studies often hold a
    patient's name. Only NIfTI files, which are named by those who convert them, keep
    their own.
    """
    facts = [_title(scan)]
    if scan.oriented and scan.shape[2] > 1 and not _description(scan):
        facts.append(plane_of(scan))
    n_times = 1 if scan.color or len(scan.shape) == 3 else scan.shape[3]
    if n_times > 1:
        facts.append(f"{n_times} volumes")
    return " · ".join(facts)


def size_of(scan: Scan | Outline) -> tuple[str, str]:
    """Return the number of voxels, and the distance between them, as people read it."""
    shape = scan.shape[: 3 if scan.color else 4]
    steps = " × ".join(f"{step:.3g}" for step in scan.spacing)
    return "×".join(str(n) for n in shape), f"{steps} mm"


def facts_line(scan: Scan) -> str:
    """Return modality, size, voxels and memory of a scan that is open, in a line."""
    size, _ = size_of(scan)
    # Two digits, without the spaces that a line of a dock has no room for.
    steps = "×".join(f"{step:.2g}" for step in scan.spacing) + " mm"
    megabytes = scan.voxels.nbytes / 2**20
    memory = f"{megabytes:.0f} MB" if megabytes >= 1 else "under 1 MB"
    if scan.is_lazy:
        memory += ", read as it is shown"
    return " · ".join(filter(None, (scan.modality, size, steps, memory)))


def plane_of(scan: Scan | Outline) -> str:
    """Return the plane a scan was taken in: "axial", "oblique axial", ..."""
    direction = scan.affine[:3, 2] / np.linalg.norm(scan.affine[:3, 2])
    name = _PLANES.get(orientation_of(scan.affine)[2], "sagittal")
    return name if np.abs(direction).max() > _OBLIQUE_COSINE else f"oblique {name}"


def axis_labels(frame: ViewerFrame) -> tuple[str, ...]:
    """Return the names of napari's three sliders in a frame."""
    if not frame.oriented:
        return "slice", "row", "column"
    # The closest letter only: a slider has no room for the obliquity.
    ends = (frame.ends_of(axis) or ("", "") for axis in range(3))
    return tuple(f"{start[0]} → {end[0]}" for start, end in ends)


def _title(scan: Scan | Outline) -> str:
    if description := _description(scan):
        if description.upper().startswith(scan.modality):
            return description
        return f"{scan.modality} {description}"
    for suffix in (".nii.gz", ".nii"):
        if scan.sources and scan.sources[0].name.lower().endswith(suffix):
            return scan.sources[0].name[: -len(suffix)]
    return scan.modality or "Scan"


def _description(scan: Scan | Outline) -> str:
    return str(scan.meta.get("series_description") or "").strip()
