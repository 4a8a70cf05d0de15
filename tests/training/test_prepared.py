"""Prepared cases: inputs as a classifier makes them, kept on disk, without errors."""

import os

import numpy as np
import pydicom
import pytest

from napari_resonance.errors import CancelledError, TrainingError
from napari_resonance.preprocessing import Recipe
from napari_resonance.reading import read_scan
from napari_resonance.training import one_case
from napari_resonance.training.labels import read_labels
from napari_resonance.training.prepared import prepare_cases

from .conftest import blobs, scan_file

RECIPE = Recipe.from_json(
    {
        "dimensions": 3,
        "steps": [
            {"step": "orient", "code": "RAS"},
            {"step": "resample_shape", "shape": [12, 12, 10]},
            {"step": "zscore"},
        ],
    }
)
IMAGES = Recipe.from_json(
    {
        "dimensions": 2,
        "steps": [
            {"step": "orient", "code": "LPS"},
            {"step": "crop_or_pad", "shape": [16, 16, None]},
            {"step": "zscore"},
        ],
    }
)


@pytest.fixture
def table(tmp_path):
    """Six patients, two classes."""
    rows = ["path,label,site"]
    for n in range(6):
        scan_file(tmp_path / f"p{n}.nii.gz", blobs(n), np.diag([2, 2, 3, 1]))
        rows.append(f"p{n}.nii.gz,{'xy'[n % 2]},north")
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(rows))
    return path


def never_read(*arguments):
    raise AssertionError("a scan was read")


def test_inputs_are_those_of_the_recipe(table):
    labelled = read_labels(table)
    prepared = prepare_cases(labelled, RECIPE)
    assert prepared.inputs.shape == (6, 1, 12, 12, 10)
    assert prepared.inputs.dtype == np.float32
    assert prepared.targets.tolist() == [0, 1] * 3
    assert len(prepared) == 6
    assert prepared.left_out == ()
    for n, case in enumerate(labelled.cases):
        expected = RECIPE.apply(read_scan(case.paths[0]))
        np.testing.assert_array_equal(prepared.inputs[n], expected.array[0])
        np.testing.assert_array_equal(prepared.affines[n], expected.grid.affine)


def test_the_second_time_no_scan_is_read(table, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = prepare_cases(read_labels(table), RECIPE, cache=cache)
    monkeypatch.setattr(one_case, "read_scan", never_read)
    second = prepare_cases(read_labels(table), RECIPE, cache=cache)
    assert isinstance(second.inputs, np.memmap)
    for name in ("inputs", "affines", "targets", "fingerprints"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name))
    assert second.facts == first.facts
    assert second.labelled == first.labelled
    # Other labels of the same scans need no reading either.
    table.write_text(table.read_text().replace(",x,", ",z,"))
    third = prepare_cases(read_labels(table), RECIPE, cache=cache)
    assert third.labelled.labels == ("y", "z")
    assert third.targets.tolist() == [1, 0] * 3


def test_a_changed_scan_or_recipe_is_prepared_anew(table, tmp_path):
    cache = tmp_path / "cache"
    first = prepare_cases(read_labels(table), RECIPE, cache=cache)
    scan_file(tmp_path / "p0.nii.gz", blobs(77), np.diag([2, 2, 3, 1]))
    os.utime(tmp_path / "p0.nii.gz", (1, 1))
    changed = prepare_cases(read_labels(table), RECIPE, cache=cache)
    assert not np.array_equal(changed.inputs[0], first.inputs[0])
    np.testing.assert_array_equal(changed.inputs[1:], first.inputs[1:])
    prepare_cases(read_labels(table), IMAGES, cache=cache)
    assert len(list(cache.iterdir())) == 3


def test_a_damaged_cache_is_made_again(table, tmp_path):
    cache = tmp_path / "cache"
    first = prepare_cases(read_labels(table), RECIPE, cache=cache)
    expected = np.array(first.inputs)
    (folder,) = cache.iterdir()
    with (folder / "inputs.float32").open("r+b") as stream:
        stream.truncate(100)
    again = prepare_cases(read_labels(table), RECIPE, cache=cache)
    np.testing.assert_array_equal(again.inputs, expected)
    arrays = (folder / "arrays.npz").read_bytes()
    for name, damaged in (
        ("facts.json", b"{"),
        ("facts.json", b"[]"),
        ("arrays.npz", b""),
        ("arrays.npz", arrays[: len(arrays) // 2]),
    ):
        (folder / name).write_bytes(damaged)
        again = prepare_cases(read_labels(table), RECIPE, cache=cache)
        np.testing.assert_array_equal(again.inputs, expected)


@pytest.mark.parametrize("cached", [True, False])
def test_what_cannot_be_prepared_is_left_out_with_its_reason(table, tmp_path, cached):
    whole = (tmp_path / "p1.nii.gz").read_bytes()
    (tmp_path / "p1.nii.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "p2.nii.gz").write_bytes(b"no scan at all")
    scan_file(tmp_path / "p3.nii.gz", np.full((20, 24, 16), 7, np.int16))
    scan_file(tmp_path / "p4.nii.gz", np.full((20, 24, 16), np.nan, np.float32))
    cache = tmp_path / "cache" if cached else None
    for _ in range(2):
        prepared = prepare_cases(read_labels(table), RECIPE, cache=cache)
        assert [c.source for c in prepared.labelled.cases] == ["p0.nii.gz", "p5.nii.gz"]
        assert prepared.inputs.shape[0] == 2
        assert prepared.targets.tolist() == [0, 1]
        reasons = dict(prepared.left_out)
        assert set(reasons) == {f"p{n}.nii.gz" for n in (1, 2, 3, 4)}
        assert all(reasons.values())
        assert "blank" in reasons["p3.nii.gz"]
        assert "finite" in reasons["p4.nii.gz"]


def test_nothing_left_is_an_error(table, tmp_path):
    for n in range(6):
        (tmp_path / f"p{n}.nii.gz").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"no scan could be prepared \(p0"):
        prepare_cases(read_labels(table), RECIPE, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_inputs_of_other_shapes(table, tmp_path):
    steps = [{"step": "resample_spacing", "spacing": [4.0, 4.0, 4.0]}]
    recipe = Recipe.from_json({"dimensions": 3, "steps": steps})
    scan_file(tmp_path / "p5.nii.gz", blobs(5, (26, 24, 16)), np.diag([2, 2, 3, 1]))
    prepared = prepare_cases(read_labels(table), recipe)
    assert len(prepared) == 5
    ((source, reason),) = prepared.left_out
    assert source == "p5.nii.gz"
    assert reason == "its input is 1×13×13×12, that of others 1×11×13×12"
    scan_file(tmp_path / "p0.nii.gz", blobs(5, (30, 24, 16)), np.diag([2, 2, 3, 1]))
    with pytest.raises(TrainingError, match="inputs of different shapes") as caught:
        prepare_cases(read_labels(table), recipe)
    assert "crop_or_pad" in caught.value.remedy


def test_of_a_volume_a_2d_network_gets_the_middle_slice(table, tmp_path):
    prepared = prepare_cases(read_labels(table), IMAGES)
    assert prepared.inputs.shape == (6, 1, 16, 16)
    whole = IMAGES.apply(read_scan(tmp_path / "p0.nii.gz"))
    np.testing.assert_array_equal(prepared.inputs[0], whole.array[8])
    place = whole.grid.affine @ [0, 0, 8, 1]
    np.testing.assert_allclose(prepared.affines[0] @ [0, 0, 0, 1], place)


def test_a_region_and_several_scans(tmp_path):
    rows = ["path,label,channel_2,center_x,center_y,center_z"]
    for n in range(4):
        for kind in ("a", "b"):
            scan_file(tmp_path / f"p{n}" / f"{kind}.nii", blobs(n + 50 * (kind == "b")))
        rows.append(f"p{n}/a.nii,{'xy'[n % 2]},p{n}/b.nii,9,10,8")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    recipe = Recipe.from_json(
        {
            "dimensions": 3,
            "channels": ["first", "second"],
            "steps": [{"step": "box", "shape": [8, 8, 6]}],
        }
    )
    prepared = prepare_cases(read_labels(tmp_path), recipe)
    assert prepared.left_out == ()
    assert prepared.inputs.shape == (4, 2, 8, 8, 6)
    expected = recipe.apply(
        [read_scan(tmp_path / "p0" / f"{kind}.nii") for kind in ("a", "b")], (9, 10, 8)
    )
    np.testing.assert_array_equal(prepared.inputs[0], expected.array[0])
    # A recipe that wants none of this leaves the cases out, and says why.
    with pytest.raises(TrainingError, match="one scan is needed, 2 scans were given"):
        prepare_cases(read_labels(tmp_path), RECIPE)


def test_progress_and_stopping(table, tmp_path):
    told = []
    prepare_cases(
        read_labels(table), RECIPE, progress=lambda *step: told.append(step[:2])
    )
    assert told == [(n, 6) for n in range(1, 7)]
    cache = tmp_path / "cache"
    with pytest.raises(CancelledError):
        prepare_cases(read_labels(table), RECIPE, cache=cache, should_stop=lambda: True)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(table, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(TrainingError, match="could not be kept"):
        prepare_cases(read_labels(table), RECIPE, cache=tmp_path / "cache")


def test_facts_of_dicom_files(shared_data, tmp_path):
    source = shared_data / "ct_dicom"
    for n in range(2):
        for file in sorted(source.iterdir())[:3]:
            image = pydicom.dcmread(file)
            image.PatientID, image.PatientAge = f"secret {n}", "047Y"
            image.PatientSex, image.StudyInstanceUID = "FM"[n], "1.2.840.77"
            image.Manufacturer = "Siemens Healthineers"
            image.ManufacturerModelName = "Test 1"
            place = tmp_path / "xy"[n] / f"p{n}"
            place.mkdir(parents=True, exist_ok=True)
            image.save_as(place / file.name)
    labelled = read_labels(tmp_path, patients_per_class=1)
    prepared = prepare_cases(labelled, RECIPE)
    assert prepared.facts[0] == {
        "modality": "CT",
        "scanner": "SIEMENS Test 1",
        "sex": "F",
        "age": "40-49",
    }
    assert prepared.facts[1]["sex"] == "M"
    assert prepared.studies[0] == prepared.studies[1] != ""
    assert "1.2.840.77" not in prepared.studies[0]
    assert "secret" not in repr(prepared)


def test_regions_of_one_scan_are_read_once(tmp_path, monkeypatch):
    rows = ["path,label,center_x,center_y,center_z"]
    for n in range(2):
        scan_file(tmp_path / f"p{n}.nii", blobs(n))
        rows += [f"p{n}.nii,{'xy'[k % 2]},{6 + k},9,8" for k in range(3)]
    (tmp_path / "broken.nii").write_bytes(b"nothing")
    rows += [f"broken.nii,x,{k},9,8" for k in range(2)]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    recipe = Recipe.from_json(
        {"dimensions": 3, "steps": [{"step": "box", "shape": [8, 8, 6]}]}
    )
    read, looked_at = [], []
    fingerprints_of = one_case.fingerprints_of
    monkeypatch.setattr(
        one_case, "read_scan", lambda path: read.append(path.name) or read_scan(path)
    )
    monkeypatch.setattr(
        one_case,
        "fingerprints_of",
        lambda scans: looked_at.append(scans) or fingerprints_of(scans),
    )
    prepared = prepare_cases(read_labels(tmp_path), recipe, workers=1)
    assert [name for name in read if name != "broken.nii"] == ["p0.nii", "p1.nii"]
    assert len(looked_at) == 2
    assert [case.center_mm[0] for case in prepared.labelled.cases] == [6, 7, 8] * 2
    assert len(prepared.left_out) == 2
    for n, case in enumerate(prepared.labelled.cases):
        expected = recipe.apply(read_scan(case.paths[0]), case.center_mm)
        np.testing.assert_array_equal(prepared.inputs[n], expected.array[0])
