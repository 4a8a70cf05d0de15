"""Frame: one plane of a DICOM file, with its place and what tells it from others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_resonance.reading.dicom_encoding import Encoding

Vector = tuple[float, ...]

# What differs between scans that share their place: name, keyword.
APART: dict[str, str | int] = {
    "image_type": "ImageType",
    "component": "ComplexImageComponent",
    "echo": "EchoNumbers",
    "echo_time": "EchoTime",
    "inversion_time": "InversionTime",
    "flip_angle": "FlipAngle",
    "kernel": "ConvolutionKernel",
    "kvp": "KVP",
    "agent": "ContrastBolusAgent",
    "description": "SeriesDescription",
    "windows": "EnergyWindowVector",
    "thickness": "SliceThickness",
    "raw_type": 0x0043102F,  # GE: magnitude, phase, real or imaginary
}
# What differs between time points, or diffusion volumes, of one scan.
TIME = {
    "temporal": "TemporalPositionIdentifier",
    "trigger": "TriggerTime",
    "reference": "FrameReferenceTime",
    "acquisition": "AcquisitionNumber",
}


@dataclass(frozen=True, slots=True)
class Series:
    """What all planes of a file share."""

    study: str
    uid: str
    number: float
    modality: str
    frame_of_reference: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One plane: where its pixels are, where it lies, and what tells it from others.

    Parameters
    ----------
    path, encoding, index
        File, its pixel description, and the frame number in it from 0.
    tile
        ``(row, row end, column, column end)`` of a mosaic's tile, else None.
    rows, columns
        Size of the plane.
    position
        Centre of the first pixel in the patient's LPS mm, empty if unknown.
    direction
        Unit vectors along a row and along a column, six numbers, empty if unknown.
    spacing
        Distance in mm between rows and between columns, empty if unknown.
    step
        Distance in mm to the next slice as the header claims it; only used where
        positions cannot tell. None if unknown.
    location
        SliceLocation, for images without position.
    slope, intercept
        Stored to physical value.
    series
        What it shares with the other planes of its file.
    apart, time
        Values for `APART` and `TIME`, "b_value", "gradient" and "clock" by name.
    instance
        InstanceNumber (-1 where it is missing) and frame number: the order in which it
        was stored.
    uid
        SOPInstanceUID of its file.
    notes
        What is odd about its file, in sentences.

    """

    path: Path
    encoding: Encoding
    index: int
    tile: tuple[int, int, int, int] | None
    rows: int
    columns: int
    position: Vector
    direction: Vector
    spacing: Vector
    step: float | None
    location: float | None
    slope: float
    intercept: float
    series: Series
    apart: dict[str, Any]
    time: dict[str, Any]
    instance: tuple[float, int]
    uid: str
    notes: tuple[str, ...] = ()

    @property
    def is_placed(self) -> bool:
        """Whether position and direction are both known."""
        return bool(self.position and self.direction)
