"""``resonance classify``: results as text, JSON and files."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.phantoms import phantom, write_dicom_series, write_nifti

LABELS = ("T1w", "T2w", "FLAIR")
KEYS = {
    "source", "label", "probability", "probabilities", "sure", "prediction_set",
    "out_of_distribution", "saliency", "picture", "warnings", "model", "seconds",
}  # fmt: skip


@pytest.fixture
def scan(tmp_path):
    return write_nifti(phantom()[0], tmp_path / "Jane_Doe" / "scan.nii.gz")


@pytest.fixture(autouse=True)
def _patient_folder(tmp_path, monkeypatch):
    (tmp_path / "Jane_Doe").mkdir()
    monkeypatch.chdir(tmp_path)


def test_json_holds_every_key_of_the_contract(resonance, embedded, scan):
    ran = resonance("classify", scan, "--json")
    assert ran.code == 0
    assert set(ran.document) == {"results", "failed"}
    (result,) = ran.document["results"]
    assert set(result) >= KEYS
    assert result["source"] == str(scan)
    assert result["model"] == "tiny"  # the name on the card
    assert tuple(result["probabilities"]) == LABELS
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    assert result["probability"] == max(result["probabilities"].values())
    assert result["saliency"] is None
    assert result["picture"] is None
    assert ran.document["failed"] == []


def test_nothing_is_written_unless_asked_for(resonance, embedded, scan, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    ran = resonance("classify", scan, "--saliency", "gradcam", "--json")
    (result,) = ran.document["results"]
    assert result["place"]
    assert len(result["peak_mm"]) == 3
    assert result["saliency"] is result["picture"] is None
    assert sorted(tmp_path.rglob("*")) == before


def test_out_holds_table_picture_and_map_without_names(
    resonance, embedded, scan, tmp_path
):
    arguments = ["classify", scan, "--saliency", "gradcam", "--target", "T2w"]
    ran = resonance(*arguments, "--out", "out", "--json")
    (result,) = ran.document["results"]
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == sorted(
        ["results.csv", Path(result["picture"]).name, Path(result["saliency"]).name]
    )
    assert not any("doe" in name.lower() or "scan" in name for name in files)
    image = nibabel.load(result["saliency"])
    peak = np.unravel_index(np.argmax(image.dataobj), image.shape)
    mm = (image.affine @ [*peak, 1])[:3]
    assert np.allclose(mm, result["peak_mm"], atol=1e-3)
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["label"] == result["label"]
    assert row["picture"] == result["picture"]
    again = resonance(*arguments, "--out", "out", "--json").document["results"][0]
    assert again["picture"] == result["picture"]


def test_without_saliency_out_holds_the_table_alone(
    resonance, embedded, scan, tmp_path
):
    resonance("classify", scan, "--out", "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.csv"]


def test_every_series_of_a_folder_is_one_result(resonance, embedded, tmp_path):
    series, _ = phantom()
    for name in ("one", "two"):
        write_dicom_series(series, tmp_path / "study" / name)
    write_nifti(series, tmp_path / "study" / "three.nii.gz")
    ran = resonance(
        "classify", "study", "--saliency", "gradcam", "--out", "out", "--json"
    )
    assert ran.code == 0
    results = ran.document["results"]
    assert len(results) == 3
    assert len({result["picture"] for result in results}) == 3
    assert len({round(result["probability"], 5) for result in results}) == 1


def test_text_of_one_result_names_everything(resonance, embedded, scan):
    ran = resonance("classify", scan, "--saliency", "gradcam")
    assert ran.code == 0
    for word in (*LABELS, "%", "unsure", "Model", "Looked at", " mm "):
        assert word in ran.out
    assert "Grad-CAM for" in ran.out
    assert "Research use only" in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 80


def test_text_of_several_results_is_a_table(resonance, embedded, tmp_path):
    scan, _ = phantom()
    long_path = tmp_path / ("a_very_long_folder_name_" * 4)
    long_path.mkdir()
    for name in ("one.nii.gz", "two.nii.gz"):
        write_nifti(scan, long_path / name)
    ran = resonance("classify", long_path)
    lines = ran.out.splitlines()
    assert lines[0].split() == ["Scan", "Label", "Probability", "Certainty"]
    assert "one.nii.gz" in lines[1]
    assert "two.nii.gz" in lines[2]
    assert max(map(len, lines)) <= 80


def test_progress_stays_off_stdout_and_out_of_files(resonance, embedded, scan):
    ran = resonance("classify", scan)
    assert "running the network" not in ran.out + ran.err


def test_an_unencodable_name_does_not_end_the_run(resonance, embedded, tmp_path):
    path = write_nifti(phantom()[0], tmp_path / "scan_\udcff_é.nii.gz")
    ran = resonance("classify", path, "--json")
    assert ran.code == 0
    assert ran.document["results"][0]["source"] == str(path)
    assert resonance("classify", path).code == 0


def test_warnings_of_the_scan_reach_the_user(resonance, embedded, tmp_path):
    from support.phantoms import time_phantom

    path = write_nifti(time_phantom()[0], tmp_path / "time.nii.gz")
    ran = resonance("classify", path)
    assert "Note: " in ran.out


def test_a_two_dimensional_model_takes_single_images(resonance, tmp_path):
    from support.bundles import tiny_bundle

    model = tiny_bundle(tmp_path / "model", dimensions=2)
    image = phantom()[0]
    image = dataclasses.replace(image, voxels=image.stored()[:, :, :1])
    path = write_dicom_series(image, tmp_path / "slice")
    arguments = ["--model", model, "--saliency", "gradcam", "--out", "out", "--json"]
    ran = resonance("classify", path, *arguments)
    assert ran.code == 0
    assert Path(ran.document["results"][0]["picture"]).exists()


def test_a_scan_without_orientation_has_no_side(resonance, embedded, tmp_path):
    voxels = np.asarray(phantom()[0].voxels)
    image = nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "lost.nii.gz")
    arguments = ("--saliency", "gradcam", "--out", "out", "--json")
    ran = resonance("classify", tmp_path / "lost.nii.gz", *arguments)
    (result,) = ran.document["results"]
    assert "orientation is not known" in result["place"]
    assert result["peak_mm"] is None
    header = nibabel.load(result["saliency"]).header
    assert int(header["sform_code"]) == int(header["qform_code"]) == 0


def test_an_absurd_voxel_size_fails_its_scan_only(resonance, embedded, scan, tmp_path):
    huge = nibabel.Nifti1Image(
        np.ones((9, 9, 9), np.int16), np.diag([1e7, 1e7, 1e7, 1])
    )
    nibabel.save(huge, tmp_path / "huge.nii.gz")
    ran = resonance("classify", tmp_path / "huge.nii.gz", scan, "--json")
    assert ran.code in (0, 3)
    assert str(scan) in {r["source"] for r in ran.document["results"]}


def test_a_name_that_is_no_text_is_written_all_the_same(resonance, embedded, scan):
    odd = scan.with_name("\udcff\udcfe.nii.gz")
    scan.rename(odd)
    ran = resonance("classify", odd, "--out", "out", "--json")
    assert ran.code == 0
    assert Path("out/results.csv").read_text(encoding="utf-8").count("\n") == 2


def test_a_picture_that_cannot_be_written_costs_no_answer(
    resonance, embedded, scan, tmp_path
):
    arguments = ("--saliency", "gradcam", "--out", "out", "--json")
    (result,) = resonance("classify", scan, *arguments).document["results"]
    picture = Path(result["picture"])
    picture.unlink()
    picture.mkdir()
    ran = resonance("classify", scan, *arguments)
    assert ran.code == 3
    assert len(ran.document["results"]) == 1
    assert ran.document["failed"][0]["type"] == "ExportError"
    assert Path("out/results.csv").exists()


def test_a_table_of_an_earlier_run_does_not_stay(resonance, embedded, scan):
    resonance("classify", scan, "--out", "out")
    resonance("classify", scan.with_name("missing.nii"), "--out", "out")
    assert not Path("out/results.csv").exists()


def test_control_characters_do_not_reach_the_terminal(resonance, embedded, scan):
    odd = scan.with_name("e\x1b[31mvil.nii.gz")
    scan.rename(odd)
    ran = resonance("inspect", odd)
    assert "\x1b[31m" not in ran.out
    assert (
        resonance("classify", odd.with_name("x\x1b[31m.nii")).err.count("\x1b[31m") == 0
    )
