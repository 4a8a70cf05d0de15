"""The functional groups of enhanced images, flattened to one header a frame."""

from __future__ import annotations

from napari_resonance.reading.dicom_header import Header

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


def frame_header(header: Header, index: int) -> Header:
    """Return the header of one frame: its own groups, the shared ones, then the top."""
    own = header.items("PerFrameFunctionalGroupsSequence")[index : index + 1]
    shared = header.items("SharedFunctionalGroupsSequence")[:1]
    macros = []
    for groups in (*own, *shared):
        for macro in _MACROS:
            macros += Header([groups]).items(macro)[:1]
    gradient = Header(macros).items("DiffusionGradientDirectionSequence")[:1]
    return Header([*macros, *gradient, *header.datasets])
