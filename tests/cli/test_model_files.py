"""``resonance models export``, ``verify`` and ``show --summary``."""

from __future__ import annotations

import shutil


def test_the_layers_and_what_is_trained(resonance, embedded):
    ran = resonance("models", "show", "mr-sequence", "--summary", "--unfreeze", "head")
    assert ran.code == 0
    for text in ("layer4.0", "ResNetBlock", "8 × 5 × 5 × 5", "parameters"):
        assert text in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    document = resonance("models", "show", embedded, "--summary", "--json").document
    summary = document["summary"]
    assert summary["input"] == [1, 33, 33, 33]
    assert summary["parameters"] == summary["trainable_parameters"]
    assert {layer["name"] for layer in summary["layers"]} >= {"conv1", "fc"}


def test_pretrained_networks_have_layers_before_they_are_fetched(resonance):
    ran = resonance("models", "show", "astra-ct-152", "--summary", "--json")
    layers = ran.document["summary"]["layers"]
    assert len(layers) == 54
    assert layers[0]["output"][0] == 64
    wrong = resonance("models", "show", "medicalnet-10", "--summary", "--unfreeze", "x")
    assert wrong.code == 2


def test_export_names_its_files(resonance, embedded, tmp_path):
    arguments = ("models", "export", "mr-sequence", "--out", tmp_path / "out")
    ran = resonance(*arguments, "--openvino", "--json")
    assert ran.code == 0
    files = ran.document["files"]
    assert files["openvino"] == str(tmp_path / "out" / "model.xml")
    assert files["description"] == str(tmp_path / "out" / "model.json")
    nothing = resonance(*arguments, "--json")
    assert nothing.code == 2
    assert "--onnx, --openvino" in nothing.document["error"]["message"]
    assert "model.xml" in resonance(*arguments, "--openvino").out


def test_verify_tells_what_was_found(resonance, embedded, tmp_path):
    ran = resonance("models", "verify", "mr-sequence")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["ok"] * 3
    folder = tmp_path / "model"
    shutil.copytree(embedded, folder)
    (folder / "notes.txt").write_text("mine")
    ran = resonance("models", "verify", folder, "--json")
    assert ran.code == 1
    assert ran.document["passed"] is False
    wrong = [c for c in ran.document["checks"] if not c["passed"]]
    assert [check["name"] for check in wrong] == ["files"]


def test_share_says_what_it_left_out(resonance, embedded, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(embedded, folder)
    (folder / "training").mkdir()
    (folder / "training" / "split.json").write_text("{}")
    out = tmp_path / "out"
    ran = resonance("models", "share", folder, "--out", out, "--json")
    assert ran.code == 0
    assert ran.document["left_out"] == ["training/split.json"]
    assert "models/model.safetensors" in ran.document["files"]
    again = resonance("models", "share", folder, "--out", out)
    assert "there is a model here already" in again.err
    again = resonance("models", "share", folder, "--out", out, "--overwrite")
    assert "Left out: training/split.json" in again.out
