"""Nuclear medicine: one file of many frames, placed by its detector and its vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_resonance.reading.dicom_header import Header

# Vectors that number the frames of an NM image (PS3.3 C.8.4.8); all but the slice
# vector tell scans or time points apart.
_SLICES = "SliceVector"
_APART = ("EnergyWindowVector", "DetectorVector", "PhaseVector")
_TIME = ("RRIntervalVector", "TimeSlotVector", "TimeSliceVector", "RotationVector")


@dataclass(frozen=True)
class NuclearFrame:
    """What the vectors say of a frame: its place, and what tells it from others."""

    position: tuple[float, ...]
    direction: tuple[float, ...]
    apart: dict[str, Any]
    time: dict[str, Any]


def is_reconstructed(header: Header) -> bool:
    """Tell whether the frames of an NM image are slices of a reconstructed volume."""
    kinds = {kind.upper() for kind in header.texts("ImageType")}
    recon = {"RECON TOMO", "RECON GATED TOMO"}
    return header.text("Modality").upper() == "NM" and bool(kinds & recon)


def nuclear_frames(header: Header, n_frames: int) -> Iterator[NuclearFrame]:
    """Place the frames of a reconstructed volume.

    The detector gives position and direction of the first slice; the others follow
    along the normal by SpacingBetweenSlices, which here may be negative (PS3.3
    C.8.4.15). Frames stay without a place where the header lacks one of these.
    """
    detector = header.item("DetectorInformationSequence")
    corner = detector.numbers("ImagePositionPatient", 3)
    direction = detector.numbers("ImageOrientationPatient", 6)
    step = header.number("SpacingBetweenSlices")
    slices = header.numbers(_SLICES, n_frames)
    for n in range(n_frames):
        number = (slices[n] - 1) if slices else n
        position: tuple[float, ...] = ()
        if corner and direction and step:
            normal = np.cross(direction[:3], direction[3:])
            x, y, z = np.array(corner) + normal * step * number
            position = (float(x), float(y), float(z))
        yield NuclearFrame(
            position=position,
            direction=direction,
            apart=_marks(header, _APART, n, n_frames),
            time=_marks(header, _TIME, n, n_frames),
        )


def _marks(
    header: Header, keys: tuple[str, ...], n: int, n_frames: int
) -> dict[str, Any]:
    found = tuple(
        vector[n] for key in keys if (vector := header.numbers(key, n_frames))
    )
    name = "windows" if keys is _APART else "temporal"
    return {name: found} if found else {}
