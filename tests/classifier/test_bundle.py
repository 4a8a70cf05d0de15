"""Bundles on disk: a true round trip, and a sentence for everything that is wrong."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.bundles import tiny_bundle, tiny_card, tiny_definition

from napari_resonance.classifier.bundle import (
    INFERENCE,
    Bundle,
    list_models,
    load_bundle,
    save_bundle,
)
from napari_resonance.classifier.bundle_config import WEIGHTS
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.distribution import TrainingStatistics
from napari_resonance.classifier.engines import load_network
from napari_resonance.classifier.files import file_sha256
from napari_resonance.classifier.network import build_network, round_to_half
from napari_resonance.classifier.place import METADATA
from napari_resonance.errors import DependencyError, ModelError
from napari_resonance.preprocessing import Recipe

Copy = Callable[[Path], Path]
RECIPE = Recipe.from_json({"dimensions": 3, "steps": [{"step": "percentile"}]})


def _edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def _save(folder: Path, card: ModelCard, **parts: Any) -> Bundle:
    definition = tiny_definition(3, 2)
    given = {
        "network": build_network(definition),
        "network_def": definition,
        "recipe": RECIPE,
        "calibration": Calibration(),
        "card": card,
    }
    return save_bundle(folder, **(given | parts))


def test_survives_the_disk(tmp_path):
    card = tiny_card(("a", "b"))
    calibration = Calibration(
        2.5, {"rule": "conformal", "coverage": 0.9, "quantile": 0.4}
    )
    network = build_network(tiny_definition(3, 2))
    _save(tmp_path / "m", card, calibration=calibration, network=network)
    bundle = load_bundle(tmp_path / "m")
    assert bundle.card == card
    assert bundle.calibration == calibration
    assert bundle.recipe == RECIPE
    assert bundle.recipe.sha256 == RECIPE.sha256
    assert bundle.network_def == tiny_definition(3, 2)
    assert bundle.weights_sha256 == file_sha256(bundle.weights_path)
    assert bundle.statistics is None
    assert bundle.warnings == ()
    weights = network.fc.weight.detach().numpy()
    np.testing.assert_array_equal(bundle.heads().weights[0], weights)


def _statistics(n_features: int) -> TrainingStatistics:
    rng = np.random.default_rng(0)
    return TrainingStatistics(
        means=rng.random((2, n_features)),
        whitening=np.eye(n_features),
        limit=3.0,
        lowest=np.zeros(4),
        highest=np.ones(4),
    )


def test_statistics_survive_the_disk(tmp_path):
    given = _statistics(8)
    bundle = _save(tmp_path / "m", tiny_card(("a", "b")), statistics=given)
    assert bundle.statistics is not None
    np.testing.assert_array_equal(bundle.statistics.means, given.means)
    assert bundle.statistics.limit == given.limit


def test_statistics_of_another_network_are_refused(tmp_path):
    card = tiny_card(("a", "b"))
    with pytest.raises(ModelError, match="not those of this network"):
        _save(tmp_path / "m", card, statistics=_statistics(7))
    assert not list(tmp_path.iterdir())


def test_two_savings_of_the_same_are_the_same(saved, tmp_path):
    again = tiny_bundle(tmp_path / "again")
    for name in (METADATA, INFERENCE, WEIGHTS, "LICENSE", "docs/README.md"):
        assert (again / name).read_bytes() == (saved / name).read_bytes()


def test_nothing_in_it_would_be_evaluated(converted):
    for name in (METADATA, INFERENCE):
        assert "$" not in (converted / name).read_text()
    suffixes = {p.suffix for p in converted.rglob("*") if p.is_file()}
    assert suffixes <= {".json", ".safetensors", ".xml", ".bin", ".md", ""}


def test_the_readme_says_what_must_be_known(saved):
    text = (saved / "docs" / "README.md").read_text()
    for words in ("research use only", "a, b, c", "0.5 (0.4 to 0.6)", "MIT", "--scan"):
        assert words in text


def test_extra_files_are_named_and_never_opened(saved, copy_of: Copy):
    folder = copy_of(saved)
    (folder / "models" / "model.pt").write_bytes(pickle.dumps(_Bomb()))
    (folder / "run.py").write_text("raise SystemExit")
    bundle = load_bundle(folder)
    assert bundle.warnings == (
        "the model folder holds files that are not used: models/model.pt, run.py",
    )


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the pickle was opened",))


@pytest.mark.parametrize("name", [METADATA, INFERENCE, WEIGHTS])
def test_a_missing_file_is_named(saved, copy_of: Copy, name):
    folder = copy_of(saved)
    (folder / name).unlink()
    with pytest.raises(ModelError, match="incomplete") as caught:
        load_bundle(folder)
    assert caught.value.source == str(folder / name)
    assert caught.value.remedy


@pytest.mark.parametrize("name", [METADATA, INFERENCE])
@pytest.mark.parametrize("text", ["", "{", "[1]", "\udcff", "null", "[" * 10**5])
def test_wrong_json_is_refused(saved, copy_of: Copy, name, text):
    folder = copy_of(saved)
    (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match="JSON") as caught:
        load_bundle(folder)
    assert caught.value.source == str(folder / name)


def test_damaged_weights_are_refused(saved, copy_of: Copy):
    folder = copy_of(saved)
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(ModelError, match="damaged") as caught:
        load_bundle(folder)
    assert caught.value.source == str(folder / WEIGHTS)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip file", b"\xff" * 64])
def test_other_files_are_no_weights(saved, copy_of: Copy, content):
    folder = copy_of(saved)
    (folder / WEIGHTS).write_bytes(content)
    sha256 = file_sha256(folder / WEIGHTS)
    _edit(folder / METADATA, lambda d: d["resonance"].update(weights_sha256=sha256))
    with pytest.raises(ModelError, match="weights cannot be read"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("resonance"), "no entry 'resonance'"),
        (lambda d: d["resonance"].update(format=2), "format 2, this version reads"),
        (lambda d: d["resonance"].update(format="1"), "format of the model"),
        (lambda d: d["resonance"].pop("card"), "no valid 'card'"),
        (lambda d: d["resonance"].update(recipe=[]), "no valid 'recipe'"),
        (lambda d: d["resonance"]["recipe"].update(steps=[{"step": "x"}]), "'x' is no"),
        (lambda d: d["resonance"].pop("calibration"), "no valid 'calibration'"),
        (lambda d: d["resonance"]["calibration"].update(temperature=0), "temperature"),
        (lambda d: d["resonance"].update(openvino=[]), "no valid 'openvino'"),
        (lambda d: d["resonance"]["card"].update(dimensions=2), "belong together"),
        (lambda d: d["resonance"]["card"]["labels"].append("d"), "3 outputs"),
        (lambda d: d.update(description="$import os"), "holds an expression"),
        (lambda d: d.update({"$x": 1}), "holds an expression"),
        (lambda d: d.update(authors={"_target_": "os.system"}), "to be called"),
    ],
)
def test_wrong_metadata_is_refused(saved, copy_of: Copy, change, words):
    folder = copy_of(saved)
    _edit(folder / METADATA, change)
    with pytest.raises(ModelError, match=words) as caught:
        load_bundle(folder)
    assert caught.value.source == str(folder)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("network_def"), "no valid 'network_def'"),
        (lambda d: d["network_def"].update(_target_="os.system"), "'os.system' is not"),
        (lambda d: d["network_def"].update(layers="@x"), "an expression"),
        (lambda d: d["network_def"].update(num_classes="$3"), "an expression"),
        (lambda d: d["network_def"].update(num_classes=4), "4 outputs"),
        (lambda d: d["network_def"].update(spatial_dims=2), "belong together"),
        (lambda d: d.update(device="$torch.device('cpu')"), "an expression"),
        (lambda d: d.update(scan="%other.json#x"), "an expression"),
    ],
)
def test_wrong_inference_is_refused(saved, copy_of: Copy, change, words):
    folder = copy_of(saved)
    _edit(folder / INFERENCE, change)
    with pytest.raises(ModelError, match=words):
        load_bundle(folder)


def test_weights_that_may_not_be_read_are_an_error(saved, monkeypatch):
    def refuse(_path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    name = "napari_resonance.classifier.bundle_checks.file_sha256"
    monkeypatch.setattr(name, refuse)
    with pytest.raises(ModelError, match="Permission denied") as caught:
        load_bundle(saved)
    assert caught.value.source == str(saved)


def test_no_such_model(tmp_path):
    with pytest.raises(ModelError, match="no model of this name") as caught:
        load_bundle(tmp_path / "nowhere")
    assert "Give the folder" in str(caught.value)


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(ModelError, match="a file, not a model"):
        load_bundle(tmp_path / "model.pt")


def test_included_models_are_found_by_name():
    for bundle in list_models():
        assert load_bundle(bundle.card.name).path == bundle.path


def test_saving_replaces_a_bundle(tmp_path):
    _save(tmp_path / "m", tiny_card(("a", "b")))
    (tmp_path / "m" / "old.txt").write_text("")
    bundle = _save(tmp_path / "m", tiny_card(("c", "d")))
    assert bundle.card.labels == ("c", "d")
    assert bundle.warnings == ()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_saving_spares_other_folders(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="something else"):
        _save(tmp_path, tiny_card(("a", "b")))
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("label", ["$a", "@network_def", "%file"])
def test_labels_that_monai_would_follow_are_refused(tmp_path, label):
    with pytest.raises(ModelError, match="expression"):
        _save(tmp_path / "m", tiny_card((label, "b")))
    assert not list(tmp_path.iterdir())


def test_parts_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(ModelError, match="2 outputs, the card 3 labels"):
        _save(tmp_path / "m", tiny_card(("a", "b", "c")))
    with pytest.raises(ModelError, match="do not belong together"):
        _save(tmp_path / "m", tiny_card(("a", "b"), dimensions=2))
    assert not list(tmp_path.iterdir())


def test_converting_needs_openvino(tmp_path, monkeypatch):
    name = "napari_resonance.classifier.openvino_engine.is_installed"
    monkeypatch.setattr(name, lambda: False)
    with pytest.raises(DependencyError, match="OpenVINO"):
        _save(tmp_path / "m", tiny_card(("a", "b")), convert=True)
    assert not list(tmp_path.iterdir())


def test_weights_rounded_to_16_bits_take_half_the_room(tmp_path):
    network = build_network(tiny_definition(3, 2))
    card = tiny_card(("a", "b"))
    whole = _save(tmp_path / "whole", card, network=network)
    round_to_half(network)
    half = _save(tmp_path / "half", card, network=network)
    sizes = [b.weights_path.stat().st_size for b in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]
    loaded = load_network(half).state_dict()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=0)
    assert half.heads().weights.dtype == np.float32


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_everyone_may_read_a_saved_bundle(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    bundle = _save(tmp_path / "m", tiny_card(("a", "b")), statistics=_statistics(8))
    files = [p for p in bundle.path.rglob("*") if p.is_file()]
    assert len(files) == 6
    assert {p.stat().st_mode for p in files} == {plain.stat().st_mode}
