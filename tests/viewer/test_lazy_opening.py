"""Large series are shown before all of them is read, and classified all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless
from support.dicom_files import SAGITTAL, pixels_of, plane, save
from support.panels import press_run, wait_idle
from support.phantoms import phantom, write_dicom_series

from napari_resonance import read_scan
from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.viewer import opening
from napari_resonance.viewer.opening import open_layers
from napari_resonance.viewer.records import record_of

SIZE = (64, 48)
COUNT = 40


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_READ_AT_ONCE", 0)


def write_series(folder: Path, **tags: Any) -> Path:
    tags = {"RescaleSlope": 1, "RescaleIntercept": -24, "Modality": "CT"} | tags
    for n in range(COUNT):
        made = plane(n, (0, 0, 0.7 * n), SIZE, **tags)
        save(made, folder / f"{n:02d}", JPEG2000Lossless)
    return folder


def test_a_lazy_series_shows_what_an_eager_one_shows(
    viewer: Any, tmp_path: Path
) -> None:
    ((data, settings, kind),) = open_layers([write_series(tmp_path)]).layers
    assert hasattr(data, "dask")
    layer = viewer.add_image(data, **settings)
    assert kind == "image"
    for step in (0, 7, 8, 9, COUNT - 1):
        viewer.dims.set_current_step(0, step)
        shown = np.asarray(layer._slice.image.raw)
        k = COUNT - 1 - step
        expected = pixels_of(k, SIZE).astype(np.int32) - 24
        assert {shown.min(), shown.max()} == {expected.min(), expected.max()}
    low, high = layer.contrast_limits
    assert low < high


def test_little_is_read_to_show_a_series(tmp_path: Path) -> None:
    write_series(tmp_path)
    for name in ("05", "12", "33"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content.replace(b"\xff\x4f\xff\x51", bytes(4)))
    (_,) = open_layers([tmp_path]).layers


def test_a_damaged_plane_is_shown_as_an_error(viewer: Any, tmp_path: Path) -> None:
    write_series(tmp_path)
    content = (tmp_path / "05").read_bytes()
    (tmp_path / "05").write_bytes(content.replace(b"\xff\x4f\xff\x51", bytes(4)))
    ((data, settings, _),) = open_layers([tmp_path]).layers
    layer = viewer.add_image(data, **settings)
    with pytest.raises(Exception, match="05: its pixels cannot be decoded"):
        viewer.dims.set_current_step(0, COUNT - 1 - 5)
    viewer.dims.set_current_step(0, 3)
    expected = pixels_of(COUNT - 4, SIZE).astype(np.int32) - 24
    assert np.asarray(layer._slice.image.raw).max() == expected.max()


def test_a_series_that_the_view_cuts_across_is_read_at_once(tmp_path: Path) -> None:
    for n in range(4):
        tags = {"ImageOrientationPatient": list(SAGITTAL)}
        save(plane(n, (n, 0, 0), SIZE, **tags), tmp_path / str(n))
    ((data, settings, _),) = open_layers([tmp_path]).layers
    assert isinstance(data, np.ndarray)
    scan = settings["metadata"]["resonance"].scan
    assert scan.voxels.T.flags.c_contiguous
    assert scan.same_as(read_scan(tmp_path))


def test_a_lazy_scan_is_classified(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path, tmp_path: Path
) -> None:
    write_dicom_series(phantom("straight")[0], tmp_path / "study")
    panel.open_paths([tmp_path / "study"])
    wait_idle(panel, qtbot)
    assert record_of(panel.scan_picker.layer).scan.is_lazy
    panel.model_picker.add_model(load_bundle(bundle))
    press_run(panel)
    wait_idle(panel, qtbot)
    assert viewer.layers["Grad-CAM for spot"].visible
