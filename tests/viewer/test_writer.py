"""File > Save: every layer comes back where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.answers import map_with_peak_at, prediction
from support.phantoms import NAMES, brightest_mm, color_phantom, phantom, time_phantom

from napari_resonance.errors import ExportError
from napari_resonance.reading import read_scan
from napari_resonance.viewer.layers import saliency_layer, scan_layer
from napari_resonance.viewer.viewer_actions import add_layer, add_scans
from napari_resonance.viewer.writer import write_nifti


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize("name", NAMES)
def test_a_scan_is_saved_as_it_was_stored(
    viewer: Any, tmp_path: Path, name: str, ending: str
) -> None:
    scan, mm = phantom(name, slope=2.0, intercept=-5.0)
    (layer,) = add_scans(viewer, [scan_layer(scan)])
    path = tmp_path / f"saved.{ending}"
    assert layer.save(str(path)) == [str(path)]
    saved = read_scan(path)
    assert np.array_equal(saved.stored(), scan.stored())
    assert np.allclose(saved.affine, scan.affine, atol=1e-4)
    assert np.allclose(brightest_mm(saved), mm, atol=1e-3)


@pytest.mark.parametrize("scan", [time_phantom()[0], color_phantom()[0]])
def test_films_and_colours_are_saved(viewer: Any, tmp_path: Path, scan: Any) -> None:
    (layer,) = add_scans(viewer, [scan_layer(scan)])
    layer.save(str(tmp_path / "saved.nii"))
    assert np.array_equal(read_scan(tmp_path / "saved.nii").voxels, scan.voxels)


def test_a_map_is_saved_on_its_own_grid(viewer: Any, tmp_path: Path) -> None:
    scan, mm = phantom("oblique")
    add_scans(viewer, [scan_layer(scan)])
    answer = prediction(map_with_peak_at(scan, mm))
    layer = add_layer(viewer, saliency_layer(scan, answer))
    layer.save(str(tmp_path / "map.nii.gz"))
    saved = read_scan(tmp_path / "map.nii.gz")
    assert np.allclose(saved.values(), answer.saliency.values)
    assert np.allclose(saved.affine, answer.saliency.affine, atol=1e-4)


@pytest.mark.parametrize("name", ["oblique", "sagittal", "straight"])
def test_labels_drawn_on_a_scan_lie_on_it(
    viewer: Any, tmp_path: Path, name: str
) -> None:
    scan, mm = phantom(name)
    (image,) = add_scans(viewer, [scan_layer(scan)])
    drawn = (image.data == image.data.max()).astype(np.int64)
    labels = viewer.add_labels(drawn, affine=image.affine, units=image.units)
    labels.save(str(tmp_path / "labels.nii"))
    saved = read_scan(tmp_path / "labels.nii")
    assert saved.stored().dtype == np.int32
    assert np.allclose(brightest_mm(saved), mm, atol=1e-3)


def test_a_plain_image_keeps_its_spacing(viewer: Any, tmp_path: Path) -> None:
    data = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    viewer.add_image(data, scale=(3, 2, 1)).save(str(tmp_path / "plain.nii"))
    saved = read_scan(tmp_path / "plain.nii")
    assert not saved.oriented
    assert saved.spacing == pytest.approx((1, 2, 3))
    assert np.array_equal(saved.stored(), data.T)
    viewer.add_image(data[0], scale=(2, 1)).save(str(tmp_path / "flat.nii"))
    assert read_scan(tmp_path / "flat.nii").shape == (4, 3, 1)


def test_what_nifti_cannot_hold_is_said(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="only grey images"):
        write_nifti(str(tmp_path / "a.nii"), np.zeros((2, 2, 3)), {"rgb": True})
    with pytest.raises(ExportError, match="only grey images"):
        write_nifti(str(tmp_path / "a.nii"), np.zeros((1,) * 5), {})
