"""Feature maps by the name of a layer: networks of ours, and any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.bundles import STRIDE, tiny_bundle, tiny_definition
from support.phantoms import phantom

from napari_resonance.classifier.definition import total_stride
from napari_resonance.classifier.network import build_network
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import SaliencyError
from napari_resonance.saliency.explain import ExplainOptions, explain
from napari_resonance.saliency.layers import activations, layer_names, layer_stride

SCORE = torch.tensor([1.0, 0.0])


def _foreign() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, stride=2, padding=1),
        torch.nn.ReLU(inplace=True),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(3, 2),
    ).eval()


@pytest.mark.parametrize("members", [1, 2])
def test_members_of_an_ensemble_add_up_to_the_last_map(tmp_path: Path, members: int):
    classifier = load_classifier(tiny_bundle(tmp_path / "b", members=members))
    scan = phantom("oblique")[0]
    closed = explain(classifier, scan).saliency
    hooked = explain(classifier, scan, ExplainOptions(layer="layer4")).saliency
    scale = np.abs(closed.values).max()
    np.testing.assert_allclose(hooked.values, closed.values, atol=1e-3 * scale)
    np.testing.assert_allclose(hooked.affine, closed.affine)
    finer = explain(classifier, scan, ExplainOptions(layer="layer3")).saliency
    assert finer.values.shape == (9, 9, 9)


def test_a_mirrored_network_maps_both_of_its_images():
    definition = tiny_definition(3, 2) | {"mirror_axis": 0}
    torch.manual_seed(0)
    network = build_network(definition).eval()
    image = torch.rand(1, 1, 33, 17, 17)
    pairs = activations(network, "layer4", image, SCORE)
    assert len(pairs) == 2
    with torch.no_grad():
        features = network.logits_and_features(image)[1].numpy()
    mean = (pairs[0][0] + pairs[1][0][:, :, ::-1]) / 2
    np.testing.assert_allclose(mean, features, atol=1e-5)


def test_any_network_with_a_named_layer_will_do():
    network = _foreign()
    images = torch.rand(2, 1, 9, 9)
    ((features, gradients),) = activations(network, "0", images, SCORE)
    # Hooks see the convolution's own output, though ReLU writes into it afterwards.
    assert features.min() < 0
    assert features.shape == gradients.shape == (2, 3, 5, 5)
    assert layer_stride(network, "0", 1, 2) == (2.0, 2.0)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_stride_of_a_layer_is_read_off_its_shapes(dimensions: int):
    network = build_network(tiny_definition(dimensions, 2))
    strides = [
        layer_stride(network, name, 1, dimensions)[0]
        for name in ("conv1", "layer1", "layer2", "layer3.0.conv1", "layer4")
    ]
    assert strides == [1, 1, 2, 4, STRIDE]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"conv1_t_stride": 2, "no_max_pool": False},
        {"conv1_t_size": [3, 7, 7], "conv1_t_stride": [1, 2, 2]},
        {"dilations": [1, 1, 2, 4]},
    ],
)
def test_the_stride_of_a_stage_is_known_without_its_shapes(changed):
    definition = tiny_definition(3, 2) | changed
    network = build_network(definition)
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        known = total_stride(definition, stage)
        assert known == layer_stride(network, stage, 1, 3)
    assert known == total_stride(definition)


def test_a_network_without_convolution_is_refused():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 2))
    with pytest.raises(SaliencyError, match="no convolution, and so no feature map"):
        layer_names(network)


def test_features_that_are_not_numbers_are_refused():
    network = _foreign()
    with torch.no_grad():
        network[0].bias.fill_(torch.nan)
    with pytest.raises(SaliencyError, match="layer '0' holds values that are not"):
        activations(network, "0", torch.rand(1, 1, 9, 9), SCORE)


def test_a_map_that_is_the_same_everywhere_is_said_to_be_so(tmp_path: Path):
    classifier = load_classifier(tiny_bundle(tmp_path / "b"))
    # Weights that look at nothing.
    heads = classifier.heads
    blind = replace(heads, weights=np.zeros_like(heads.weights))
    classifier.__dict__["heads"] = blind
    found = explain(classifier, phantom("oblique")[0])
    assert "the map is the same everywhere" in found.notices[0]
    assert found.saliency.is_empty
