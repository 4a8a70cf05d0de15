"""``resonance classify`` of a region, and of several scans as channels."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.bundles import tiny_bundle
from support.phantoms import phantom, write_nifti

BOX = {"step": "box", "size_mm": [16, 16, 16]}


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "region"
    return tiny_bundle(folder, first_steps=(BOX,))


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "several"
    return tiny_bundle(folder, channels=("T1w", "T2w", "FLAIR"))


@pytest.fixture
def scans(tmp_path):
    scan, mm = phantom("oblique")
    paths = []
    for n, name in enumerate(("t1", "t2", "flair")):
        voxels = np.asarray(np.roll(scan.stored(), n, axis=0), np.int16, order="F")
        path = tmp_path / f"{name}.nii.gz"
        paths.append(write_nifti(replace(scan, voxels=voxels), path))
    return paths, mm


def written(mm):
    return ",".join(f"{x:.4f}" for x in mm)


def test_the_centre_may_be_negative_and_is_in_the_answer(
    resonance, region, scans, tmp_path
):
    (path, *_), mm = scans
    assert mm[0] < 0  # the first character of the argument is a minus
    place = written(mm)
    out = tmp_path / "out"
    more = ("--saliency", "gradcam", "--out", out)
    ran = resonance("classify", path, "-m", region, "--center", place, *more, "--json")
    assert ran.code == 0
    (result,) = ran.document["results"]
    assert result["center_mm"] == pytest.approx(list(mm), abs=1e-3)
    assert "box_mm" not in result
    # The map lies around the place: half the box, and a cell.
    assert np.abs(np.subtract(result["peak_mm"], mm)).max() < 8 * 3**0.5 + 8
    assert "the marked place" in result["place"]  # and no hemisphere of a box
    assert Path(result["picture"]).is_file()
    # Another box is another map.
    more += ("--box", "20,20,20")
    ran = resonance("classify", path, "-m", region, "--center", place, *more, "--json")
    assert ran.document["results"][0]["picture"] != result["picture"]
    assert len(list(out.glob("*.png"))) == 2
    with open(out / "results.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["center_x"]) == pytest.approx(mm[0], abs=1e-3)
    joined = resonance("classify", path, "-m", region, f"--center={place}", "--json")
    assert joined.document["results"][0]["probability"] == result["probability"]
    text = resonance("classify", path, "-m", region, "--center", place)
    assert "around" in text.out
    assert " mm L," in text.out


def test_the_box_is_another_size(resonance, region, scans):
    (path, *_), mm = scans
    arguments = ("classify", path, "-m", region, "--center", written(mm))
    ran = resonance(*arguments, "--box", "12,14,16", "--json")
    (result,) = ran.document["results"]
    assert result["box_mm"] == [12, 14, 16]
    assert any("size it was trained on" in w for w in result["warnings"])
    bad = resonance(*arguments, "--box", "12,0,16", "--json")
    assert bad.code == 1
    assert "numbers above 0" in bad.document["error"]["message"]


@pytest.mark.parametrize("text", ["1,2", "a,b,c", "1,2,nan", "1 2 3", ""])
def test_what_is_no_place_is_wrong_usage(resonance, region, scans, text):
    ran = resonance("classify", scans[0][0], "-m", region, "--center", text, "--json")
    assert ran.code == 2
    assert "--center takes three numbers" in ran.document["error"]["message"]


def test_a_place_outside_fails_its_scan_only(resonance, region, scans, tmp_path):
    (path, *_), mm = scans
    scan = phantom("oblique")[0]
    affine = scan.affine.copy()
    affine[:3, 3] += 300
    far = write_nifti(replace(scan, affine=affine), tmp_path / "far.nii.gz")
    arguments = ("-m", region, "--center", written(mm), "--json")
    ran = resonance("classify", path, far, *arguments)
    assert ran.code == 3
    assert len(ran.document["results"]) == 1
    (failed,) = ran.document["failed"]
    assert failed["source"] == str(far)
    assert "lies outside the scan" in failed["error"]
    assert "RAS+" in failed["error"]


def test_what_a_model_needs_and_does_not_need_is_said(
    resonance, region, several, embedded, scans
):
    (path, *_), mm = scans
    missing = resonance("classify", path, "-m", region, "--json")
    assert missing.code == 1
    assert "--center x,y,z" in missing.document["error"]["remedy"]
    unwanted = resonance("classify", path, "--center", written(mm), "--json")
    assert "no step 'box'" in unwanted.document["error"]["message"]
    alone = resonance("classify", path, "-m", several, "--json")
    assert "3 scans are needed" in alone.document["error"]["message"]
    assert "--channel" in alone.document["error"]["remedy"]


def test_channels_are_named_in_their_order(resonance, several, scans, tmp_path):
    (t1, t2, flair), _ = scans
    more = ("--channel", t2, "--channel", flair, "--out", tmp_path / "out")
    ran = resonance("classify", t1, "-m", several, *more, "--json")
    assert ran.code == 0
    (result,) = ran.document["results"]
    assert result["source"] == str(t1)
    assert result["channels"] == [str(t2), str(flair)]
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["channels"] == f"{t2}; {flair}"
    other = resonance(
        "classify", t1, "-m", several, "--channel", flair, "--channel", t2, "--json"
    )
    assert other.document["results"][0]["probability"] != result["probability"]


def test_channels_belong_to_one_scan(resonance, several, scans, tmp_path):
    (t1, t2, flair), _ = scans
    ran = resonance("classify", t1, t2, "--channel", flair, "-m", several, "--json")
    assert ran.code == 2
    assert "one PATH" in ran.document["error"]["message"]
    more = ("--channel", t2, "--channel", flair)
    folder = resonance("classify", tmp_path, *more, "-m", several, "--json")
    assert folder.code == 1
    assert "3 scans are here" in folder.document["error"]["message"]
    gone = ("--channel", t2, "--channel", tmp_path / "gone.nii")
    missing = resonance("classify", t1, *gone, "-m", several, "--json")
    assert missing.code == 1
    assert "gone.nii" in missing.document["error"]["source"]
