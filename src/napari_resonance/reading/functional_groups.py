"""The functional groups of enhanced images, flattened to one header a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from napari_resonance.reading.dicom_header import Header

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Where the functional groups keep what a classic image has at its top level
# (PS3.3 C.7.6.16); groups that only point to other objects are left out.
_MACROS = (
    *("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence"),
    *("FrameContentSequence", "PixelValueTransformationSequence"),
    *("MRImageFrameTypeSequence", "CTImageFrameTypeSequence"),
    *("PETFrameTypeSequence", "XAXRFFrameCharacteristicsSequence"),
    *("MREchoSequence", "MRTimingAndRelatedParametersSequence"),
    *("MRModifierSequence", "MRFOVGeometrySequence", "MRDiffusionSequence"),
    *("CardiacSynchronizationSequence", "TemporalPositionSequence"),
    *("CTReconstructionSequence", "CTXRayDetailsSequence", "CTExposureSequence"),
    *("ContrastBolusUsageSequence", "FrameVOILUTSequence", "FrameAnatomySequence"),
    "UnassignedSharedConvertedAttributesSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
)


def frame_headers(header: Header, indices: Iterable[int]) -> Iterator[Header]:
    """Yield headers of frames: their own groups, the shared ones, then the top."""
    groups = header.items("PerFrameFunctionalGroupsSequence")
    shared = _macros(header.items("SharedFunctionalGroupsSequence")[:1])
    for n in indices:
        macros = [*_macros(groups[n : n + 1]), *shared]
        gradient = Header(macros).items("DiffusionGradientDirectionSequence")[:1]
        yield Header([*macros, *gradient, *header.datasets])


def frame_header(header: Header, index: int) -> Header:
    """Return the header of one frame, as `frame_headers` does of many."""
    return next(frame_headers(header, [index]))


def _macros(groups: Iterable[Dataset]) -> list[Dataset]:
    return [m for g in groups for key in _MACROS for m in Header([g]).items(key)[:1]]
