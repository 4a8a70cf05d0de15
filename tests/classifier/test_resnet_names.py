"""Which tensors of a file are the ResNet's, and which of them is its last layer."""

import pytest
import torch
from support.networks import torchvision

from napari_resonance.classifier.checkpoint import read_checkpoint, split_part
from napari_resonance.classifier.head_stack import Between
from napari_resonance.classifier.resnet_names import resnet_tensors
from napari_resonance.errors import ModelError

STATE = torchvision(18).state_dict()
BACKBONE = {k: v for k, v in STATE.items() if not k.startswith("fc.")}
HEAD = {"weight": STATE["fc.weight"], "bias": STATE["fc.bias"]}  # (10, 32)


def layer(place, *shape):
    return {f"{place}.weight": torch.ones(shape), f"{place}.bias": torch.ones(shape[0])}


def behind(prefix, tensors=BACKBONE):
    return {f"{prefix}{k}": v for k, v in tensors.items()}


@pytest.mark.parametrize("prefix", ["", "backbone.", "model.encoder.", "0."])
@pytest.mark.parametrize(
    "head", ["fc", "classifier", "last_linear", "fc.4", "head.fc", "out", "1"]
)
def test_the_last_layer_is_found_wherever_it_lies(prefix, head):
    tensors = behind(prefix) | behind(f"{head}.", HEAD)
    own, others, _ = resnet_tensors(tensors, "file")
    assert own.keys() == STATE.keys()
    torch.testing.assert_close(own["fc.weight"], HEAD["weight"])
    assert not others


def test_of_several_layers_the_one_with_a_usual_name_is_the_last():
    tensors = BACKBONE | behind("fc.", HEAD) | layer("projection", 7, 32)
    own, _, layers = resnet_tensors(tensors, "file")
    assert tuple(own["fc.weight"].shape) == (10, 32)
    assert layers == ["projection.weight"]


@pytest.mark.parametrize(
    "head",
    [
        layer("fc.0", 6, 32) | layer("fc.2", 2, 6),
        behind("fc.", HEAD) | {"fc.norm.weight": torch.ones(32)},
        layer("classifier.1", 2, 32) | {"classifier.0.running_mean": torch.ones(32)},
        layer("fc", 2, 32) | layer("classifier", 2, 32),
    ],
)
def test_a_head_of_several_layers_is_not_taken_for_the_last_one(head):
    own, others, _ = resnet_tensors(BACKBONE | head, "file")
    assert own.keys() == BACKBONE.keys()
    assert others.keys() == head.keys()


@pytest.mark.parametrize(
    ("prefix", "first", "last"),
    [
        ("", "fc.0", "fc.2"),
        ("", "fc.1", "fc.4"),
        ("backbone.", "head.0", "head.3"),
        ("backbone.", "backbone.fc.0", "backbone.fc.2"),
    ],
)
def test_two_layers_are_taken_once_it_is_told_what_lies_between(prefix, first, last):
    tensors = behind(prefix) | layer(first, 6, 32) | layer(last, 2, 6)
    own, others, _ = resnet_tensors(tensors, "file", between=Between("relu"))
    assert tuple(own["fc.hidden.weight"].shape) == (6, 32)
    assert tuple(own["fc.weight"].shape) == (2, 6)
    assert not others
    own, others, _ = resnet_tensors(tensors, "file", between=Between(None))
    pooled = torch.randn(3, 32)
    wanted = (pooled.sum(1) + 1) * 6 + 1  # all weights and biases are 1
    found = pooled @ own["fc.weight"].T + own["fc.bias"]
    torch.testing.assert_close(found[:, 1], wanted)
    assert not others


@pytest.mark.parametrize(
    "head",
    [
        {},
        behind("fc.", HEAD),
        layer("fc.0", 6, 32) | layer("fc.1", 6) | layer("fc.3", 2, 6),
        layer("fc.0", 2, 32),
        layer("fc.0", 6, 32) | layer("fc.2", 2, 5),
    ],
)
def test_what_lies_between_is_only_told_of_linear_layers(head):
    with pytest.raises(ModelError, match="no stack of linear layers"):
        resnet_tensors(BACKBONE | head, "file", between=Between("relu"))


def test_the_children_of_a_network_are_known_by_their_numbers():
    numbers = {"conv1": 0, "bn1": 1} | {f"layer{n}": n + 3 for n in (1, 2, 3, 4)}
    tensors = {
        ".".join(("features", str(numbers[first]), rest)): tensor
        for (first, _, rest), tensor in (
            (name.partition("."), tensor) for name, tensor in BACKBONE.items()
        )
    }
    own, others, _ = resnet_tensors(tensors | behind("classifier.", HEAD), "file")
    assert own.keys() == STATE.keys()
    assert not others


def averaged():
    return {k: v * 0.5 if v.is_floating_point() else v for k, v in STATE.items()}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"state_dict": STATE, "state_dict_ema": averaged()}, "state_dict|_ema"),
        (behind("net.student.", STATE) | behind("net.teacher.", averaged()), ""),
        (behind("model.", STATE) | behind("model.ema.", averaged()), ""),
        (behind("", STATE) | behind("ema.", averaged()), ""),
    ],
)
def test_two_networks_in_one_file_are_told_apart_by_name(tmp_path, content, names):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    tensors = read_checkpoint(path)
    with pytest.raises(ModelError, match="holds 2 ResNets") as caught:
        resnet_tensors(tensors, path)
    found = []
    for choice in caught.value.remedy.removeprefix("Say which: ").split(" or "):
        file, part = split_part(choice)
        assert file == path
        own, _, layers = resnet_tensors(tensors, choice, part)
        assert own.keys() == STATE.keys()
        assert not layers
        found.append(float(own["layer1.0.conv1.weight"].sum()))
    whole = float(STATE["layer1.0.conv1.weight"].sum())
    assert sorted(found) == pytest.approx(sorted((whole, whole / 2)))
    with pytest.raises(ModelError, match="holds 2 ResNets"):
        resnet_tensors(tensors, f"{path}#momentum", "momentum")


def test_a_part_of_one_network_is_refused():
    with pytest.raises(ModelError, match="no part 'ema'") as caught:
        resnet_tensors(STATE, "weights.pth#ema", "ema")
    assert caught.value.source == "weights.pth"
    assert "#ema" in caught.value.remedy


def test_backbone_and_head_in_dictionaries_of_their_own(tmp_path):
    path = tmp_path / "weights.pth"
    head = {"weight": HEAD["weight"], "bias": HEAD["bias"]}
    optimizer = {"state": {0: {"exp_avg": torch.ones(4, 4)}}}
    torch.save({"encoder": BACKBONE, "clf": head, "optimizer": optimizer}, path)
    own, others, _ = resnet_tensors(read_checkpoint(path), path)
    assert own.keys() == STATE.keys()
    assert not others


def test_a_file_may_have_the_sign_in_its_name(tmp_path):
    path = tmp_path / "weights#3.pth"
    torch.save(STATE, path)
    assert split_part(path) == (path, "")
    assert split_part(tmp_path / "other.pth#3") == (tmp_path / "other.pth", "3")
