"""``resonance inspect``: one row a series."""

from __future__ import annotations

import pytest
from support.phantoms import phantom, write_dicom_series, write_nifti

from napari_resonance.samples import sample_path


def test_json_holds_one_entry_a_series(resonance, tmp_path):
    scan, _ = phantom("flipped")
    write_dicom_series(scan, tmp_path / "series")
    write_nifti(scan, tmp_path / "scan.nii.gz")
    ran = resonance("inspect", tmp_path, "--json")
    assert ran.code == 0
    assert set(ran.document) == {"series", "skipped"}
    by_format = {entry["format"]: entry for entry in ran.document["series"]}
    assert set(by_format) == {"DICOM", "NIfTI"}
    dicom = by_format["DICOM"]
    assert dicom["source"] == str(tmp_path / "series")
    assert dicom["modality"] == "MR"
    assert sorted(dicom["shape"]) == sorted(scan.shape)
    assert sorted(dicom["spacing"]) == pytest.approx(sorted(scan.spacing))
    assert dicom["files"] == 17
    nifti = by_format["NIfTI"]
    assert (nifti["orientation"], nifti["files"]) == ("LPI", 1)
    assert nifti["source"] == str(tmp_path / "scan.nii.gz")


def test_the_samples_fit_a_terminal(resonance):
    ran = resonance("inspect", sample_path())
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].split()[:3] == ["Scan", "Kind", "Size"]
    assert len(lines) >= 4
    assert max(map(len, lines)) <= 80
    assert "icbm_t1.nii.gz" in ran.out


def test_several_paths_with_a_bad_one_end_with_3(resonance, tmp_path):
    ran = resonance("inspect", sample_path("icbm-t1"), tmp_path / "none", "--json")
    assert ran.code == 3
    assert len(ran.document["series"]) == 1
    assert ran.document["skipped"][0]["source"] == str(tmp_path / "none")
