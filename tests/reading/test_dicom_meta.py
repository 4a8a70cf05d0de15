"""Acquisition facts come under the field's names, identity does not come at all."""

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
