"""Acquisition facts of a DICOM series under the field's names, with units.

Who the patient is, and when the scan was made, is left out on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_resonance.reading.dicom_header import Header
from napari_resonance.reading.diffusion import b_value_of

# Name in `Scan.meta`: keywords, the first that has a value wins (classic, enhanced).
_NUMBERS: dict[str, tuple[str | int, ...]] = {
    "repetition_time_ms": ("RepetitionTime",),
    "echo_time_ms": ("EchoTime", "EffectiveEchoTime"),
    "inversion_time_ms": ("InversionTime", "InversionTimes"),
    "echo_train_length": ("EchoTrainLength",),
    "flip_angle_deg": ("FlipAngle",),
    "magnetic_field_strength_t": ("MagneticFieldStrength",),
    "imaging_frequency_mhz": ("ImagingFrequency", "TransmitterFrequency"),
    "kvp": ("KVP",),
    "tube_current_ma": ("XRayTubeCurrent", "XRayTubeCurrentInmA"),
    "gantry_tilt_deg": ("GantryDetectorTilt",),
    "slice_thickness_mm": ("SliceThickness",),
    "spacing_between_slices_mm": ("SpacingBetweenSlices",),
    "pixel_padding_value": ("PixelPaddingValue",),
    "decay_factor": ("DecayFactor",),
    "patient_weight_kg": ("PatientWeight",),
}
_TEXTS = {
    "scanning_sequence": "ScanningSequence",
    "sequence_variant": "SequenceVariant",
    "scan_options": "ScanOptions",
    "mr_acquisition_type": "MRAcquisitionType",
    "sequence_name": "SequenceName",
    "pulse_sequence_name": "PulseSequenceName",
    "acquisition_contrast": "AcquisitionContrast",
    "body_part_examined": "BodyPartExamined",
    "laterality": "Laterality",
    "image_laterality": "ImageLaterality",
    "view_position": "ViewPosition",
    "manufacturer": "Manufacturer",
    "manufacturer_model_name": "ManufacturerModelName",
    "patient_position": "PatientPosition",
    "convolution_kernel": "ConvolutionKernel",
    "contrast_bolus_agent": "ContrastBolusAgent",
    "photometric_interpretation": "PhotometricInterpretation",
    "presentation_lut_shape": "PresentationLUTShape",
    "rescale_type": "RescaleType",
    "units": "Units",
    "suv_type": "SUVType",
    "decay_correction": "DecayCorrection",
    "frame_of_reference_uid": "FrameOfReferenceUID",
}
# Free texts, decoded with the character set of the file.
_WORDS = {
    "series_description": "SeriesDescription",
    "protocol_name": "ProtocolName",
}
_TRACER = {
    "injected_dose_bq": "RadionuclideTotalDose",
    "radionuclide_half_life_s": "RadionuclideHalfLife",
}


def meta_of(header: Header) -> Mapping[str, Any]:
    """Collect the facts that a header gives; texts of several parts become tuples."""
    meta: dict[str, Any] = {}
    for name, keys in _NUMBERS.items():
        found = next((n for key in keys if (n := header.number(key)) is not None), None)
        if found is not None:
            meta[name] = found
    b_value = b_value_of(header)
    if b_value is not None:
        meta["diffusion_b_value"] = b_value
    for name, key in _TEXTS.items():
        if parts := header.texts(key):
            meta[name] = parts[0] if len(parts) == 1 else parts
    for name, key in _WORDS.items():
        if words := header.decoded(key):
            meta[name] = words
    kinds = header.texts("FrameType") or header.texts("ImageType")
    if kinds:
        meta["image_type"] = kinds
    return meta | _window(header) | _tracer(header)


def _window(header: Header) -> dict[str, Any]:
    centers, widths = header.numbers("WindowCenter"), header.numbers("WindowWidth")
    if not centers or len(centers) != len(widths) or min(widths) <= 0:
        return {}
    found: dict[str, Any] = {
        "window_center": centers[0] if len(centers) == 1 else centers,
        "window_width": widths[0] if len(widths) == 1 else widths,
    }
    if function := header.text("VOILUTFunction"):
        found["voi_lut_function"] = function
    return found


def _tracer(header: Header) -> dict[str, Any]:
    tracer = header.item("RadiopharmaceuticalInformationSequence")
    values = {name: tracer.number(key) for name, key in _TRACER.items()}
    return {name: value for name, value in values.items() if value is not None}
