"""A classifier's own training scans are recognised, whatever they are called now."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from napari_resonance.errors import ModelError
from napari_resonance.preprocessing.channels import brightness
from napari_resonance.reading import read_scan
from napari_resonance.samples import sample_path
from napari_resonance.scan import Scan
from napari_resonance.training.fingerprints import fingerprint, fingerprints_of, stacked
from napari_resonance.training.seen_before import (
    FINGERPRINTS,
    read_fingerprints,
    seen_before,
    write_fingerprints,
)

from .conftest import blobs


@pytest.fixture(scope="module")
def shown():
    """Return the fingerprints of six patients' scans, the first a real head."""
    (head,) = fingerprints_of([read_scan(sample_path("icbm-t1"))])
    return np.stack([head, *(fingerprint(blobs(n)) for n in range(5))])


@pytest.fixture
def bundle(tmp_path, shown):
    write_fingerprints(tmp_path, shown[:4])
    return tmp_path


def test_what_is_written_is_read(bundle, shown):
    np.testing.assert_array_equal(read_fingerprints(bundle), shown[:4])


def test_a_mirrored_copy_under_another_name_is_told(bundle, shown, tmp_path):
    scan = read_scan(sample_path("icbm-t1"))
    mirrored = scan.values()[::-1] / 3 + 7
    file = tmp_path / "other.nii.gz"
    nibabel.save(nibabel.Nifti1Image(mirrored.astype(np.float32), np.eye(4)), file)
    prints = [fingerprints_of([read_scan(file)]), shown[5]]
    (found,) = seen_before(bundle, ["other.nii.gz", "stranger.nii.gz"], prints)
    assert found["kind"] == "pixels"
    assert found["first"] == "other.nii.gz"
    assert "under another name" in found["sentence"]


def test_scans_of_strangers_are_let_alone(bundle, shown):
    assert seen_before(bundle, ["a", "b"], list(shown[4:])) == []


def test_a_scan_is_told_once(bundle, shown):
    (bundle / "training/split.json").write_text('{"train": ["a"]}')
    (found,) = seen_before(bundle, ["a"], [shown[0]])
    assert found["kind"] == "source"


def test_another_scan_under_the_same_name_is_no_copy(bundle, shown):
    (bundle / "training/split.json").write_text('{"train": ["001/t1.nii.gz"]}')
    assert seen_before(bundle, ["001/t1.nii.gz"], [shown[5]]) == []
    (bundle / FINGERPRINTS).unlink()
    (found,) = seen_before(bundle, ["001/t1.nii.gz"], [shown[5]])
    assert found["kind"] == "source"


def test_a_scan_without_a_picture_is_known_by_its_name(bundle):
    (bundle / "training/split.json").write_text('{"train": ["strip.png"]}')
    strip = fingerprint(np.arange(40, dtype=np.float32).reshape(40, 1, 1))
    (found,) = seen_before(bundle, ["strip.png", "other.png"], [strip, strip])
    assert (found["kind"], found["first"]) == ("source", "strip.png")


def test_a_model_without_a_record_says_nothing(tmp_path, shown):
    assert seen_before(tmp_path, ["a"], [shown[0]]) is None


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", b"no archive"])
def test_a_damaged_record_is_named(bundle, shown, damage):
    (bundle / FINGERPRINTS).write_bytes(damage)
    with pytest.raises(ModelError, match="damaged"):
        seen_before(bundle, ["a"], [shown[0]])


def test_each_channel_and_colours_turned_grey_are_recognised(tmp_path, shown):
    """The record of a model tells nothing of cases: only that a picture was seen."""
    photograph = load_sample_image("china.jpg")[::4, ::4, None]
    colour = fingerprints_of([Scan(photograph, np.eye(4), color=True)])
    two_channels = stacked([shown[:2], colour, shown[2:3]])
    write_fingerprints(tmp_path, two_channels)
    assert len(read_fingerprints(tmp_path)) == 5
    grey = brightness(photograph.astype(np.float32))
    asked = [fingerprint(grey), shown[1], shown[4]]
    found = seen_before(tmp_path, ["grey.png", "t2.nii.gz", "other.nii.gz"], asked)
    assert [leak["first"] for leak in found] == ["grey.png", "t2.nii.gz"]
