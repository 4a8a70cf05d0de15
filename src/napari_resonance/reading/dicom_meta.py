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
    "bits_stored": ("BitsStored",),
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
    "exposure_time_ms": ("ExposureTime", "ExposureTimeInms"),
    "exposure_mas": ("Exposure", "ExposureInmAs"),
    "reconstruction_diameter_mm": ("ReconstructionDiameter",),
    "spiral_pitch_factor": ("SpiralPitchFactor",),
    "pixel_bandwidth_hz": ("PixelBandwidth",),
    "number_of_averages": ("NumberOfAverages",),
    "distance_source_to_detector_mm": ("DistanceSourceToDetector",),
    "distance_source_to_patient_mm": ("DistanceSourceToPatient",),
    "radiographic_magnification": ("EstimatedRadiographicMagnificationFactor",),
    "body_part_thickness_mm": ("BodyPartThickness",),
    "frame_time_ms": ("FrameTime",),
    "pixel_padding_value": ("PixelPaddingValue", "FloatPixelPaddingValue"),
    "pixel_padding_range_limit": ("PixelPaddingRangeLimit",),
    "decay_factor": ("DecayFactor",),
    "actual_frame_duration_ms": ("ActualFrameDuration",),
    "frame_reference_time_ms": ("FrameReferenceTime",),
    "dose_calibration_factor": ("DoseCalibrationFactor",),
    "patient_weight_kg": ("PatientWeight",),
    "patient_size_m": ("PatientSize",),
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
    "pixel_intensity_relationship": "PixelIntensityRelationship",
    "presentation_intent_type": "PresentationIntentType",
    "pixel_spacing_calibration_type": "PixelSpacingCalibrationType",
    "burned_in_annotation": "BurnedInAnnotation",
    "lossy_image_compression": "LossyImageCompression",
    "rescale_type": "RescaleType",
    "units": "Units",
    "suv_type": "SUVType",
    "decay_correction": "DecayCorrection",
    "corrected_image": "CorrectedImage",
    "attenuation_correction_method": "AttenuationCorrectionMethod",
    "reconstruction_method": "ReconstructionMethod",
    "frame_of_reference_uid": "FrameOfReferenceUID",
}
# Free texts, decoded with the character set of the file.
_WORDS = {
    "series_description": "SeriesDescription",
    "protocol_name": "ProtocolName",
}
_LUT_DATA = 0x00283006
_LARGEST_SIGNED = 0x7FFF
_DAY = 86400.0
# Philips keeps the way from counts to SUV and to Bq/ml in elements of its own.
_PHILIPS_SUV = {"suv_scale_factor": 0x70531000, "activity_scale_factor": 0x70531009}
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
    return meta | _window(header) | _table(header) | _tracer(header)


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


def _table(header: Header) -> dict[str, Any]:
    """Return the look-up table from values to grey, where the file has one."""
    table = header.item("VOILUTSequence")
    descriptor, entries = table.numbers("LUTDescriptor", 3), table.numbers("LUTData")
    if descriptor and not entries:
        entries = _words(table.data(_LUT_DATA), descriptor[0])
    if not descriptor or not entries:
        return {}
    first = descriptor[1]
    if header.integer("PixelRepresentation") == 1 and first > _LARGEST_SIGNED:
        first -= 2 * (_LARGEST_SIGNED + 1)
    return {
        "voi_lut_first_value": int(first),
        "voi_lut_bits": int(descriptor[2]),
        "voi_lut": tuple(map(int, entries)),
    }


def _words(data: bytes, count: float) -> tuple[float, ...]:
    """Return numbers kept as bytes or, in the order of most files, as words."""
    size = 1 if len(data) <= (count or 65536) + 1 else 2
    starts = range(0, len(data) - size + 1, size)
    return tuple(int.from_bytes(data[n : n + size], "little") for n in starts)


def _tracer(header: Header) -> dict[str, Any]:
    """Return what standardised uptake values are made of."""
    tracer = header.item("RadiopharmaceuticalInformationSequence")
    values = {name: tracer.number(key) for name, key in _TRACER.items()}
    if header.text("Modality").upper() == "PT":
        values |= {name: header.number(key) for name, key in _PHILIPS_SUV.items()}
        values["uptake_time_s"] = _uptake_time(header, tracer)
    return {name: value for name, value in values.items() if value is not None}


def _uptake_time(header: Header, tracer: Header) -> float | None:
    """Return the seconds from injection to the time to which decay is corrected.

    Only the difference is kept: when the scan was made does not matter here.
    """
    start = _seconds(header.text("SeriesTime"))
    injected = _seconds(tracer.text("RadiopharmaceuticalStartTime"))
    if injected is None:
        # Date and time in one; the date is cut off (PS3.5 6.2).
        whole = tracer.text("RadiopharmaceuticalStartDateTime")
        injected = _seconds(whole[8:14])
    if start is None or injected is None:
        return None
    # Beyond midnight; no tracer in use waits for longer.
    return (start - injected) % _DAY


def _seconds(time: str) -> float | None:
    """Return the seconds since midnight of a DICOM time."""
    digits = time.replace(":", "")
    if len(digits) < 6 or not digits[:6].isdigit():
        return None
    hours, minutes = int(digits[:2]), int(digits[2:4])
    try:
        return hours * 3600 + minutes * 60 + float(digits[4:])
    except ValueError:
        return None
