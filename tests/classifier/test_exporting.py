"""Networks for other programs: the same logits and features, at any size."""

import json
import math

import numpy as np
import pytest
import torch

from napari_resonance.classifier import exporting
from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.engines import load_network
from napari_resonance.classifier.exporting import export_network, reopened
from napari_resonance.errors import DependencyError, ExportError

needs_onnx = pytest.mark.skipif(
    not exporting.find_spec("onnx"), reason="needs the extra [onnx]"
)
FORMATS = ["openvino", pytest.param("onnx", marks=needs_onnx)]


def outputs(bundle, images):
    with torch.inference_mode():
        found = load_network(bundle).logits_and_features(torch.from_numpy(images))
    return [t.numpy() for t in found]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_both_outputs_are_those_of_the_network(
    saved, saved_flat, tmp_path, kind, dimensions
):
    bundle = load_bundle(saved if dimensions == 3 else saved_flat)
    files = export_network(bundle, tmp_path / "out", [kind])
    run = reopened(files[kind])
    rng = np.random.default_rng(0)
    # Neither the number of images nor their size is that of the example.
    for shape in ((1, 33, 41, 25), (3, 17, 17, 33)):
        n, *size = shape
        images = rng.random((n, 1, *size[:dimensions]), np.float32)
        found, wanted = run(images), outputs(bundle, images)
        softmax = bundle.calibration.probabilities
        np.testing.assert_allclose(softmax(found[0]), softmax(wanted[0]), atol=1e-4)
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-3, atol=1e-3)


def test_the_embedded_network_is_exported_whole(tmp_path):
    bundle = load_bundle("mr-sequence")
    files = export_network(bundle, tmp_path, ["openvino"])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "model.bin",
        "model.json",
        "model.xml",
    ]
    told = json.loads(files["description"].read_text())
    assert told["labels"] == list(bundle.card.labels)
    assert told["recipe"] == bundle.recipe.to_json()
    assert told["input"]["size"] == [49, 57, 34]
    assert told["temperature"] == bundle.calibration.temperature


def test_what_answers_differently_is_not_kept(bundle, tmp_path, monkeypatch):
    def wrong(path):
        return lambda images: (np.eye(2, 3, dtype=np.float32) * 5, images)

    monkeypatch.setattr(exporting, "reopened", wrong)
    with pytest.raises(ExportError, match="answers differently"):
        export_network(bundle, tmp_path, ["openvino"])
    assert not (tmp_path / "model.xml").exists()


def test_what_cannot_be_written_is_one_sentence(bundle, tmp_path, monkeypatch):
    with pytest.raises(ExportError, match="no format 'tflite'"):
        export_network(bundle, tmp_path, ["tflite"])
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        export_network(bundle, tmp_path / "file", ["openvino"])
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="onnx is needed") as caught:
        export_network(bundle, tmp_path, ["onnx"])
    assert "napari-resonance[onnx]" in caught.value.remedy


def test_numbers_that_are_none_are_no_agreement():
    assert exporting.Differences(1e-6, 1e-6).are_small
    for apart in ((0.0, math.nan), (math.nan, 0.0), (0.0, math.inf), (1e-3, 0.0)):
        assert not exporting.Differences(*apart).are_small
