"""The page to scroll through: what it holds, and that it asks nobody for anything."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.phantoms import BRIGHT_VALUE, NAMES, color_phantom, phantom
from support.results import prediction, saliency_at, strange

from napari_resonance.export.cube import Cube
from napari_resonance.export.overlay import Overlay
from napari_resonance.export.page import write_page
from napari_resonance.geometry import to_world
from napari_resonance.scan import Scan

MEASURED = {
    "sentence": "the map is better than chance <b>",
    "better_than_chance": True,
    "deletion": [1.0, 0.2, 0.1],
    "insertion": [0.1, 0.9, 1.0],
    "deletion_auc": 0.31,
    "insertion_auc": 0.81,
    "random_deletion_auc": 0.5,
    "random_insertion_auc": 0.5,
}
REGION = {
    "number": 1,
    "evidence": "for",
    "place": "right hemisphere, anterior",
    "center_mm": (12.0, -3.0, 20.0),
    "peak_mm": (13.0, -3.0, 20.0),
    "within_mm": 6.0,
    "volume_mm3": 2340.0,
    "area_mm2": None,
    "mean": 0.5,
    "share": 0.75,
    "threshold": 0.25,
}


def data_of(path: Path) -> dict:
    found = re.search(r'id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def voxels_of(data: dict, name: str) -> np.ndarray:
    """Take a sheet apart as the page's script does: ``(x, y, z, 3)``."""
    from matplotlib.image import imread

    content = base64.b64decode(data[name].partition(",")[2])
    sheet = np.round(imread(io.BytesIO(content))[..., :3] * 255).astype(np.uint8)
    nx, ny, nz = data["size"]
    tiles = [
        sheet[z // data["across"] * ny :, z % data["across"] * nx :][:ny, :nx]
        for z in range(nz)
    ]
    return np.stack(tiles).transpose(2, 1, 0, 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_bright_voxel_and_the_peak_are_where_they_are(tmp_path: Path, name: str):
    scan, mm = phantom(name)
    saliency = saliency_at(scan, mm, stride=1)
    write_page(scan, prediction(saliency=saliency), tmp_path / "a.html")
    data = data_of(tmp_path / "a.html")
    affine = np.array(data["affine"])
    half = np.linalg.norm(affine[:3, 0]) / 2 * np.sqrt(3)
    shown = voxels_of(data, "evidence")[..., 0]
    at = np.unravel_index(shown.argmax(), shown.shape)
    assert np.linalg.norm(to_world(affine, at) - mm) <= half + 1e-6
    assert np.linalg.norm(to_world(affine, data["start"]) - mm) <= half + 1e-6
    black = np.where(scan.stored() == BRIGHT_VALUE, BRIGHT_VALUE, 0)
    cube = Cube.around(scan, 160)
    grey = cube.anatomy(dataclasses.replace(scan, voxels=black))[..., 0]
    # The window may draw several voxels white; beyond the scan it is dark grey.
    z, y, x = np.argwhere(grey > 60).T @ grey[grey > 60] / grey[grey > 60].sum()
    assert np.linalg.norm(to_world(cube.grid.affine, (x, y, z)) - mm) <= half + 1e-6


def test_planes_are_upright_and_named():
    scan, _ = phantom("straight")
    cube = Cube.around(scan, 160)
    letters = [("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I")]
    names = ("axial", "coronal", "sagittal")
    assert cube.planes == tuple(zip(names, letters, strict=True))
    axes = cube.grid.affine[:3, :3] / np.linalg.norm(cube.grid.affine[:3, 0])
    np.testing.assert_allclose(axes, -np.eye(3), atol=1e-12)
    blind = Scan(scan.voxels, np.diag([*scan.spacing, 1.0]), oriented=False)
    plane = Cube.around(blind, 160)
    assert plane.planes[0] == ("as stored", None)
    assert (np.diag(plane.grid.affine)[:3] > 0).all()


def test_a_single_image_stays_one(tmp_path: Path):
    voxels = (np.arange(60 * 40).reshape(60, 40, 1) % 251).astype(np.uint16)
    scan = Scan(voxels, np.diag([0.2, 0.2, 1, 1]), modality="DX", oriented=False)
    saliency = saliency_at(scan, (4.0, 5.0, 0.0))
    write_page(scan, prediction(saliency=saliency), tmp_path / "a.html")
    data = data_of(tmp_path / "a.html")
    assert data["size"] == [60, 40, 1]
    grey = voxels_of(data, "anatomy")[..., 0, 0].astype(int)
    assert np.corrcoef(grey.ravel(), voxels.ravel())[0, 1] > 0.99


def test_the_signs_of_the_evidence_are_kept():
    scan, mm = phantom()
    saliency = saliency_at(scan, mm, stride=1)
    signed = dataclasses.replace(saliency, values=-saliency.values, sign="both")
    overlay = Overlay.of(signed)
    assert overlay is not None
    levels = Cube.around(scan, 160).evidence(signed, overlay)
    assert levels.min() < 30
    assert levels.max() == 128


def test_it_says_what_is_known_and_loads_nothing(tmp_path: Path):
    scan, mm = phantom()
    saliency = dataclasses.replace(saliency_at(scan, mm), faithfulness=MEASURED)
    answer = prediction(saliency=saliency)
    write_page(scan, answer, tmp_path / "a.html", [REGION])
    text = (tmp_path / "a.html").read_text("utf-8")
    for said in (
        "Grad-CAM for T1w, evidence per cell",
        "97.3 %",
        "The map is better than chance &lt;b&gt;.",
        "deletion 0.310",
        "0.0,0.0 50.0,48.0 100.0,54.0",
        "for, right hemisphere, anterior",
        "12 mm R, 3 mm P, 20 mm S",
        "2.34 ml",
        "ab12" * 16,
        "Research use only, not a medical device",
        "default-src 'none'",
    ):
        assert said in text
    assert not re.search(r'(?:src|href|action)="|url\(|fetch\(|import\(', text.lower())
    assert "http" not in text.replace("http-equiv", "")


def test_a_map_of_an_unsure_or_strange_answer_says_so(tmp_path: Path):
    scan, mm = phantom()
    odd = prediction(
        sure=False, out_of_distribution=strange(), saliency=saliency_at(scan, mm)
    )
    write_page(scan, odd, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text("utf-8")
    assert "explains an answer to a scan unlike its training data" in text
    assert "not a head" in text


def test_text_of_the_model_is_no_markup_and_the_patient_is_not_named(tmp_path: Path):
    scan, mm = phantom()
    scan = dataclasses.replace(scan, sources=(tmp_path / "Jane_Doe" / "DOE_1.dcm",))
    label = '</script><img src=x onerror="alert(1)">'
    answer = prediction(
        label=label,
        probabilities={label: 0.9, "b": 0.1},
        source=str(tmp_path / "Jane_Doe"),
        warnings=("slice 3 is missing after DOE_1", "the scan is cut"),
        saliency=dataclasses.replace(saliency_at(scan, mm), target=label),
    )
    write_page(scan, answer, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text("utf-8")
    assert "<img" not in text
    assert text.count("</script>") == 2
    assert "doe" not in re.sub(r"base64,[^\"]*", "", text).lower()
    assert "the scan is cut" in text


def test_colour_scans_and_answers_without_a_map_have_a_page(tmp_path: Path):
    scan, _ = color_phantom()
    write_page(scan, prediction(), tmp_path / "a.html")
    data = data_of(tmp_path / "a.html")
    assert data["evidence"] == ""
    colors = voxels_of(data, "anatomy")
    assert (colors[..., 0] != colors[..., 1]).any()
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]
