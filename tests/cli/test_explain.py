"""``resonance explain``: a map by a method of choice, as files and as JSON."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.bundles import tiny_bundle
from support.phantoms import phantom, write_nifti

LABELS = ("T1w", "T2w", "FLAIR")
KEYS = {
    "method", "target", "against", "sign", "layer", "saliency", "picture",
    "faithfulness", "residual", "seconds", "forwards", "notices", "per_slice",
    "sanity", "stability", "agreement", "members", "regions", "page", "maps",
}  # fmt: skip


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write_nifti(phantom()[0], tmp_path / "scan.nii.gz")


def test_json_holds_every_key_of_the_contract(resonance, embedded, scan, tmp_path):
    out = tmp_path / "out"
    asked = ("--target", "T2w", "--against", "FLAIR", "--sign", "both")
    ran = resonance("explain", scan, *asked, "--out", out, "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    assert set(document) >= KEYS
    assert document["method"] == "gradcam"
    assert (document["target"], document["against"]) == ("T2w", "FLAIR")
    assert document["forwards"] == 1
    assert document["faithfulness"] is document["residual"] is None
    image = nibabel.load(document["saliency"])
    assert image.header["descrip"].item().decode().startswith("gradcam for and against")
    assert image.get_fdata().min() < 0
    assert Path(document["picture"]).is_file()


def test_a_map_is_measured_where_asked(resonance, embedded, scan, tmp_path):
    out = tmp_path / "out"
    asked = ("--faithfulness", "quick", "--sanity", "--stability", "--residual")
    ran = resonance("explain", scan, *asked, "--out", out, "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    blocks = document["residual"]
    assert [row["block"] for row in blocks] == [f"layer{n}.0" for n in range(1, 5)]
    assert document["forwards"] <= 31 + len(blocks) / 2 + 1
    assert len(list(out.glob("*_residual_layer?.nii.gz"))) == 4
    assert 0 <= document["faithfulness"]["deletion_auc"] <= 1
    assert len(document["sanity"]["cascade"]) == 6
    assert len(document["stability"]["repeats"]) == 8
    assert document["agreement"]["maps"][0] == "gradcam"
    stages = [f"residual_layer{n}" for n in range(1, 5)]
    assert list(document["maps"]) == ["spread_agreement", *stages]
    spread = nibabel.load(document["maps"]["spread_agreement"])
    assert spread.get_fdata().min() >= 0
    assert spread.get_fdata().max() > 0
    assert "spread" in spread.header["descrip"].item().decode()
    page = Path(document["page"]).read_text("utf-8")
    assert "Area under the curve: deletion" in page
    (table,) = out.glob("*_regions.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == len(document["regions"])
    assert [float(r["center_x"]) for r in rows] == pytest.approx(
        [r["center_mm"][0] for r in document["regions"]], rel=1e-4
    )


def test_people_are_told_what_was_measured(resonance, embedded, scan, tmp_path):
    out = tmp_path / "out"
    asked = ("--faithfulness", "full", "--residual", "--out", out)
    ran = resonance("explain", scan, *asked)
    assert ran.code == 0, ran.err
    words = " ".join(ran.out.split())
    for n in range(1, 5):
        assert f"layer{n}.0: " in words
        assert f"residual_layer{n}.nii.gz" in "".join(ran.out.split())
    assert words.count("of the sum its own, score ") == 4
    assert "than the scan's own edges" in ran.err
    assert "(sensitivity-n)" in ran.err
    (page,) = out.glob("*.html")
    assert "than the scan&#39;s own edges" in page.read_text("utf-8")


def test_gradients_are_taken_in_torch_with_a_notice(resonance, embedded, scan):
    ran = resonance(
        "explain", scan, "--layer", "layer3", "--out", scan.parent / "o", "--json"
    )
    assert ran.code == 0, ran.err
    assert ran.document["layer"] == "layer3"
    words = nibabel.load(ran.document["saliency"]).header["descrip"].item().decode()
    assert words.startswith("gradcam layer3 for ")
    assert "Grad-CAM of layer3 for" in Path(ran.document["page"]).read_text("utf-8")
    assert "made by torch" in ran.document["notices"][0]


def test_slices_of_a_2d_network_are_told(resonance, scan, tmp_path):
    model = tiny_bundle(tmp_path / "model", dimensions=2, labels=LABELS)
    out = tmp_path / "out"
    ran = resonance("explain", scan, "--model", model, "--out", out, "--json")
    assert ran.code == 0, ran.err
    assert len(ran.document["per_slice"]) == 17
    (table,) = out.glob("*_slices.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 17
    assert set(rows[0]) == {"slice", "p_T1w", "p_T2w", "p_FLAIR"}
    assert nibabel.load(ran.document["saliency"]).shape[2] == 17


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("--target", "PD"), "the classifier has no label 'PD'"),
        (("--method", "occlusion", "--layer", "layer3"), "looks at no layer"),
        (("--window", "-3"), "a window of -3.0 mm cannot cover anything"),
        (("--window", "20"), "'gradcam' covers no part of the scan"),
        (("--baseline", "blur"), "'gradcam' compares the scan with nothing"),
        (("--method", "lime"), "'lime' is not one of"),
    ],
)
def test_wrong_usage(resonance, embedded, scan, asked, sentence):
    ran = resonance("explain", scan, *asked, "--out", scan.parent / "o")
    assert ran.code == 2
    assert sentence in " ".join(ran.err.split())


def test_members_say_where_they_disagree(resonance, scan, tmp_path):
    model = tiny_bundle(tmp_path / "model", members=2, labels=LABELS)
    asked = ("--model", model, "--stability", "--out", tmp_path / "out", "--json")
    ran = resonance("explain", scan, *asked)
    assert ran.code == 0, ran.err
    assert ran.document["members"]["maps"] == ["member 1", "member 2"]
    assert list(ran.document["maps"]) == ["spread_agreement", "spread_members"]
    assert nibabel.load(ran.document["maps"]["spread_members"]).get_fdata().max() > 0


def test_no_map_takes_the_place_of_another(resonance, embedded, scan, tmp_path):
    out = tmp_path / "out"
    asked = (
        ("--method", "gradcam"),
        ("--method", "gradcam++"),
        ("--target", "T2w"),
        ("--target", "T2w", "--against", "FLAIR"),
        ("--target", "T2w", "--sign", "both"),
        ("--method", "gradient-x-input"),
        ("--method", "gradient-x-input", "--baseline", "lowest"),
        ("--method", "occlusion", "--window", "60"),
        ("--method", "occlusion", "--window", "70"),
        ("--model", tiny_bundle(tmp_path / "other", labels=LABELS, members=2)),
    )
    files = []
    for words in asked:
        ran = resonance("explain", scan, *words, "--out", out, "--json")
        assert ran.code == 0, ran.err
        files += [ran.document[name] for name in ("saliency", "picture", "page")]
    assert len(set(files)) == 3 * len(asked)
    assert all(Path(file).is_file() for file in files)
    assert len(list(out.glob("*_regions.csv"))) == len(asked)


def test_files_of_labels_that_are_sentences_have_names(resonance, scan, tmp_path):
    labels = tuple(f"{'long words ' * 20} of label {n}: é" for n in range(3))
    model = tiny_bundle(tmp_path / "model", labels=labels)
    asked = ("--model", model, "--against", labels[2], "--out", tmp_path / "out")
    files = []
    for label in labels[:2]:
        ran = resonance("explain", scan, "--target", label, *asked, "--json")
        assert ran.code == 0, ran.err
        files.append(Path(ran.document["page"]))
    assert files[0] != files[1]
    assert all(file.is_file() for file in files)


def _changed(folder: Path, tensor: str, value: float) -> Path:
    """Return a model with one tensor filled with a value."""
    import torch

    from napari_resonance.classifier.bundle import load_bundle, save_bundle
    from napari_resonance.classifier.engines import load_network

    bundle = load_bundle(tiny_bundle(folder / "before", labels=LABELS))
    network = load_network(bundle)
    with torch.no_grad():
        network.state_dict()[tensor].fill_(value)
    save_bundle(
        folder / "after",
        network=network,
        network_def=bundle.network_def,
        recipe=bundle.recipe,
        calibration=bundle.calibration,
        card=bundle.card,
    )
    return folder / "after"


def test_nothing_is_said_of_the_peak_of_nothing(resonance, scan, tmp_path):
    model = _changed(tmp_path / "m", "fc.weight", 0.0)
    asked = ("--model", model, "--target", "T1w", "--out", tmp_path / "o")
    ran = resonance("explain", scan, *asked)
    assert ran.code == 0, ran.err
    assert "nowhere: nothing in the scan speaks for T1w" in ran.out
    assert "(peak of" not in ran.out
    assert "the map is the same everywhere" in ran.err
    assert resonance("explain", scan, *asked, "--json").document["peak_mm"] is None
    ran = resonance("explain", scan, *asked, "--sanity")
    assert ran.code == 1
    assert "cannot be measured" in " ".join(ran.err.split())


def test_damaged_weights_are_refused(resonance, scan, tmp_path):
    model = _changed(tmp_path / "m", "layer2.0.bn1.weight", np.nan)
    out = tmp_path / "o"
    ran = resonance("explain", scan, "--model", model, "--out", out, "--json")
    assert ran.code == 1
    assert "weights hold values that are not finite" in ran.document["error"]["message"]
    assert not list(out.iterdir())


def test_what_fails_leaves_no_map(resonance, embedded, scan, tmp_path):
    out = tmp_path / "out"
    ran = resonance("explain", scan, "--layer", "layer9", "--out", out, "--json")
    assert ran.code == 1
    assert ran.document["error"]["type"] == "SaliencyError"
    assert "layer1, layer2, layer3, layer4" in ran.document["error"]["remedy"]
    assert not list(out.iterdir())
