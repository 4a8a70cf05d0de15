"""Pixel size of images without a place: radiographs, ultrasound, captures."""

from __future__ import annotations

from napari_resonance.reading.dicom_header import Header
from napari_resonance.reading.frame import Frame

_CENTIMETRES = 3  # PhysicalUnitsX/YDirection of an ultrasound region


def flat_spacing(
    header: Header, frame: Frame
) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Return the distance between rows and between columns in mm, and what it means.

    PixelSpacing if there is one; else the spacing at the detector, of the scanned
    film, or of the one ultrasound region; else 1 mm. Each but the first comes with a
    warning.
    """
    if frame.spacing:
        return (frame.spacing[0], frame.spacing[1]), ()
    for key, meaning in (
        ("ImagerPixelSpacing", "at the detector, which magnifies the patient"),
        ("NominalScannedPixelSpacing", "on the scanned film"),
    ):
        spacing = header.numbers(key, 2)
        if spacing and min(spacing) > 0:
            return (spacing[0], spacing[1]), (f"its pixel size is the one {meaning}",)
    if region := _ultrasound_region(header):
        return region, ()
    return (1.0, 1.0), ("its header gives no pixel size; 1 mm assumed",)


def _ultrasound_region(header: Header) -> tuple[float, float] | None:
    """Return row and column distance if one region of tissue is calibrated in cm."""
    regions = [Header([item]) for item in header.items("SequenceOfUltrasoundRegions")]
    if len(regions) != 1:
        return None
    region = regions[0]
    units = (
        region.integer("PhysicalUnitsXDirection"),
        region.integer("PhysicalUnitsYDirection"),
    )
    x = abs(region.number("PhysicalDeltaX") or 0)
    y = abs(region.number("PhysicalDeltaY") or 0)
    if units != (_CENTIMETRES, _CENTIMETRES) or not x or not y:
        return None
    return y * 10, x * 10
