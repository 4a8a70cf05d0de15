"""Acquisition facts come under the field's names, identity does not come at all."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from support.dicom_files import plane, save, write_stack

from napari_resonance import read_scan, sample_path


def test_facts_of_the_real_sample():
    meta = read_scan(sample_path("oblique-pd")).meta
    expected = {
        "repetition_time_ms": 2300.0,
        "echo_time_ms": 22.0,
        "flip_angle_deg": 90.0,
        "magnetic_field_strength_t": 1.5,
        "scanning_sequence": "SE",
        "sequence_variant": "SK",
        "mr_acquisition_type": "2D",
        "sequence_name": "fse",
        "image_type": ("ORIGINAL", "PRIMARY", "MPR"),
        "series_description": "FSE PD AXIAL OBL",
        "protocol_name": "CLINICAL BRAIN",
        "manufacturer": "GE Medical Systems",
        "patient_position": "HFS",
        "photometric_interpretation": "MONOCHROME2",
        "slice_thickness_mm": 5.0,
    }
    assert {name: meta.get(name) for name in expected} == expected
    assert "window_center" not in meta  # the file gives a width of 0


def test_identity_and_dates_stay_in_the_file(tmp_path):
    tags = {"AcquisitionDate": "20010203", "InstitutionName": "St. Elsewhere"}
    scan = read_scan(write_stack(tmp_path, (0, 2), **tags))
    everything = f"{dict(scan.meta)} {scan!r} {scan.warnings}"
    for secret in ("Doe", "Jane", "77", "1961", "2001", "Elsewhere"):
        assert secret not in everything
    assert (scan.study, scan.series) == ("1.2.3", "1.2.3.4")


def test_windows_come_as_numbers_or_as_tuples(tmp_path):
    one = plane(0, (0, 0, 0), WindowCenter=40, WindowWidth=400)
    two = plane(0, (0, 0, 0), WindowCenter=[40, 600], WindowWidth=[400, 2800])
    assert read_scan(save(one, tmp_path / "1")).meta["window_width"] == 400
    assert read_scan(save(two, tmp_path / "2")).meta["window_center"] == (40, 600)


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00189087, "FD", 700.0),
        (0x0019100C, "IS", "700"),
        (0x20011003, "FL", 700.0),
        (0x00431039, "IS", ["1000000700", "8", "0", "0"]),
    ],
)
def test_diffusion_weighting_of_several_vendors(tmp_path, tag, vr, value):
    made = plane(0, (0, 0, 0))
    made.add_new(tag, vr, value)
    assert read_scan(save(made, tmp_path / "x")).meta["diffusion_b_value"] == 700


def test_texts_are_read_in_the_character_set_of_the_file(tmp_path):
    tags = {"SpecificCharacterSet": "ISO_IR 192", "SeriesDescription": "Schädel"}
    scan = read_scan(save(plane(0, (0, 0, 0), **tags), tmp_path / "x"))
    assert scan.meta["series_description"] == "Schädel"


def test_a_tracer_is_described(tmp_path):
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = 3.7e8, 6586.2
    tags = {"Modality": "PT", "Units": "BQML", "PatientWeight": 70}
    made = plane(0, (0, 0, 0), RadiopharmaceuticalInformationSequence=[tracer], **tags)
    meta = read_scan(save(made, tmp_path / "x")).meta
    assert meta["units"] == "BQML"
    assert meta["injected_dose_bq"] == 3.7e8
    assert meta["radionuclide_half_life_s"] == 6586.2
    assert meta["patient_weight_kg"] == 70


def test_factors_of_standardised_uptake_values(tmp_path):
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = 3.7e8, 6586.2
    tracer.RadiopharmaceuticalStartTime = "233000.5"
    tags = {"Modality": "PT", "Units": "BQML", "PatientWeight": 70, "PatientSize": 1.8}
    times = {"SeriesTime": "003000.500", "DecayCorrection": "START"}
    made = plane(0, (0, 0, 0), **tags, **times)
    made.RadiopharmaceuticalInformationSequence = [tracer]
    made.add_new(0x70531000, "DS", "0.000521")
    meta = read_scan(save(made, tmp_path / "x")).meta
    expected = {
        "injected_dose_bq": 3.7e8,
        "radionuclide_half_life_s": 6586.2,
        "uptake_time_s": 3600.0,
        "patient_weight_kg": 70.0,
        "patient_size_m": 1.8,
        "suv_scale_factor": 0.000521,
        "units": "BQML",
        "decay_correction": "START",
    }
    assert {name: meta.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("vr", "entries"),
    [("US", [0, 2000, 4095]), ("OW", np.array([0, 2000, 4095], "<u2").tobytes())],
)
def test_a_table_from_values_to_grey(tmp_path, vr, entries):
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [3, 65534, 12])
    table.add_new("LUTData", vr, entries)
    made = plane(0, None, Modality="DX", VOILUTSequence=[table])
    meta = read_scan(save(made, tmp_path / "x")).meta
    assert meta["voi_lut"] == (0, 2000, 4095)
    assert (meta["voi_lut_first_value"], meta["voi_lut_bits"]) == (-2, 12)


def test_facts_of_a_radiograph(tmp_path):
    facts = {
        "PresentationIntentType": "FOR PRESENTATION",
        "PixelIntensityRelationship": "LOG",
        "DistanceSourceToDetector": 1800,
        "Exposure": 4,
        "PixelPaddingRangeLimit": 12,
    }
    meta = read_scan(save(plane(0, None, **facts), tmp_path / "x")).meta
    assert meta["presentation_intent_type"] == "FOR PRESENTATION"
    assert meta["pixel_intensity_relationship"] == "LOG"
    assert meta["distance_source_to_detector_mm"] == 1800
    assert meta["exposure_mas"] == 4
    assert meta["pixel_padding_range_limit"] == 12
