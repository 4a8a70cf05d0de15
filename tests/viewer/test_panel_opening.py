"""What the panel opens: scans, models, images of other programs, other views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.panels import (
    press_run,
    wait_idle,
)
from support.phantoms import phantom, write_dicom_series, write_nifti

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.viewer.attach import attach
from napari_resonance.viewer.layers import scan_layer
from napari_resonance.viewer.records import record_of
from napari_resonance.viewer.viewer_actions import add_scans


def test_a_folder_with_one_scan_opens_in_the_background(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    write_dicom_series(phantom("oblique")[0], tmp_path / "study" / "a")
    (tmp_path / "study" / "letter.txt").write_text("not a scan")
    panel.drop_area.dropped.emit([tmp_path / "study"])
    assert panel.runner.is_busy
    wait_idle(panel, qtbot)
    assert [layer.name for layer in viewer.layers] == ["MR · oblique axial"]
    assert panel.message.sentence().startswith("1 scan opened. Left out: letter.txt")
    assert panel.scan_picker.layer is viewer.layers[0]


def test_files_that_were_chosen_one_by_one_are_all_opened(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    names = ("oblique", "sagittal")
    paths = [write_nifti(phantom(n)[0], tmp_path / f"{n}.nii") for n in names]
    panel.open_paths(paths)
    wait_idle(panel, qtbot)
    assert [layer.name for layer in viewer.layers] == [
        "oblique · oblique axial",
        "sagittal · sagittal",
    ]
    assert [layer.visible for layer in viewer.layers] == [True, False]
    assert panel.message.sentence() == "2 scans opened."
    assert panel.scan_picker.box.count() == 2


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing.nii", None, "missing.nii"),
        ("text.dcm", b"I am not a scan", "text.dcm"),
        ("short.nii.gz", b"\x1f\x8b\x08\x00", "short.nii.gz"),
        ("empty", "folder", "no scan was found"),
    ],
)
def test_what_cannot_be_opened_is_a_sentence(
    panel: Any, qtbot: Any, tmp_path: Path, name: str, content: Any, expected: str
) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    panel.open_paths([path])
    wait_idle(panel, qtbot)
    assert expected in panel.message.sentence()
    assert panel.run_row.run_button.isEnabled()


def test_a_broken_model_folder_is_a_sentence(
    panel: Any, qtbot: Any, tmp_path: Path, bundle: Path
) -> None:
    panel.model_picker.folder_chosen.emit(tmp_path)
    wait_idle(panel, qtbot)
    assert str(tmp_path) in panel.message.sentence()
    panel.model_picker.folder_chosen.emit(bundle)
    wait_idle(panel, qtbot)
    assert panel.message.sentence() == ""
    assert panel.model_picker.model.path == bundle
    assert panel.explain_row.target_box.count() == 3


def test_a_turned_scan_can_be_resampled_to_the_view(
    viewer: Any, panel: Any, qtbot: Any
) -> None:
    layers = [scan_layer(phantom(n, study="1")[0]) for n in ("straight", "oblique")]
    one, two = add_scans(viewer, layers)
    two.visible = True
    viewer.layers.selection.active = two
    assert attach(viewer).hidden_layers() == [one]
    assert panel.hidden_row.isVisibleTo(panel)
    panel.hidden_row.button.click()
    wait_idle(panel, qtbot)
    added = viewer.layers[-1]
    assert added.name == "MR · axial, resampled"
    assert added.visible
    assert two.visible
    assert added.data.shape == two.data.shape


def test_a_plain_image_is_asked_what_it_is(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path
) -> None:
    scan, _ = phantom("straight")
    data = np.asarray(scan.voxels).T
    plain = viewer.add_image(data, scale=(2.5, 1.3, 0.9), name="from elsewhere")
    assert panel.scan_picker.orientation.isVisibleTo(panel)
    panel.scan_picker.modality.setCurrentText("MR")
    panel.scan_picker.orientation.setCurrentText("Axes in NIfTI order (x, y, z)")
    index = panel.scan_picker.orientation.findData("SPL")
    panel.scan_picker.orientation.setCurrentIndex(index)
    panel.model_picker.add_model(load_bundle(bundle))
    press_run(panel)
    wait_idle(panel, qtbot)
    assert not plain.visible
    image = panel.scan_picker.layer
    assert record_of(image).scan.orientation == "LPS"
    assert record_of(image).scan.modality == "MR"
    assert np.allclose(record_of(image).scan.spacing, (0.9, 1.3, 2.5))
    assert viewer.layers["Grad-CAM for spot"].visible
    assert not panel.scan_picker.orientation.isVisibleTo(panel)


def test_a_nifti_can_be_dropped(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    scan, mm = phantom("oblique")
    path = write_nifti(scan, tmp_path / "brain.nii.gz")
    panel.drop_area.dropped.emit([path])
    wait_idle(panel, qtbot)
    (layer,) = viewer.layers
    index = np.unravel_index(int(layer.data.argmax()), layer.data.shape)
    there = attach(viewer).frame.from_ras[:3, :3].T @ layer.data_to_world(index)
    assert np.allclose(there, mm, atol=1e-3)
    assert panel.message.sentence() == ""
