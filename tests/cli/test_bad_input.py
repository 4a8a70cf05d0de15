"""Every bad input ends in one sentence with file and remedy, and the exit code."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from support.phantoms import phantom, write_dicom_series, write_nifti

from napari_resonance.scan import Scan

SFORM_CODE, QFORM_CODE, SROW_X, SROW_END = 254, 252, 280, 328  # nifti1.h


def with_affine(folder: Path, numbers: list[float]) -> Path:
    """Write a NIfTI whose sform, the only place it has, holds these numbers."""
    path = write_nifti(phantom()[0], folder / "odd.nii")
    content = bytearray(path.read_bytes())
    content[SROW_X:SROW_END] = struct.pack("<12f", *numbers)
    content[QFORM_CODE : QFORM_CODE + 4] = struct.pack("<2h", 0, 1)
    path.write_bytes(bytes(content))
    return path


def missing(folder: Path) -> Path:
    return folder / "nowhere.nii.gz"


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def text_as_dicom(folder: Path) -> Path:
    (folder / "note.dcm").write_text("Dear colleague, the scan is on the other disc.")
    return folder / "note.dcm"


def truncated(folder: Path) -> Path:
    path = write_nifti(phantom()[0], folder / "cut.nii.gz")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def nan_affine(folder: Path) -> Path:
    return with_affine(folder, [float("nan")] * 12)


def zero_affine(folder: Path) -> Path:
    return with_affine(folder, [0.0] * 12)


def blank(folder: Path) -> Path:
    scan, _ = phantom()
    scan = Scan(np.zeros(scan.shape, np.int16), scan.affine)
    return write_nifti(scan, folder / "blank.nii.gz")


def single_slice(folder: Path) -> Path:
    scan, _ = phantom()
    scan = Scan(scan.stored()[:, :, :1], scan.affine, modality="MR")
    return write_dicom_series(scan, folder / "slice")


def ct(folder: Path) -> Path:
    return write_dicom_series(phantom("flipped", modality="CT")[0], folder / "ct")


CASES = {
    missing: "no such file|does not exist|no file",
    empty_folder: "no scan in this folder",
    text_as_dicom: "DICOM",
    truncated: "truncated|incomplete|damaged|ends",
    nan_affine: "NaN|affine|sform",
    zero_affine: "affine|sform|singular|zero",
    blank: "blank",
    single_slice: "needs a volume, this scan is a single image",
    ct: "was made for MR, this scan is CT",
}


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_bad_scan_is_one_sentence_with_file_and_remedy(
    make, resonance, embedded, tmp_path
):
    path = make(tmp_path)
    out = tmp_path / "out"
    ran = resonance("classify", path, "--saliency", "gradcam", "--out", out)
    assert ran.code == 1
    assert ran.out == ""
    lines = [line for line in ran.err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert str(path) in lines[0] or path.name in lines[0]
    assert "Traceback" not in ran.err
    assert not list(out.iterdir())
    document = resonance("classify", path, "--json").document
    assert document["results"] == []
    (failure,) = document["failed"]
    assert (
        Path(failure["source"]).name.startswith(path.name[:4])
        or path in Path(failure["source"]).parents
    )
    import re

    assert re.search(CASES[make], failure["error"])
    assert failure["error"].endswith(".")
    assert document["error"]["message"]
    assert document["error"]["remedy"]


@pytest.mark.parametrize(
    "make", [missing, empty_folder, text_as_dicom, truncated, nan_affine, zero_affine],
    ids=lambda make: make.__name__,
)  # fmt: skip
def test_inspect_names_what_it_cannot_read(make, resonance, tmp_path):
    path = make(tmp_path)
    ran = resonance("inspect", path)
    assert (ran.code, ran.out) == (1, "")
    assert str(path) in ran.err
    document = resonance("inspect", path, "--json").document
    assert document["series"] == []
    assert document["skipped"]
    assert document["error"]["message"]


def test_good_scans_are_classified_beside_bad_ones(resonance, embedded, tmp_path):
    good = write_nifti(phantom()[0], tmp_path / "good.nii.gz")
    bad = text_as_dicom(tmp_path)
    ran = resonance("classify", good, bad, missing(tmp_path), "--json")
    assert ran.code == 3
    assert [r["source"] for r in ran.document["results"]] == [str(good)]
    assert [f["source"] for f in ran.document["failed"]] == [
        str(bad), str(missing(tmp_path)),
    ]  # fmt: skip
    assert "error" not in ran.document


def test_what_a_folder_leaves_out_is_said_on_stderr(resonance, embedded, tmp_path):
    write_nifti(phantom()[0], tmp_path / "good.nii.gz")
    truncated(tmp_path)
    ran = resonance("classify", tmp_path, "--json")
    assert ran.code == 0
    assert len(ran.document["results"]) == 1
    assert "Left out: " in ran.err
    assert "cut.nii.gz" in ran.err
    ran = resonance("inspect", tmp_path, "--json")
    assert ran.code == 0
    assert [Path(s["source"]).name for s in ran.document["skipped"]] == ["cut.nii.gz"]


def test_force_takes_a_scan_of_another_kind_with_a_warning(
    resonance, embedded, tmp_path
):
    ran = resonance("classify", ct(tmp_path), "--force", "--json")
    assert ran.code == 0
    (result,) = ran.document["results"]
    assert any("was made for MR" in warning for warning in result["warnings"])


def test_a_model_without_weights_is_one_sentence(resonance, embedded, tmp_path):
    scan = write_nifti(phantom()[0], tmp_path / "scan.nii.gz")
    model = shutil.copytree(embedded, tmp_path / "model")
    (model / "models" / "model.safetensors").unlink()
    for arguments in (["classify", scan, "--model", model], ["models", "show", model]):
        ran = resonance(*arguments)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("Error: ")
        assert len(ran.err.splitlines()) == 1
        error = resonance(*arguments, "--json").document["error"]
        assert error["type"] == "ModelError"
        assert str(model) in error["source"]
        assert "model.safetensors" in error["source"] + error["message"]
        assert error["remedy"]


def test_a_model_with_extra_files_works_with_a_warning(resonance, embedded, tmp_path):
    scan = write_nifti(phantom()[0], tmp_path / "scan.nii.gz")
    model = shutil.copytree(embedded, tmp_path / "model")
    (model / "models" / "run_me.py").write_text("raise SystemExit('executed')")
    ran = resonance("classify", scan, "--model", model, "--json")
    assert ran.code == 0
    (result,) = ran.document["results"]
    assert any("run_me.py" in warning for warning in result["warnings"])


def test_an_unknown_model_names_those_there_are(resonance, embedded, tmp_path):
    scan = write_nifti(phantom()[0], tmp_path / "scan.nii.gz")
    ran = resonance("classify", scan, "--model", "ct-organ")
    assert ran.code == 1
    assert "mr-sequence" in ran.err


def test_an_unknown_label_is_wrong_usage(resonance, embedded, tmp_path):
    scan = write_nifti(phantom()[0], tmp_path / "scan.nii.gz")
    ran = resonance("classify", scan, "--saliency", "gradcam", "--target", "PD")
    assert ran.code == 2
    assert "'PD'" in ran.err
    assert "T1w, T2w, FLAIR" in ran.err


def test_a_label_is_not_contrasted_with_itself(resonance, embedded, tmp_path):
    scan = write_nifti(phantom()[0], tmp_path / "scan.nii.gz")
    for asked in (["--target", "T1w", "--against", "T1w"], ["--against", "PD"]):
        assert resonance("classify", scan, "--saliency", "gradcam", *asked).code == 2
    assert resonance("classify", scan, "--against", "T1w").code == 2


def test_a_folder_that_cannot_be_written_fails_before_the_work(
    resonance, embedded, tmp_path
):
    scan = write_nifti(phantom()[0], tmp_path / "scan.nii.gz")
    (tmp_path / "file").write_text("x")
    ran = resonance("classify", scan, "--out", tmp_path / "file", "--json")
    assert ran.code == 1
    assert ran.document["error"]["type"] == "ExportError"
