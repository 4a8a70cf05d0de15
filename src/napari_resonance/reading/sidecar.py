"""Acquisition facts from the BIDS sidecar that lies beside a NIfTI file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MAX_BYTES = 1 << 20

# BIDS gives times in seconds, DICOM and our `meta` in milliseconds.
_MILLISECONDS = {
    "EchoTime": "echo_time_ms",
    "InversionTime": "inversion_time_ms",
    "RepetitionTime": "repetition_time_ms",
}
_NUMBERS = {
    "FlipAngle": "flip_angle_deg",
    "ImagingFrequency": "imaging_frequency_mhz",
    "MagneticFieldStrength": "magnetic_field_strength_t",
    "SliceThickness": "slice_thickness_mm",
    "SpacingBetweenSlices": "spacing_between_slices_mm",
}
_TEXTS = {
    "BodyPartExamined": "body_part_examined",
    "ImageType": "image_type",
    "MRAcquisitionType": "mr_acquisition_type",
    "Manufacturer": "manufacturer",
    "ManufacturersModelName": "manufacturer_model_name",
    "PatientPosition": "patient_position",
    "ProtocolName": "protocol_name",
    "ScanningSequence": "scanning_sequence",
    "SequenceName": "sequence_name",
    "SequenceVariant": "sequence_variant",
    "SeriesDescription": "series_description",
}


@dataclass(frozen=True)
class Facts:
    """What a sidecar says of the scan: identifiers apart from acquisition facts."""

    modality: str = ""
    study: str = ""
    series: str = ""
    meta: dict[str, Any] = field(default_factory=dict)


def facts_beside(path: Path) -> Facts:
    """Return the facts of ``name.json`` beside ``name.nii[.gz]``; empty without one.

    A sidecar that cannot be read is no reason to refuse the image.
    """
    sidecar = path.with_name(_stem(path.name) + ".json")
    try:
        if not sidecar.is_file() or sidecar.stat().st_size > _MAX_BYTES:
            return Facts()
        found = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Facts()
    return _facts(found) if isinstance(found, dict) else Facts()


def _stem(name: str) -> str:
    plain = name[:-3] if name.lower().endswith(".gz") else name
    return plain.rsplit(".", 1)[0]


def _facts(found: dict[str, Any]) -> Facts:
    meta: dict[str, Any] = {}
    for key, name in _MILLISECONDS.items():
        if (seconds := _number(found.get(key))) is not None:
            meta[name] = round(seconds * 1000, 6)
    for key, name in _NUMBERS.items():
        if (number := _number(found.get(key))) is not None:
            meta[name] = number
    for key, name in _TEXTS.items():
        if (text := _words(found.get(key))) is not None:
            meta[name] = text
    modality, study, series = (
        found[key] if isinstance(found.get(key), str) else ""
        for key in ("Modality", "StudyInstanceUID", "SeriesInstanceUID")
    )
    return Facts(modality, study, series, meta)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _words(value: object) -> str | tuple[str, ...] | None:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return tuple(value)
    return None
