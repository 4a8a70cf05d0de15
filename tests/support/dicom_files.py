"""DICOM files made for tests: small, odd on purpose, with known pixels and places."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
MR_CLASS = UID("1.2.840.10008.5.1.4.1.1.4")
ENHANCED_MR_CLASS = UID("1.2.840.10008.5.1.4.1.1.4.1")
ROWS, COLUMNS = 5, 7
LARGE = (48, 37)  # JPEG 2000 takes no less than 32 pixels


def pixels_of(
    number: int, size: tuple[int, int] = (ROWS, COLUMNS)
) -> NDArray[np.int16]:
    """Return a plane of its own for each number: no row or column like another."""
    rows, columns = np.indices(size)
    return (100 * number + 10 * rows + columns).astype(np.int16)


def plane(
    number: int,
    position: Iterable[float] | None = None,
    size: tuple[int, int] = (ROWS, COLUMNS),
    **tags: Any,
) -> Dataset:
    """Return one MR image; `tags` are set last, by keyword, None removes one."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = MR_CLASS, generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    made.FrameOfReferenceUID = "1.2.3.5"
    made.Modality, made.InstanceNumber, made.SeriesNumber = "MR", number + 1, 3
    made.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    made.PatientName, made.PatientID, made.PatientBirthDate = (
        "Doe^Jane",
        "77",
        "19610203",
    )
    made.PixelSpacing, made.SliceThickness = [1.5, 0.75], 2.0
    made.ImageOrientationPatient = list(AXIAL)
    if position is not None:
        made.ImagePositionPatient = [float(x) for x in position]
    set_pixels(made, pixels_of(number, size))
    for keyword, value in tags.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def set_pixels(dataset: Dataset, pixels: NDArray[Any]) -> None:
    """Store ``(row, column)`` or ``(frame, row, column)`` grey pixels."""
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.add_new("PixelData", "OW", pixels.tobytes())


def save(dataset: Dataset, path: Path, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """Write a file with preamble; pixels are compressed or swapped for the syntax."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not syntax.is_little_endian:
        _swap_pixels(dataset)
    if syntax.is_compressed and syntax != "1.2.840.10008.1.2.1.99":
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


def _swap_pixels(dataset: Dataset) -> None:
    # Bytes of 8-bit pixels change places, too: they are stored as 16-bit words.
    size = max(2, dataset.BitsAllocated // 8)
    padded = dataset.PixelData + bytes(-len(dataset.PixelData) % size)
    words = np.frombuffer(padded, f"u{size}")
    dataset.add_new("PixelData", "OW", words.byteswap().tobytes())


def write_stack(
    folder: Path,
    depths: Iterable[float],
    tags_of: Callable[[int], dict[str, Any]] = lambda n: {},
    first: int = 0,
    **tags: Any,
) -> Path:
    """Write axial planes at some depths; plane n holds `pixels_of(first + n)`."""
    for n, depth in enumerate(depths):
        number = first + n
        image = plane(number, (10.0, 20.0, depth), **(tags | tags_of(n)))
        save(image, folder / f"{(number * 7919) % 1009:04}-{number}")
    return folder


def enhanced(
    frames: list[dict[str, Any]], pixels: NDArray[np.int16], **tags: Any
) -> Dataset:
    """Return an enhanced MR image; each frame gives position, direction and more."""
    made = plane(0)
    made.SOPClassUID = ENHANCED_MR_CLASS
    for keyword in ("PixelSpacing", "SliceThickness", "ImageOrientationPatient"):
        delattr(made, keyword)
    set_pixels(made, pixels)
    shared, measures = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1.5, 0.75], 2.0
    shared.PixelMeasuresSequence = [measures]
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = [_groups(**frame) for frame in frames]
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


def _groups(
    position: Iterable[float],
    direction: Iterable[float] = AXIAL,
    *,
    stack: str = "1",
    time: int = 1,
    echo_time: float = 30.0,
    slope: float = 1.0,
) -> Dataset:
    groups = Dataset()
    place, turn, content, echo, values = (Dataset() for _ in range(5))
    place.ImagePositionPatient = [float(x) for x in position]
    turn.ImageOrientationPatient = list(direction)
    content.StackID, content.TemporalPositionIndex = stack, time
    echo.EffectiveEchoTime = echo_time
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, 0, "US"
    groups.PlanePositionSequence, groups.PlaneOrientationSequence = [place], [turn]
    groups.FrameContentSequence, groups.MREchoSequence = [content], [echo]
    groups.PixelValueTransformationSequence = [values]
    return groups
