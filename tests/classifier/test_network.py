"""The ResNet: MONAI's forward pass, a true gradient, and the map behind its logits."""

import pytest
import torch
from monai.networks.nets import ResNet as MonaiResNet

from napari_resonance.classifier.definition import (
    DEPTHS,
    checked_definition,
    resnet_definition,
    total_stride,
)
from napari_resonance.classifier.network import ResNet, build_network
from napari_resonance.errors import ModelError

NARROW = (4, 8, 12, 16)


def definition(depth=10, dimensions=3, **settings):
    return resnet_definition(
        depth, dimensions=dimensions, n_labels=3, widths=NARROW, **settings
    )


def image(dimensions, size=33, channels=1):
    torch.manual_seed(1)
    return torch.randn(2, channels, *[size] * dimensions)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("depth", DEPTHS)
def test_same_forward_as_monai_at_every_depth(depth, dimensions):
    settings = definition(depth, dimensions)
    torch.manual_seed(0)
    ours = build_network(settings).eval()
    theirs = MonaiResNet(**{k: v for k, v in settings.items() if k != "_target_"})
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = image(dimensions, size=20)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs.eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_logits_are_linear_in_the_mean_of_the_features(dimensions):
    network = build_network(definition(18, dimensions)).eval()
    with torch.no_grad():
        logits, features = network.logits_and_features(image(dimensions))
        again = network.fc(features.flatten(2).mean(dim=2))
    torch.testing.assert_close(logits, again)
    torch.testing.assert_close(logits, network(image(dimensions)).detach())


def test_shortcut_a_has_monais_forward_and_a_true_gradient():
    settings = definition(18, 3, shortcut_type="A")
    torch.manual_seed(0)
    ours = build_network(settings).double().eval()
    arguments = {k: v for k, v in settings.items() if k != "_target_"}
    theirs = MonaiResNet(**arguments).double().eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = image(3, size=9)[:1].double().requires_grad_()
    torch.testing.assert_close(ours(x), theirs(x))
    small = image(3, size=5)[:1].double().requires_grad_()
    assert torch.autograd.gradcheck(ours, small)
    (mine,) = torch.autograd.grad(ours(x)[0, 0], x)
    (monais,) = torch.autograd.grad(theirs(x)[0, 0], x)
    assert not torch.allclose(mine, monais)


def test_shortcut_a_alone_lets_the_gradient_through():
    network = build_network(definition(18, 3, shortcut_type="A"))
    x = torch.randn(1, 4, 6, 6, 6, requires_grad=True)
    network._downsample_basic_block(x, planes=8, stride=2).sum().backward()
    assert x.grad[..., ::2, ::2, ::2].eq(1).all()
    assert x.grad.sum() == 4 * 27


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_mirrored_network_cannot_tell_left_from_right(dimensions):
    network = build_network(definition(10, dimensions, mirror_axis=0)).eval()
    x = image(dimensions, size=33)
    with torch.no_grad():
        logits, features = network.logits_and_features(x)
        other_logits, other_features = network.logits_and_features(x.flip(2))
    torch.testing.assert_close(logits, other_logits)
    torch.testing.assert_close(features, other_features.flip(2))


@pytest.mark.parametrize(
    ("settings", "stride"),
    [
        ({}, (16, 16, 16)),
        ({"no_max_pool": True}, (8, 8, 8)),
        ({"conv1_t_stride": 2}, (32, 32, 32)),
        ({"conv1_t_stride": [1, 2, 2], "no_max_pool": True}, (8, 16, 16)),
        ({"dilations": [1, 1, 1, 2]}, (8, 8, 8)),
        ({"dilations": [1, 1, 2, 4], "conv1_t_stride": 2}, (8, 8, 8)),
        ({"dilations": [1, 1, 2, 4], "shortcut_type": "A"}, (4, 4, 4)),
    ],
)
def test_the_total_stride_is_that_of_the_feature_map(settings, stride):
    data = definition(10, 3, **settings)
    size = [4 * s + 1 for s in stride]
    with torch.no_grad():
        features = build_network(data).eval().features(torch.zeros(1, 1, *size))
    assert total_stride(data) == stride
    assert features.shape[2:] == (5, 5, 5)


@pytest.mark.parametrize(
    "change",
    [
        {"_target_": "os.system"},
        {"_target_": "monai.networks.nets.UNet"},
        {"layers": "$__import__('os').system('true')"},
        {"layers": "@network"},
        {"block": "tower"},
        {"feed_forward": False},
        {"colour": 3},
        {"shortcut_type": "C"},
    ],
)
def test_what_is_not_a_literal_resnet_is_refused(change):
    with pytest.raises(ModelError):
        build_network({**definition(), **change})


def test_an_unknown_depth_is_refused_with_the_known_ones():
    with pytest.raises(ModelError, match="no ResNet of depth 19"):
        resnet_definition(19, dimensions=3, n_labels=2)


def test_the_class_needs_its_last_layer():
    with pytest.raises(ModelError, match="last linear layer"):
        ResNet(
            block="basic",
            layers=[1, 1, 1, 1],
            block_inplanes=list(NARROW),
            feed_forward=False,
        )


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_dilation_only_spreads_the_weights(shortcut):
    # On a constant image away from the borders, spread taps see what close taps see.
    plain = definition(10, 2, shortcut_type=shortcut, no_max_pool=True)
    torch.manual_seed(0)
    close = build_network(plain).eval()
    spread = build_network({**plain, "dilations": [1, 1, 2, 4]}).eval()
    spread.load_state_dict(close.state_dict(), strict=True)
    x = torch.full((1, 1, 257, 257), 0.7)
    with torch.no_grad():
        one, other = close.features(x), spread.features(x)
    middle = tuple(n // 2 for n in one.shape[2:])
    center = tuple(n // 2 for n in other.shape[2:])
    torch.testing.assert_close(one[0, :, *middle], other[0, :, *center])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("layers", [1, 1, 1]),
        ("block_inplanes", [8, 8, 8, 0]),
        ("dilations", [1, 1]),
        ("dilations", 2),
        ("mirror_axis", 3),
        ("mirror_axis", [0, -1]),
        ("spatial_dims", "3"),
        ("spatial_dims", 4),
        ("n_input_channels", 0),
        ("num_classes", "two"),
    ],
)
def test_numbers_that_no_network_has_are_refused(setting, value):
    network = resnet_definition(10, dimensions=3, n_labels=2)
    with pytest.raises(ModelError) as caught:
        checked_definition({**network, setting: value})
    assert repr(value) in caught.value.message
