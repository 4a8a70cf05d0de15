"""A head with hidden units: its logits, its gradients, its maps, its way to disk."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from support.bundles import tiny_bundle
from support.phantoms import phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.definition import with_head
from napari_resonance.classifier.engines import load_network, make_engine
from napari_resonance.classifier.network import HiddenHead
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.classifier.pretrained import load_pretrained, network_of
from napari_resonance.classifier.summary import summarize
from napari_resonance.saliency.explain import ExplainOptions, explain

UNITS = 12
SCORE = np.array([1.0, -0.5, 0.25])


@pytest.fixture(
    scope="module", params=["2D", "3D", "members", "mirrored", "gelu", "deep"]
)
def bundle(request, tmp_path_factory):
    kind = request.param
    network = {"head_hidden": UNITS}
    if kind == "gelu":
        network["head_act"] = "gelu"
    if kind == "deep":
        leaky = ["leakyrelu", {"negative_slope": 0.2}]
        network = {"head_hidden": [UNITS, 5, UNITS], "head_act": leaky}
    if kind == "mirrored":
        network["mirror_axis"] = [0, 1]
    folder = tiny_bundle(
        tmp_path_factory.mktemp("head") / "tiny",
        dimensions=2 if kind == "2D" else 3,
        members=2 if kind == "members" else 1,
        network=network,
    )
    return load_bundle(folder)


def _members(bundle):
    network = load_network(bundle)
    return list(getattr(network, "members", [network]))


def _pooled(bundle, n=5):
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(n, len(_members(bundle)) * bundle.heads().features))
    return pooled.astype(np.float32)


def _score(bundle, pooled):
    """Return the score of the mean logits ``(n,)`` by torch."""
    parts = pooled.chunk(len(_members(bundle)), dim=1)
    pairs = zip(_members(bundle), parts, strict=True)
    logits = torch.stack([m.fc(part) for m, part in pairs]).mean(dim=0)
    return logits @ torch.from_numpy(SCORE).float()


def test_it_has_the_units_that_were_asked_for(bundle):
    for member in _members(bundle):
        assert isinstance(member.fc, HiddenHead)
        assert tuple(member.fc.hidden.weight.shape) == (UNITS, 8)
        assert tuple(member.fc.weight.shape) == (3, UNITS)
    heads = bundle.heads()
    assert not heads.is_linear
    assert heads.features == 8


def test_openvino_and_torch_give_the_same_logits(bundle):
    rng = np.random.default_rng(0)
    batch = rng.random((2, 1, *[33] * bundle.card.dimensions), np.float32)
    logits, features = make_engine(bundle, "cpu").run(batch)
    with torch.inference_mode():
        wanted = load_network(bundle)(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-4)
    pooled = features.reshape(*features.shape[:2], -1).mean(axis=2)
    found = bundle.heads().member_logits(pooled)
    np.testing.assert_allclose(found.mean(axis=0), wanted, rtol=1e-4, atol=1e-4)
    apart = [
        head.member_logits(part)[0]
        for head, part in zip(
            bundle.heads().apart(), np.split(pooled, len(found), axis=1), strict=True
        )
    ]
    np.testing.assert_allclose(apart, found)


def test_its_gradient_is_that_of_autograd(bundle):
    pooled = torch.from_numpy(_pooled(bundle)).requires_grad_()
    (wanted,) = torch.autograd.grad(_score(bundle, pooled).sum(), pooled)
    found = bundle.heads().gradients(_pooled(bundle), SCORE)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-6)
    # Units light up for some features and not for others.
    assert np.abs(found - found[:1]).max() > 1e-3


def test_gradients_along_a_line_add_up_to_the_difference(bundle):
    after, before = _pooled(bundle), _pooled(bundle)[::-1].copy()
    mean = bundle.heads().gradients_between(before, after, SCORE)
    with torch.no_grad():
        ends = [_score(bundle, torch.from_numpy(p)).numpy() for p in (before, after)]
    found = (mean * (after - before)).sum(axis=1)
    difference = ends[1] - ends[0]
    np.testing.assert_allclose(found, difference, atol=1e-4)


def test_grad_cam_is_the_gradient_through_the_head(bundle):
    classifier = load_classifier(bundle.path)
    explained = explain(classifier, phantom("oblique")[0], ExplainOptions(target="b"))
    features = torch.from_numpy(explained.answer.features).requires_grad_()
    pooled = features.flatten(2).mean(dim=2).chunk(len(_members(bundle)), dim=1)
    pairs = zip(_members(bundle), pooled, strict=True)
    logits = torch.stack([m.fc(part) for m, part in pairs]).mean(dim=0)
    score = (logits @ torch.from_numpy(explained.score)).mean()
    (gradient,) = torch.autograd.grad(score, features)
    wanted = (gradient * features).sum(dim=1).detach().numpy()
    found = explained.saliency.values
    if bundle.card.dimensions == 2:
        wanted = np.moveaxis(wanted, 0, -1)
    assert np.abs(wanted).max() > 0
    np.testing.assert_allclose(found, wanted.reshape(found.shape), rtol=1e-3, atol=1e-7)


def test_it_is_told_from_its_weights(bundle, tmp_path):
    if len(_members(bundle)) > 1:
        pytest.skip("a file of weights has one network")
    file = tmp_path / "weights.pth"
    torch.save(load_network(bundle).state_dict(), file)
    loaded = load_pretrained(
        str(file), dimensions=bundle.card.dimensions, in_channels=1, n_labels=3
    )
    assert loaded.definition["head_hidden"] == bundle.network_def["head_hidden"]
    assert loaded.report.assumed["head_act"] == "relu"
    assert not loaded.report.missing
    assert not loaded.report.unexpected
    # Strides are not told by weights, so their networks may differ in those.
    found = network_of(loaded).state_dict()
    for name, tensor in load_network(bundle).state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_the_summary_counts_its_parameters(bundle):
    summary = summarize(bundle.network_def)
    (head,) = [layer for layer in summary.layers if layer.name == "fc"]
    hidden = bundle.network_def["head_hidden"]
    sizes = [8, *(hidden if isinstance(hidden, list) else [hidden]), 3]
    assert head.parameters == sum(a * b + b for a, b in pairwise(sizes))


def test_a_definition_gets_another_head():
    linear = {"_target_": "monai.networks.nets.ResNet", "num_classes": 2}
    hidden = with_head(linear, 256)
    assert hidden["head_hidden"] == 256
    assert hidden["_target_"].startswith("napari_resonance.")
    assert "head_hidden" not in with_head(hidden, None)
