"""One DICOM file in, its planes out: each with its place and what tells it from others.

Classic images, enhanced multi-frame images and Siemens mosaics come out alike, so that
grouping and geometry know planes only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_resonance.errors import ReadError
from napari_resonance.reading.dicom_encoding import OVERLAY_TAGS, Encoding, encoding_of
from napari_resonance.reading.dicom_header import Header, Opened, open_header
from napari_resonance.reading.dicom_kinds import other_than_scan
from napari_resonance.reading.diffusion import B_VALUES, b_value_of
from napari_resonance.reading.frame import APART, TIME, Frame, Series, Vector
from napari_resonance.reading.functional_groups import frame_headers
from napari_resonance.reading.nuclear import is_reconstructed, nuclear_frames
from napari_resonance.reading.tiles import may_be_tiled, tiles_of

# Words of ImageType that make an image another thing than its neighbours, even where
# it lies beside them.
_ANOTHER_KIND = {"LOCALIZER", "MIP", "MINIP", "MPR", "PROJECTION IMAGE", "SCOUT"}

# Beyond this, in mm, a number is a mistake and no place.
_FARTHEST_MM = 1e5

_NO_SLOPE = "its rescale slope is 0, which would leave nothing; 1 assumed"

_GRADIENTS: tuple[str | int, ...] = ("DiffusionGradientOrientation", 0x0019100E)

TIME_TAGS: tuple[str | int, ...] = (
    *TIME.values(),
    *B_VALUES,
    *_GRADIENTS,
    *("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime"),
)

# All that the first pass over a file needs; the rest of the header is not kept.
TAGS: list[int | str] = [
    *APART.values(),
    *TIME_TAGS,
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("Modality", "SeriesNumber", "InstanceNumber", "FrameOfReferenceUID"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    *("PhotometricInterpretation", "PixelSpacing", "SliceThickness", "SliceLocation"),
    *("SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient"),
    *("RescaleSlope", "RescaleIntercept", "Manufacturer"),
    *OVERLAY_TAGS,
]


def frames_of(path: Path) -> list[Frame]:
    """Read the header of a file and describe its planes.

    Raises
    ------
    ReadError
        If it is no DICOM image, is damaged, or its planes cannot be told apart. The
        message starts with a verb, so that it can follow the file's name.

    """
    return frames_in(open_header(path, TAGS))


def frames_in(opened: Opened) -> list[Frame]:
    """Describe the planes of a file by what `open_header` kept of `TAGS`.

    Raises
    ------
    ReadError
        As `frames_of` does.

    """
    path = opened.path
    if kind := other_than_scan(opened):
        raise ReadError(
            f"is {kind}, not a scan",
            source=path,
            remedy="Name an image, or the folder that holds the images",
        )
    encoding = encoding_of(opened)
    tiled = encoding.frames == 1 and may_be_tiled(opened.header)
    if encoding.frames > 1 or not is_plain(opened.header):
        opened = open_header(path)
        opened.dataset.pop("PixelData", None)
    if opened.header.items("PerFrameFunctionalGroupsSequence"):
        return list(_grouped_frames(opened, encoding))
    if tiled and (tiles := _tiled_frames(opened, encoding)):
        return tiles
    first = _frame(opened.header, opened, encoding, 0)
    if is_enhanced(opened.header):
        # Without functional groups nothing places its frames.
        first = replace(first, position=(), direction=())
    if is_reconstructed(opened.header):
        return list(_nuclear_slices(first, opened.header))
    return [
        replace(first, index=n, instance=(first.instance[0], n))
        for n in range(encoding.frames)
    ]


def _nuclear_slices(first: Frame, header: Header) -> Iterator[Frame]:
    n_frames = first.encoding.frames
    for n, found in enumerate(nuclear_frames(header, n_frames)):
        # Not the place that the standard has for it, but of one frame it says enough.
        is_placed = found.position or n_frames > 1
        yield replace(
            first,
            index=n,
            instance=(first.instance[0], n),
            position=found.position if is_placed else first.position,
            direction=unit_directions(found.direction)
            if is_placed
            else first.direction,
            apart=first.apart | found.apart,
            time=first.time | found.time,
        )


# Enhanced CT, MR, MR colour, PET; legacy converted CT, MR, PET; enhanced XA, XRF.
_ENHANCED = {
    f"1.2.840.10008.5.1.4.1.1.{end}"
    for end in ("2.1", "2.2", "4.1", "4.3", "4.4", "128.1", "130", "12.1.1", "12.2.1")
}


def is_enhanced(header: Header) -> bool:
    """Tell whether functional groups should describe the frames of an image."""
    return header.text("SOPClassUID") in _ENHANCED


def is_plain(header: Header) -> bool:
    """Tell whether `TAGS` say all of an image: no sequence places or divides it."""
    return not (is_enhanced(header) or is_reconstructed(header) or may_be_tiled(header))


def notes_of_slope(slopes: Vector) -> tuple[str, ...]:
    """Say where a rescale slope is not believed."""
    return (_NO_SLOPE,) if slopes and slopes[0] == 0 else ()


def _frame(header: Header, opened: Opened, encoding: Encoding, index: int) -> Frame:
    """Describe a plane by a header in which its own values come first."""
    slope, intercept = scale_of(
        header.numbers("RescaleSlope"), header.numbers("RescaleIntercept")
    )
    return Frame(
        path=opened.path,
        encoding=encoding,
        index=index,
        tile=None,
        rows=encoding.rows,
        columns=encoding.columns,
        position=checked_position(header.numbers("ImagePositionPatient")),
        direction=unit_directions(header.numbers("ImageOrientationPatient", 6)),
        spacing=_spacing(header),
        step=_step(header),
        location=header.number("SliceLocation"),
        slope=slope,
        intercept=intercept,
        series=_series(opened.header, opened.path),
        apart=_apart(header),
        time=marks_of_time(header),
        instance=(instance_number(opened.header.numbers("InstanceNumber")), index),
        uid=opened.header.text("SOPInstanceUID"),
        notes=notes_of_slope(header.numbers("RescaleSlope")),
    )


def instance_number(numbers: Vector) -> float:
    """Return the number of an image in its series, -1 where it is missing."""
    return numbers[0] if numbers else -1.0


def _series(header: Header, path: Path) -> Series:
    number = header.number("SeriesNumber")
    return Series(
        study=header.text("StudyInstanceUID"),
        uid=header.text("SeriesInstanceUID") or stand_in_series(path),
        number=math.inf if number is None else number,
        modality=header.text("Modality").upper(),
        frame_of_reference=header.text("FrameOfReferenceUID"),
    )


def stand_in_series(path: Path) -> str:
    """Name the series of a file that names none: they are told apart by folder."""
    return f"folder {path.parent}"


def checked_position(numbers: Vector) -> Vector:
    """Return three numbers that may be a place in mm, else nothing."""
    good = len(numbers) == 3 and max(map(abs, numbers)) < _FARTHEST_MM
    return numbers if good else ()


def scale_of(slopes: Vector, intercepts: Vector) -> tuple[float, float]:
    """Return slope and intercept from stored to physical values."""
    slope = slopes[0] if slopes else 1.0
    return slope or 1.0, intercepts[0] if intercepts else 0.0


def unit_directions(numbers: Vector) -> Vector:
    """Return unit row and column directions, empty unless at right angles."""
    if not numbers:
        return ()
    row, column = numbers[:3], numbers[3:]
    lengths = math.hypot(*row), math.hypot(*column)
    if any(abs(length - 1) > 0.05 for length in lengths):
        return ()
    unit = (*(n / lengths[0] for n in row), *(n / lengths[1] for n in column))
    cosine = sum(a * b for a, b in zip(unit[:3], unit[3:], strict=True))
    return unit if abs(cosine) < 0.02 else ()


def _spacing(header: Header) -> Vector:
    spacing = header.numbers("PixelSpacing", 2)
    return spacing if spacing and all(map(_is_size, spacing)) else ()


def _is_size(millimetres: float) -> bool:
    return 1e-6 < millimetres < _FARTHEST_MM


def _step(header: Header) -> float | None:
    # SpacingBetweenSlices is, with some vendors, the gap and not the distance.
    thickness = abs(header.number("SliceThickness") or 0)
    between = abs(header.number("SpacingBetweenSlices") or 0)
    step = max(thickness, between)
    return step if _is_size(step) else None


def _apart(header: Header) -> dict[str, Any]:
    kind = tuple(sorted(_ANOTHER_KIND & {t.upper() for t in header.texts("ImageType")}))
    found: dict[str, Any] = {"kind": (header.texts("ImageType")[:1], kind)}
    for name, key in APART.items():
        numbers = () if name in ("image_type", "description") else header.numbers(key)
        # Rounded: some vendors write the time that was measured, slice by slice.
        found[name] = tuple(round(n, 2) for n in numbers) or header.texts(key)
    return found


def marks_of_time(header: Header) -> dict[str, Any]:
    """Return what tells an image from others at its place, by the names of `TIME`."""
    found: dict[str, Any] = {n: header.numbers(key)[:1] for n, key in TIME.items()}
    b_value = b_value_of(header)
    found["b_value"] = () if b_value is None else (b_value,)
    gradient = next((g for k in _GRADIENTS if (g := header.numbers(k, 3))), ())
    found["gradient"] = tuple(round(n, 4) for n in gradient)
    found["clock"] = _clock(header)
    return found


def _clock(header: Header) -> str:
    moment = header.text("AcquisitionDateTime")
    return moment or header.text("AcquisitionDate") + header.text("AcquisitionTime")


def _grouped_frames(opened: Opened, encoding: Encoding) -> Iterator[Frame]:
    n_described = len(opened.header.items("PerFrameFunctionalGroupsSequence"))
    if n_described < encoding.frames:
        raise ReadError(
            f"describes {n_described} of its {encoding.frames} frames",
            source=opened.path,
            remedy="Export it again from the archive it came from",
        )
    for n, header in enumerate(frame_headers(opened.header, range(encoding.frames))):
        frame = _frame(header, opened, encoding, n)
        yield replace(
            frame,
            apart=frame.apart | _enhanced_apart(header),
            time=frame.time | _enhanced_time(header),
        )


def _enhanced_apart(header: Header) -> dict[str, Any]:
    found: dict[str, Any] = {"stack": header.text("StackID")}
    if kinds := header.texts("FrameType"):
        found["image_type"] = kinds
        odd = tuple(sorted(_ANOTHER_KIND & {kind.upper() for kind in kinds}))
        found["kind"] = (kinds[:1], odd)
    if times := header.numbers("EffectiveEchoTime"):
        found["echo_time"] = tuple(round(n, 2) for n in times)
    return found


def _enhanced_time(header: Header) -> dict[str, Any]:
    keys = {
        "temporal": "TemporalPositionIndex",
        "trigger": "NominalCardiacTriggerDelayTime",
        "acquisition": "FrameAcquisitionNumber",
    }
    found: dict[str, Any] = {
        name: value for name, key in keys.items() if (value := header.numbers(key)[:1])
    }
    if clock := header.text("FrameAcquisitionDateTime"):
        found["clock"] = clock
    return found


def _tiled_frames(opened: Opened, encoding: Encoding) -> list[Frame]:
    tiles, notes = tiles_of(opened)
    whole = _frame(opened.header, opened, encoding, 0)
    return [
        replace(
            whole,
            tile=tile.pixels,
            rows=tile.rows,
            columns=tile.columns,
            position=tile.position,
            instance=(whole.instance[0], n),
            notes=(*whole.notes, *notes),
        )
        for n, tile in enumerate(tiles)
    ]
