"""``resonance models``: what comes with the package, and what can be had."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub import constants, file_download
from safetensors.torch import save_file
from support.hub import Hub, serving
from support.networks import torchvision

from napari_resonance.classifier.architecture import expected_shapes
from napari_resonance.classifier.catalogue import pretrained_entry


def test_list_names_the_embedded_models(resonance, embedded):
    ran = resonance("models", "list")
    assert ran.code == 0
    assert "T1w, T2w, FLAIR" in ran.out
    (model,) = resonance("models", "list", "--json").document["models"]
    assert model["labels"] == ["T1w", "T2w", "FLAIR"]
    assert model["dimensions"] == 3
    assert len(model["model_sha256"]) == 64


def test_show_prints_the_card_by_name_or_folder(resonance, embedded):
    for name in ("mr-sequence", embedded):
        ran = resonance("models", "show", name)
        assert ran.code == 0
        assert "T1w, T2w, FLAIR" in ran.out
        assert "Research use only" in ran.out
        assert max(len(line) for line in ran.out.splitlines()) <= 80
        assert "\N{REPLACEMENT CHARACTER}" not in ran.out
    model = resonance("models", "show", embedded, "--json").document["model"]
    assert model["path"] == str(embedded)
    assert model["weights_bytes"] > 0


def test_show_of_an_unknown_model_is_one_sentence(resonance, embedded):
    ran = resonance("models", "show", "nothing")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: nothing: ")
    assert len(ran.err.splitlines()) == 1


def test_list_has_a_row_for_every_pretrained_network(resonance, embedded):
    ran = resonance("models", "list")
    rows = [line for line in ran.out.splitlines() if line.startswith("medicalnet-")]
    assert len(rows) == 7
    assert all("MIT" in row and " MB" in row for row in rows)
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    entries = resonance("models", "list", "--json").document["pretrained"]
    by_name = {entry["name"]: entry for entry in entries}
    assert by_name["imagenet-50"]["licence"] == "BSD-3-Clause"
    assert by_name["imagenet-50"]["on_disk"] is False
    assert by_name["medicalnet-18"]["dimensions"] == 3


def test_show_prints_a_pretrained_network_too(resonance):
    ran = resonance("models", "show", "medicalnet-50")
    assert ran.code == 0
    assert "https://huggingface.co/TencentMedicalNet/MedicalNet-Resnet50" in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 80


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Let downloads go to a folder of this test."""
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    return tmp_path / "cache"


def test_download_fetches_from_a_mirror_once(resonance, cache, monkeypatch):
    entry = pretrained_entry("imagenet-18")
    content = b"weights"
    with serving(Hub({f"{entry.repository}/{entry.filename}": content})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        document = resonance("models", "download", "imagenet-18", "--json").document
    assert document["path"] == str(cache / "pretrained" / "imagenet-18.safetensors")
    assert document["bytes"] == len(content)
    assert document["verified"] is True
    again = resonance("models", "download", "imagenet-18")  # from disk: nobody serves
    assert again.code == 0
    assert "BSD-3-Clause" in again.out


def test_download_that_fails_is_one_sentence(resonance, cache, monkeypatch):
    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)
    with serving(Hub(status=401)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        ran = resonance("models", "download", "medicalnet-10")
    assert (ran.code, ran.out) == (1, "")
    assert "HF_TOKEN" in ran.err
    assert len(ran.err.splitlines()) == 1
    ran = resonance("models", "download", "imagenet-19")
    assert ran.code == 1
    assert "imagenet-18" in ran.err


def test_download_takes_a_file_by_hand(resonance, cache, tmp_path):
    entry = pretrained_entry("imagenet-18")
    shapes = expected_shapes(entry.definition())
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    ran = resonance("models", "download", "imagenet-18", "--file", path)
    assert ran.code == 0
    assert "sha256" in ran.err
    ran = resonance("models", "download", "imagenet-34", "--file", path)
    assert ran.code == 1
    assert "Nearest: ResNet-18 in 2D" in ran.err


def test_import_asks_and_then_writes_a_bundle(resonance, tmp_path):
    weights = tmp_path / "mine.safetensors"
    save_file(torchvision(18, outputs=2).state_dict(), weights)
    out = tmp_path / "bundle"
    ran = resonance("models", "import", weights, "--out", out)
    assert ran.code == 1
    assert "--labels with 2 names" in ran.err
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"dimensions": 2, "steps": [{"step": "percentile"}]}')
    told = ("--labels", "a, b", "--recipe", recipe, "--stride", 2, "--modality", "DX")
    ran = resonance("models", "import", weights, "--out", out, *told, "--json")
    assert ran.code == 0
    assert ran.document["model"]["labels"] == ["a", "b"]
    assert ran.document["model"]["modality"] == ["DX"]
    assert list(ran.document["report"]["adapted"]) == ["conv1.weight"]
    shown = resonance("models", "show", out)
    assert shown.code == 0
    assert "Not calibrated" in shown.out
    again = resonance("models", "import", weights, "--out", out, *told)
    assert "there is a model here already: bundle, of" in again.err
    again = resonance("models", "import", weights, "--out", out, *told, "--overwrite")
    assert "1 adapted (conv1.weight)" in again.out


def test_import_takes_what_weights_do_not_tell(resonance, tmp_path):
    network = torchvision(18, outputs=1)
    layers = (torch.nn.Linear(32, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    network.fc = torch.nn.Sequential(*layers)
    state = network.state_dict()
    weights = tmp_path / "mine.pth"
    torch.save({"state_dict": state, "state_dict_ema": state}, weights)
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"dimensions": 2, "steps": [{"step": "percentile"}]}')
    told = ["--out", tmp_path / "out", "--labels", "no,yes", "--recipe", recipe]
    ran = resonance("models", "import", weights, *told)
    assert f"{weights}#state_dict_ema" in ran.err
    weights = f"{weights}#state_dict_ema"
    told += ["--stride", "2,2", "--pool"]
    ran = resonance("models", "import", weights, *told)
    assert "--between relu" in ran.err
    ran = resonance("models", "import", weights, *told, "--between", "relu", "--json")
    assert ran.code == 0
    assert ran.document["model"]["labels"] == ["no", "yes"]
    assert ran.document["report"]["assumed"] == {}
    assert ran.document["report"]["layers"] == []


@pytest.mark.parametrize("stride", ["two", "5", "2,", "12", "1,1,1,1"])
def test_import_refuses_strides_that_are_none(resonance, tmp_path, stride):
    ran = resonance(
        "models", "import", tmp_path / "x", "--out", tmp_path / "y", "--stride", stride
    )
    assert ran.code == (1 if stride == "2," else 2)


def test_import_fetches_no_address(resonance, tmp_path):
    address = "https://example.com/resnet18.pth"
    ran = resonance("models", "import", address, "--out", tmp_path / "out")
    assert ran.code == 1
    assert ran.err.startswith(f"Error: {address}: an address is not fetched")
    ran = resonance("models", "import", "x.pth", "--out", "out", "--like", "resnet18")
    assert "Is imagenet-18 meant?" in ran.err
