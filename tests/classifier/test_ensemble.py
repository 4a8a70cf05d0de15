"""Networks that answer together: one classifier, from its weights to its map."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.bundles import tiny_bundle, tiny_definition
from support.monai_run import run_monai
from support.phantoms import phantom, write_nifti

from napari_resonance.classifier import exporting
from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.definition import (
    ensemble_definition,
    member_definition,
    mirrorings,
    total_stride,
)
from napari_resonance.classifier.engines import load_network, make_engine
from napari_resonance.classifier.exporting import export_network, reopened
from napari_resonance.classifier.network import Ensemble, build_network, build_resnet
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.classifier.pretrained import load_pretrained, network_of
from napari_resonance.classifier.summary import summarize
from napari_resonance.errors import ModelError
from napari_resonance.reading import read_scan

MEMBERS = 3


@pytest.fixture(scope="module", params=[2, 3])
def bundle(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble") / "tiny"
    dimensions = request.param
    return load_bundle(tiny_bundle(folder, dimensions=dimensions, members=MEMBERS))


def images(bundle, n=2):
    rng = np.random.default_rng(0)
    return rng.random((n, 1, *[33] * bundle.card.dimensions), np.float32)


def outputs(network, batch):
    with torch.inference_mode():
        found = network.logits_and_features(torch.from_numpy(batch))
    return [t.numpy() for t in found]


def test_the_answer_is_the_mean_of_the_members(bundle):
    network = load_network(bundle)
    assert isinstance(network, Ensemble)
    batch = images(bundle)
    each = np.array([outputs(member, batch)[0] for member in network.members])
    logits, features = outputs(network, batch)
    assert np.ptp(each, axis=0).max() > 0.1
    np.testing.assert_allclose(logits, each.mean(axis=0), atol=1e-5)
    assert features.shape[1] == MEMBERS * 8
    pooled = features.reshape(*features.shape[:2], -1).mean(axis=2)
    found = bundle.heads().member_logits(pooled)
    np.testing.assert_allclose(found, each, atol=1e-4)


def test_its_map_adds_up_to_its_logit(bundle):
    logits, features = outputs(load_network(bundle), images(bundle, 1))
    pooled = features.reshape(*features.shape[:2], -1).mean(axis=2)
    heads = bundle.heads()
    weights = np.concatenate([heads.gradients(pooled, k) for k in np.eye(3)])
    assert weights.shape == (3, MEMBERS * 8)
    cells = np.einsum("kf,nf...->kn...", weights, features)
    bias = heads.biases.mean(axis=0)
    means = cells.reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(means + bias, logits[0], atol=1e-4)
    network = load_network(bundle)
    x = torch.from_numpy(images(bundle, 1))
    features = network.logits_and_features(x)[1].detach().requires_grad_()
    parts = features.chunk(MEMBERS, dim=1)
    pairs = zip(network.members, parts, strict=True)
    logits = torch.stack([m.fc(p.flatten(2).mean(dim=2)) for m, p in pairs]).mean(dim=0)
    (gradient,) = torch.autograd.grad(logits[0, 1], features)
    n = gradient[0, 0].numel()
    one = gradient.flatten(2)[0, :, 0].numpy() * n
    np.testing.assert_allclose(one, weights[1], atol=1e-5)


def test_openvino_runs_it(bundle):
    pytest.importorskip("openvino")
    batch = images(bundle)
    wanted = outputs(load_network(bundle), batch)
    for found, expected in zip(
        make_engine(bundle, "cpu").run(batch), wanted, strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.skipif(not exporting.find_spec("onnx"), reason="needs the extra [onnx]")
def test_it_is_exported(bundle, tmp_path):
    run = reopened(export_network(bundle, tmp_path, ["onnx"])["onnx"])
    batch = images(bundle, 3)
    found, wanted = run(batch), outputs(load_network(bundle), batch)
    np.testing.assert_allclose(found[0], wanted[0], atol=1e-3)
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-3, atol=1e-3)


def test_a_scan_is_classified_and_explained(bundle, tmp_path):
    scan = read_scan(write_nifti(phantom("oblique")[0], tmp_path / "scan.nii.gz"))
    answer = load_classifier(bundle.path, "cpu").classify(scan, saliency="gradcam")
    assert np.isfinite(answer.saliency.values).all()
    assert np.ptp(answer.saliency.values) > 0


def test_monai_runs_the_bundle(bundle, tmp_path):
    pytest.importorskip("fire", reason="needs the extra [monai]")
    pytest.importorskip("ignite", reason="needs the extra [monai]")
    scan = write_nifti(phantom("oblique")[0], tmp_path / "scan.nii.gz")
    theirs = run_monai(bundle.path, str(scan), tmp_path)
    ours = load_classifier(bundle.path, "cpu").classify(read_scan(scan))
    assert theirs == pytest.approx(list(ours.probabilities.values()), abs=1e-4)


def test_its_summary_counts_all_members(bundle):
    one = summarize(member_definition(bundle.network_def))
    all_of_them = summarize(bundle.network_def)
    assert all_of_them.layers == one.layers
    assert all_of_them.parameters == MEMBERS * one.parameters
    assert all_of_them.to_json()["members"] == MEMBERS
    assert total_stride(bundle.network_def) == (8,) * bundle.card.dimensions


def test_the_next_training_begins_with_the_first_member(bundle):
    loaded = load_pretrained(bundle.path, n_labels=3)
    assert loaded.definition == member_definition(bundle.network_def)
    begun = network_of(loaded).state_dict()
    first = load_network(bundle).members[0].state_dict()
    assert all(torch.equal(begun[name], tensor) for name, tensor in first.items())
    assert not loaded.report.missing
    assert len(loaded.report.unexpected) == (MEMBERS - 1) * len(first)


@pytest.mark.parametrize("members", [0, -1, 101, "2", None, 1.5])
def test_a_number_of_members_that_makes_no_sense_is_refused(members):
    wrong = ensemble_definition(tiny_definition(3, 2), 2) | {"members": members}
    with pytest.raises(ModelError, match="members"):
        build_network(wrong)


def test_one_member_is_a_network_as_ever():
    definition = tiny_definition(2, 2)
    assert ensemble_definition(definition, 1) == definition
    with pytest.raises(ModelError, match="ensemble"):
        build_resnet(ensemble_definition(definition, 2))


def test_weights_of_fewer_members_are_refused(bundle):
    more = replace(bundle, network_def={**bundle.network_def, "members": MEMBERS + 1})
    with pytest.raises(ModelError, match="do not fit"):
        load_network(more)


def test_mirror_images_along_three_axes_cannot_change_the_answer():
    assert [len(axes) for axes in mirrorings((0, 1, 2))] == [0, 1, 1, 1, 2, 2, 2, 3]
    torch.manual_seed(0)
    definition = tiny_definition(3, 2) | {"mirror_axis": [0, 1, 2]}
    network = build_resnet(definition).eval()
    x = torch.randn(1, 1, 17, 20, 24)
    with torch.no_grad():
        logits, features = network.logits_and_features(x)
        for axes in mirrorings((2, 3, 4))[1:]:
            flipped, again = network.logits_and_features(x.flip(axes))
            torch.testing.assert_close(flipped, logits, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(again.flip(axes), features, rtol=1e-4, atol=1e-5)
