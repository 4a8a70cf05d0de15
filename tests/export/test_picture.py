"""The picture of a prediction: what it shows, says, and keeps to itself."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest
from support.phantoms import NAMES, color_phantom, phantom, time_phantom
from support.results import prediction, saliency_at, strange

from napari_resonance.errors import ExportError
from napari_resonance.export import legend, picture, scripts
from napari_resonance.export.overlay import Overlay, blended, grey_levels
from napari_resonance.export.picture import write_picture
from napari_resonance.export.planes import center_of
from napari_resonance.export.wording import METHOD_NAMES
from napari_resonance.scan import Scan


@pytest.fixture
def said(monkeypatch):
    """Collect every text that is drawn."""
    texts = []
    say = legend.say

    def listening(axes, x, y, text, **style):
        texts.append(text)
        say(axes, x, y, text, **style)

    monkeypatch.setattr(legend, "say", listening)
    return texts


def read_png(path):
    from matplotlib.image import imread

    return imread(path)[..., :3]


def image_of(kind):
    if kind == "radiograph":
        voxels = (np.arange(60 * 40).reshape(60, 40, 1) % 251).astype(np.uint16)
        scan = Scan(voxels, np.diag([0.2, 0.2, 1, 1]), modality="DX", oriented=False)
        return scan, (4.0, 5.0, 0.0)
    if kind == "stack without orientation":
        scan, _ = phantom("straight")
        scan = Scan(scan.voxels, np.diag([*scan.spacing, 1.0]), oriented=False)
        return scan, (4.0, 5.0, 6.0)
    if kind == "single slice":
        scan, mm = phantom("oblique")
        return dataclasses.replace(scan, voxels=scan.stored()[:, :, :1]), mm
    return {"colour": color_phantom, "time": time_phantom}[kind]()


def check(scan, mm, path):
    write_picture(scan, prediction(saliency=saliency_at(scan, mm)), path)
    image = read_png(path)
    assert image.shape[1] > picture.LEGEND_PX[0]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", NAMES)
def test_every_orientation_gives_a_picture(tmp_path, name):
    check(*phantom(name), tmp_path / "a.png")


@pytest.mark.parametrize(
    "kind",
    ["radiograph", "stack without orientation", "single slice", "colour", "time"],
)
def test_every_kind_of_scan_gives_a_picture(tmp_path, kind):
    check(*image_of(kind), tmp_path / "a.png")


@pytest.mark.parametrize("name", ["oblique", "flipped"])
def test_the_overlay_is_brightest_under_the_cross(name):
    scan, mm = phantom(name)
    black = dataclasses.replace(scan, voxels=np.zeros(scan.shape, np.int16))
    result = prediction(saliency=saliency_at(scan, mm))
    planes = picture.planes_through(black, result.saliency.peak_mm, 300)
    overlay = Overlay.of(result.saliency)
    for plane, (image, _) in zip(
        planes, picture._drawn(black, result, planes, overlay), strict=True
    ):
        brightness = image.sum(axis=-1)
        row, column = np.unravel_index(brightness.argmax(), brightness.shape)
        assert np.allclose((column, row), plane.cross, atol=2)


def test_every_pixel_of_a_plane_is_one_pixel_of_the_picture(tmp_path):
    scan, _ = phantom("straight")
    write_picture(scan, prediction(), tmp_path / "a.png")
    image = read_png(tmp_path / "a.png")
    planes = picture.planes_through(scan, center_of(scan), picture.LONGEST_PX[3])
    drawn = picture._drawn(scan, prediction(), planes, None)
    boxes, _, _ = picture._layout(planes)
    for plane, (wanted, _), box in zip(planes, drawn, boxes, strict=True):
        left = box.left + (box.width - plane.size[0]) // 2
        top = box.top + (box.height - plane.size[1]) // 2
        panel = image[top : top + plane.size[1], left : left + plane.size[0]]
        same = np.abs(panel - wanted).max(axis=-1) < 0.01
        assert same.mean() > 0.9  # the rest is under letters and lines


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_voxels_are_not_called_cells(tmp_path, said, method):
    scan, mm = phantom("straight")
    saliency = dataclasses.replace(saliency_at(scan, mm), method=method)
    write_picture(scan, prediction(saliency=saliency), tmp_path / "a.png")
    voxels = method in ("integrated-gradients", "smoothgrad", "gradient-x-input")
    unit = "voxel" if voxels else "cell"
    assert f"{METHOD_NAMES[method]} for T1w, evidence per {unit}" in said
    assert unit.capitalize() in said


def test_a_sure_answer_says_everything_it_should(tmp_path, said):
    scan, mm = phantom("straight")
    write_picture(scan, prediction(saliency=saliency_at(scan, mm)), tmp_path / "a.png")
    for text in (
        "T1w",
        "97.3 %",
        "sure",
        "Grad-CAM for T1w, evidence per cell",
        "1.75",
        "mr-sequence",
        "ab12ab12ab12ab12",
        "cd34cd34cd34cd34",
        "Research use only, not a medical device",
    ):
        assert text in said
    assert any(text.startswith("Radiological convention") for text in said)
    assert any(text.endswith(" S") for text in said)  # the peak in mm
    assert {"axial", "coronal", "sagittal", "R", "L", "A", "P", "S", "I"} <= set(said)


def test_an_unsure_answer_says_why(tmp_path, said):
    scan, _ = phantom()
    odd = prediction(sure=False, out_of_distribution=strange("this is not a head"))
    write_picture(scan, odd, tmp_path / "a.png")
    assert "unlike its training data" in said
    assert "this is not a head" in said
    write_picture(scan, prediction(sure=False), tmp_path / "a.png")
    assert "unsure" in said
    assert any("below this model's threshold" in text for text in said)


def test_without_orientation_no_side_and_no_length_is_claimed(tmp_path, said):
    scan, _ = image_of("radiograph")
    write_picture(scan, prediction(), tmp_path / "a.png")
    assert not {"R", "L", "A", "P", "S", "I"} & set(said)
    assert not any(re.fullmatch(r"\d+ mm", text) for text in said)
    assert "Drawn as stored: the file gives no orientation" in said


def test_the_patient_is_never_named(tmp_path, said):
    scan, _ = phantom()
    scan = dataclasses.replace(
        scan,
        study="DOE^JANE",
        series="1.2.3.4",
        sources=(tmp_path / "Jane_Doe" / "DOE_0001.dcm",),
        meta={"patient_name": "Doe^Jane", "description": "Jane Doe T1"},
    )
    warnings = ("slice 3 is missing after DOE_0001", "only the first of 4 volumes")
    result = prediction(source=str(tmp_path / "Jane_Doe"), warnings=warnings)
    write_picture(scan, result, tmp_path / "a.png")
    everything = " ".join(said) + (tmp_path / "a.png").read_bytes().decode("latin-1")
    assert "doe" not in everything.lower()
    assert "1.2.3.4" not in everything
    assert "Note: only the first of 4 volumes" in said


def test_labels_are_plain_text_and_long_lists_are_cut(tmp_path, said):
    names = ["$x_$ {y}", *(f"a very long name of a label number {n}" for n in range(9))]
    probabilities = dict.fromkeys(names, 0.1)
    result = prediction(label=names[0], probability=0.1, probabilities=probabilities)
    scan, _ = phantom()
    write_picture(scan, result, tmp_path / "a.png")
    assert "$x_$ {y}" in said
    assert "and 4 more labels" in said


@pytest.mark.parametrize("label", ["悪性", "ภาวะปกติ", "सौम्य", "größer als 3 cm"])
def test_labels_of_any_script_make_no_fuss(tmp_path, label, recwarn, caplog):
    scan, _ = phantom("straight")
    answer = prediction(label=label, probabilities={label: 0.9, "b": 0.1})
    write_picture(scan, answer, tmp_path / "p.png")
    assert not recwarn.list
    assert not caplog.messages


def test_letters_that_the_usual_font_lacks_are_drawn_where_the_system_has_them():
    from matplotlib.font_manager import fontManager

    assert scripts.fonts_for("größer, ≤ 3 – Ж α") == [scripts.FONT]
    there = {entry.name for entry in fontManager.ttflist}
    found = scripts.fonts_for("悪性")
    assert found[0] == scripts.FONT
    assert set(found) <= there


def test_long_labels_are_told_apart_and_stay_in_the_picture(tmp_path, monkeypatch):
    names = [
        "Lymphangioleiomyomatosis",
        f"Adenocarcinoma{' and so on' * 9}, invasive",
        f"Adenocarcinoma{' and so on' * 9}, in situ",
        "W" * 99,
    ]
    drawn = []
    say = legend.say

    def listening(axes, x, y, text, **style):
        say(axes, x, y, text, **style)
        box = axes.texts[-1].get_window_extent()
        drawn.append((text, box.x0, box.x1, axes.figure.bbox.width))

    monkeypatch.setattr(legend, "say", listening)
    scan, mm = phantom()
    for label in names:
        saliency = dataclasses.replace(
            saliency_at(scan, mm), target=f"{label} rather than {names[1]}", layer="la"
        )
        result = prediction(
            label=label,
            probability=0.25,
            probabilities=dict.fromkeys(names, 0.25),
            saliency=saliency,
        )
        drawn.clear()
        write_picture(scan, result, tmp_path / "a.png")
        texts = [text for text, *_ in drawn]
        answer, *bars = [t for t in texts if t[:5] in {n[:5] for n in names}][:5]
        assert answer[-5:] == label[-5:]
        assert len(set(bars)) == 4
        assert any("Grad-CAM of la for" in text for text in texts)
        for text, left, right, width in drawn:
            assert 0 <= left <= right <= width, text


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_a_map_without_evidence_is_said_to_be_one(tmp_path, said, value):
    scan, mm = phantom()
    saliency = saliency_at(scan, mm)
    blank = dataclasses.replace(saliency, values=np.full_like(saliency.values, value))
    write_picture(scan, prediction(saliency=blank), tmp_path / "a.png")
    assert "no evidence for T1w anywhere" in said


def test_a_blank_scan_and_one_with_nan_are_drawn(tmp_path):
    scan, mm = phantom()
    check(
        dataclasses.replace(scan, voxels=np.zeros(scan.shape)), mm, tmp_path / "a.png"
    )
    holes = np.where(scan.stored() > 100, np.nan, scan.stored())
    check(dataclasses.replace(scan, voxels=holes), mm, tmp_path / "a.png")


def test_monochrome1_is_shown_inverted(tmp_path):
    scan, _ = image_of("radiograph")
    inverted = dataclasses.replace(
        scan, meta={"photometric_interpretation": "MONOCHROME1"}
    )
    write_picture(scan, prediction(), tmp_path / "a.png")
    write_picture(inverted, prediction(), tmp_path / "b.png")
    corners = [read_png(tmp_path / n)[300, 30].mean() for n in ("a.png", "b.png")]
    assert sum(corners) == pytest.approx(1, abs=0.02)


def test_the_same_result_gives_the_same_bytes(tmp_path):
    scan, mm = phantom()
    for name in ("a.png", "b.png"):
        write_picture(scan, prediction(saliency=saliency_at(scan, mm)), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_picture_that_cannot_be_written_is_an_export_error(tmp_path):
    scan, _ = phantom()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError):
        write_picture(scan, prediction(), tmp_path / "file" / "a.png")


def test_opacity_grows_with_the_evidence_from_nothing():
    overlay = Overlay(top=2.0)
    grey = np.full((1, 5, 3), 0.5, np.float32)
    evidence = np.array([[-1, 0, 0.5, 2, 4]], np.float32)
    image = blended(grey, evidence, overlay)
    assert np.array_equal(image[0, :2], grey[0, :2])
    change = np.abs(image - grey).sum(axis=-1)[0]
    assert 0 < change[2] < change[3] == change[4]


def test_drawing_does_not_touch_pyplot_or_a_display():
    code = (
        "import sys; sys.path.insert(0, 'tests');"
        "from support.phantoms import phantom; from support.results import prediction;"
        "from napari_resonance.export.picture import write_picture;"
        "import tempfile, pathlib;"
        "scan, _ = phantom();"
        "write_picture(scan, prediction(), pathlib.Path(tempfile.mkdtemp()) / 'a.png');"
        "bad = {'matplotlib.pyplot', 'torch', 'monai', 'qtpy', 'napari'};"
        "sys.exit(', '.join(bad & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_map_says_how_far_it_can_be_believed(tmp_path, said):
    scan, mm = phantom()
    measured = {"sentence": "the map is not better", "better_than_chance": False}
    saliency = dataclasses.replace(saliency_at(scan, mm), faithfulness=measured)
    odd = prediction(sure=False, saliency=saliency)
    write_picture(scan, odd, tmp_path / "a.png")
    everything = " ".join(said)
    assert "This map explains an unsure answer: do not read a finding into it" in (
        everything
    )
    assert "The map is not better" in said


def test_a_dim_plane_of_deep_colours_is_drawn_dim():
    """White is what the bits can hold, not the brightest value that is there."""
    voxels = np.full((9, 8, 1, 3), 400, np.uint16)
    scan = Scan(voxels, np.eye(4), color=True, meta={"bits_stored": 12})
    covered = np.ones((8, 9), bool)
    values = np.asarray(voxels[:, :, 0], np.float32).transpose(1, 0, 2)
    drawn = grey_levels(values, covered, scan, (0, 1))
    np.testing.assert_allclose(drawn, 400 / 4095, atol=1e-6)
