"""The layers of a network: the shapes and counts of the network itself."""

import pytest
import torch
from support.bundles import tiny_definition

from napari_resonance.classifier.catalogue import CATALOGUE
from napari_resonance.classifier.network import build_network
from napari_resonance.classifier.summary import PARTS, is_trained, summarize
from napari_resonance.errors import ModelError


@pytest.mark.parametrize("dimensions", [2, 3])
def test_shapes_and_counts_are_the_networks(dimensions):
    definition = tiny_definition(dimensions, 3)
    network = build_network(definition).eval()
    size = [33, 41, 25][:dimensions]
    summary = summarize(definition, size)
    assert summary.input == (1, *size)
    assert summary.parameters == sum(p.numel() for p in network.parameters())
    assert summary.trainable == summary.parameters
    with torch.no_grad():
        features = network.features(torch.zeros(1, 1, *size))
    by_name = {layer.name: layer for layer in summary.layers}
    assert by_name["layer4.0"].output == tuple(features.shape[1:])
    assert by_name["fc"].output == (3,)
    assert list(by_name)[:2] == ["conv1", "bn1"]
    assert "maxpool" not in by_name


def test_a_part_and_all_that_follows_is_trained():
    definition = tiny_definition(3, 2)
    counts = [summarize(definition, train_from=part).trainable for part in PARTS]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == len(PARTS)
    head = summarize(definition, train_from="head")
    assert [layer.name for layer in head.layers if layer.trainable] == ["fc"]
    assert is_trained("layer3.1.conv1.weight", "layer3")
    assert not is_trained("layer3.1.conv1.weight", "layer4")
    with pytest.raises(ModelError, match="no part 'neck'"):
        summarize(definition, train_from="neck")


def test_the_deepest_takes_no_memory_and_has_its_published_size():
    summary = summarize(CATALOGUE["imagenet-152"].definition(), ["*", "*"])
    assert summary.input == (3, 224, 224)
    assert summary.parameters == 60_192_808  # as torchvision states it
    assert len(summary.layers) == 3 + 50 + 1
