"""Models whose parts do not belong together are found out."""

import json
import shutil

import pytest
from support.bundles import tiny_bundle

from napari_resonance.classifier import openvino_engine
from napari_resonance.classifier.bundle import WEIGHTS, load_bundle
from napari_resonance.classifier.files import file_sha256
from napari_resonance.classifier.place import METADATA
from napari_resonance.classifier.verifying import verify
from napari_resonance.errors import ModelError


def found(folder):
    return {check.name: check for check in verify(load_bundle(folder))}


@pytest.mark.parametrize("kind", ["embedded", "converted", "saved_flat"])
def test_whole_models_pass(request, kind):
    model = "mr-sequence" if kind == "embedded" else request.getfixturevalue(kind)
    checks = found(model)
    assert all(check.passed for check in checks.values())
    made = "none came" if kind == "saved_flat" else "answers as the weights do"
    assert made in checks["conversion"].finding
    assert "parameters, all finite" in checks["weights"].finding


def rewrite(folder, **entries):
    path = folder / METADATA
    data = json.loads(path.read_text())
    data["resonance"] |= entries
    path.write_text(json.dumps(data))


def test_a_conversion_of_other_weights_is_found_out(converted, copy_of, tmp_path):
    folder = copy_of(converted)
    other = tiny_bundle(tmp_path / "other", convert=True, network={"act": "leakyrelu"})
    conversion = folder / "models" / "openvino"
    shutil.rmtree(conversion)
    shutil.copytree(other / "models" / "openvino", conversion)
    assert "is not used" in found(folder)["conversion"].finding
    # Whoever exchanges it can write its hashes, too: then it is what runs.
    names = openvino_engine.MODEL_FILES
    hashes = {name: file_sha256(conversion / name) for name in names}
    key = openvino_engine.conversion_key(load_bundle(folder))
    rewrite(folder, openvino={"made_from": key, **hashes})
    check = found(folder)["conversion"]
    assert not check.passed
    assert "differently than the weights" in check.finding


def test_weights_of_another_network_and_other_files_are_named(saved, copy_of, tmp_path):
    folder = copy_of(saved)
    other = tiny_bundle(tmp_path / "other", network={"block_inplanes": [2, 2, 4, 8]})
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(ModelError, match="damaged"):
        found(folder)
    rewrite(folder, weights_sha256=file_sha256(folder / WEIGHTS))
    (folder / "notes.txt").write_text("mine")
    checks = found(folder)
    assert "do not fit the network" in checks["weights"].finding
    assert not checks["weights"].passed
    assert "notes.txt" in checks["files"].finding
    assert not checks["files"].passed
