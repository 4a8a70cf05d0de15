"""The manifest, the reader, the samples: what napari finds without the panel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.phantoms import NAMES, phantom, write_dicom_series, write_nifti

import napari_resonance
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.reader import get_reader

MANIFEST = Path(napari_resonance.__file__).with_name("napari.yaml")
PLUGIN = "napari-resonance"


def place_of_brightest(viewer: Any, layer: Any) -> Any:
    index = np.unravel_index(int(np.argmax(layer.data)), layer.data.shape)
    return np.linalg.inv(attach(viewer).frame.from_ras)[:3, :3] @ layer.data_to_world(
        index
    )


def test_the_manifest_is_valid_and_its_commands_exist() -> None:
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert manifest.name == PLUGIN


def test_the_manifest_is_read_without_anything_heavy() -> None:
    code = (
        "import sys, napari_resonance.viewer.reader as r, napari_resonance.viewer."
        "sample_data, napari_resonance.viewer.commands\n"
        "assert r.get_reader('a.png') is None\n"
        "heavy = {'torch', 'monai', 'napari', 'qtpy', 'pydicom', 'nibabel', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name",
    [
        "a.dcm",
        "A.DCM",
        "a.ima",
        "brain.nii",
        "brain.nii.gz",
        "sub-1.T1.nii.gz",
        "brain.hdr",
        "brain.img",
        "DICOMDIR",
        "1.2.840.113619.2.1",
        "IM0001",
        "I0007",
        "I7",
    ],
)
def test_scans_are_claimed(npe2pm: Any, tmp_path: Path, name: str) -> None:
    assert claimed(npe2pm, tmp_path / name)


@pytest.mark.parametrize(
    "name",
    [
        "photo.png",
        "I0001.png",
        "IM0001.PNG",
        "1.2.png",
        "clip.3.14.mp4",
        "table.csv",
        "README",
        "stack.tif",
        "notes.txt",
        "image7",
    ],
)
def test_other_files_are_left_to_others(npe2pm: Any, tmp_path: Path, name: str) -> None:
    assert not claimed(npe2pm, tmp_path / name)


def test_folders_are_never_claimed(npe2pm: Any, tmp_path: Path) -> None:
    write_dicom_series(phantom()[0], tmp_path / "study")
    with npe2pm.tmp_plugin(manifest=str(MANIFEST)):
        assert list(npe2pm.iter_compatible_readers([str(tmp_path / "study")])) == []


def claimed(manager: Any, path: Path) -> bool:
    path.write_bytes(b"")
    with manager.tmp_plugin(manifest=str(MANIFEST)):
        return bool(list(manager.iter_compatible_readers([str(path)])))


def test_the_reader_declines_what_is_no_scan(tmp_path: Path) -> None:
    for name in ("MAKEFILE", "I0001", "1.2.3", "lonely.img", "lonely2.hdr"):
        (tmp_path / name).write_text("hello")
        assert get_reader(str(tmp_path / name)) is None, name
    assert get_reader(str(tmp_path / "absent.nii")) is None
    assert get_reader(str(tmp_path / "IM0099")) is None
    assert get_reader([]) is None
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    assert get_reader(str(tmp_path / "IM0001")) is not None
    assert get_reader([str(tmp_path / n) for n in ("IM0001", "I0001")]) is None


@pytest.mark.parametrize("name", NAMES)
def test_an_opened_file_lies_where_it_should(
    viewer: Any, tmp_path: Path, name: str
) -> None:
    scan, mm = phantom(name)
    path = write_nifti(scan, tmp_path / f"{name}.nii.gz")
    (layer,) = viewer.open(str(path), plugin=PLUGIN)
    off = place_of_brightest(viewer, layer) - mm
    assert np.abs(off).max() < (0.65 if name == "sheared" else 1e-3)
    assert str(layer.units[0]) == "millimeter"


def test_an_opened_series_lies_where_it_should(viewer: Any, tmp_path: Path) -> None:
    scan, mm = phantom("oblique")
    folder = write_dicom_series(scan, tmp_path / "series")
    files = sorted(str(path) for path in folder.iterdir())
    (layer,) = viewer.open(files, stack=True, plugin=PLUGIN)
    assert np.allclose(place_of_brightest(viewer, layer), mm, atol=1e-3)
    assert layer.name == "MR · oblique axial"


def test_scans_opened_by_napari_share_one_frame(viewer: Any, tmp_path: Path) -> None:
    for name in ("oblique", "straight"):
        path = write_nifti(phantom(name)[0], tmp_path / f"{name}.nii")
        viewer.open(str(path), plugin=PLUGIN)
    assert attach(viewer).hidden_layers() == [viewer.layers[0]]


def test_a_damaged_file_is_one_error(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.nii.gz"
    path.write_bytes(b"\x1f\x8b\x08 not gzip at all")
    with pytest.raises(Exception, match="broken"):
        viewer.open(str(path), plugin=PLUGIN)
    assert len(viewer.layers) == 0


@pytest.mark.parametrize("key", ["icbm-t1", "oblique-pd", "ct"])
def test_samples_open(viewer: Any, key: str) -> None:
    (layer,) = viewer.open_sample(PLUGIN, key)
    low, high = layer.contrast_limits
    assert low < high
    assert layer.metadata["resonance"].scan.oriented
