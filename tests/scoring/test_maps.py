"""Maps and thumbnails of a run: only if asked, and without the name of anybody."""

import csv
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from support.browser import browser
from support.bundles import tiny_bundle
from support.labelled import colored, save_color

from napari_resonance import ScoreOptions, load_classifier, read_scan, score
from napari_resonance.samples import sample_path

SEEN = """<script>addEventListener("load", () => {
const pictures = [...document.querySelectorAll("td img")];
const said = document.createElement("pre"); said.id = "seen";
said.textContent = pictures.map(p => p.naturalWidth).join(" ");
document.body.append(said); });</script></body>"""


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    sample = sample_path("icbm-t1")
    for name in ("MUELLER_HANS", "sub-02"):
        path = folder / name / f"t1{''.join(sample.suffixes[-2:])}"
        path.parent.mkdir()
        shutil.copyfile(sample, path)
    return folder


def scored(studies, out, **given):
    options = ScoreOptions(device="cpu", **{"maps": True, "readers": 0} | given)
    summary = score(studies, "mr-sequence", out=out, options=options)
    assert (summary.scored, summary.failed) == (2, 0)
    with open(out / "scores.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file)), summary


@pytest.fixture(scope="module")
def mapped(studies, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "out"
    rows, _ = scored(studies, out)
    return out, rows


def test_each_scan_has_its_map_as_if_it_were_classified_alone(studies, mapped):
    out, rows = mapped
    classifier = load_classifier("mr-sequence", "cpu")
    file = next(studies.rglob("*.nii*"))
    expected = classifier.classify(read_scan(file), saliency="gradcam").saliency
    for row in rows:
        image = nib.load(out / row["saliency"])
        np.testing.assert_allclose(image.get_fdata(), expected.shown, atol=1e-4)
        np.testing.assert_allclose(image.affine, expected.affine, atol=1e-4)


def test_names_are_stable_and_say_nothing(studies, mapped):
    out, rows = mapped
    files = sorted(path.name for path in (out / "saliency").iterdir())
    assert len(files) == 4
    assert all(re.fullmatch(r"[0-9a-f]{16}\.(png|nii\.gz)", name) for name in files)
    again, summary = scored(studies, out)
    assert summary.resumed == 2
    assert [row["saliency"] for row in again] == [row["saliency"] for row in rows]
    assert b"hans" not in (out / "report.html").read_bytes().lower()


def test_a_process_that_scores_alone_makes_the_same_map(studies, mapped, tmp_path):
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    out, rows = mapped
    others, _ = scored(studies, tmp_path / "out", workers=1)
    for row, other in zip(rows, others, strict=True):
        ours, theirs = out / row["saliency"], tmp_path / "out" / other["saliency"]
        one, two = nib.load(ours).get_fdata(), nib.load(theirs).get_fdata()
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_no_map_is_made_unless_it_is_asked_for(studies, mapped, tmp_path):
    rows, _ = scored(studies, tmp_path / "out", maps=False)
    assert not (tmp_path / "out/saliency").exists()
    assert all(row["saliency"] == "" for row in rows)
    # Results without maps do not do where maps are asked for.
    rows, summary = scored(studies, tmp_path / "out")
    assert summary.resumed == 0
    assert all(row["picture"] for row in rows)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_model_of_colours_is_shown_colours(tmp_path, dimensions):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for label in ("red", "green"):
        save_color(colored(label, 0, (40, 36, 20)), folder / f"{label}.nii.gz")
    model = tiny_bundle(tmp_path / "m", dimensions=dimensions, modality=(), color=True)
    options = ScoreOptions(device="cpu", maps=True, readers=0, identifiers=True)
    score(folder, str(model), out=tmp_path / "out", options=options)
    with open(tmp_path / "out/scores.csv", newline="", encoding="utf-8") as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    assert len(rows) == 2
    greens = {}
    for label, row in ((Path(name).name[:3], row) for name, row in rows.items()):
        assert "brightness" not in row["warnings"]
        picture = np.asarray(Image.open(tmp_path / "out" / row["picture"])).astype(int)
        greens[label] = (picture[..., 1] > picture[..., 0] + 10).mean()
    # The map laid over it is orange, and nowhere green.
    assert greens["gre"] > 0.02
    assert greens["red"] == 0


def test_a_browser_shows_the_thumbnails(mapped, tmp_path):
    out, _ = mapped
    page = (out / "report.html").read_text("utf-8").replace("</body>", SEEN)
    (tmp_path / "shown.html").write_text(page, "utf-8")
    shown = browser("--dump-dom", (tmp_path / "shown.html").as_uri()).stdout
    match = re.search(r'<pre id="seen">([^<]*)</pre>', shown)
    assert match
    widths = [int(word) for word in match[1].split()]
    assert len(widths) == 2
    assert min(widths) > 100
