"""Maps depend on learnt weights, repeat where nothing changed, and can be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.bundles import spot_bundle, tiny_bundle
from support.phantoms import phantom

from napari_resonance.classifier.predict import Classifier, load_classifier
from napari_resonance.errors import CancelledError, SaliencyError
from napari_resonance.geometry import Grid, resample
from napari_resonance.reading import read_scan
from napari_resonance.saliency import explain as explaining
from napari_resonance.saliency.explain import ExplainOptions, Explanation, explain
from napari_resonance.saliency.methods import METHODS
from napari_resonance.saliency.sanity import STAGES, sanity
from napari_resonance.saliency.similarity import spearman, ssim
from napari_resonance.saliency.stability import (
    agreement,
    of_members,
    of_methods,
    stability,
)
from napari_resonance.samples import sample_path

Asked = tuple[Classifier, Explanation]


@pytest.fixture(scope="module", params=[2, 3])
def tiny(request, tmp_path_factory) -> Asked:
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    classifier = load_classifier(tiny_bundle(folder, dimensions=request.param))
    return classifier, explain(classifier, phantom("oblique")[0])


@pytest.fixture(scope="module")
def embedded() -> Asked:
    classifier = load_classifier("mr-sequence")
    return classifier, explain(classifier, read_scan(sample_path("icbm-t1")))


def test_the_network_of_the_classifier_is_left_alone(tiny: Asked):
    classifier, explained = tiny
    before = classifier.torch_network()[0].conv1.weight.clone()
    found = sanity(classifier, explained, draws=1)
    assert [row.stage for row in found.cascade] == list(STAGES)
    again = classifier.torch_network()[0].conv1.weight
    np.testing.assert_array_equal(before.numpy(), again.numpy())
    assert abs(found.cascade[-1].ssim) <= 1


def test_a_map_of_the_scan_alone_fails(tiny: Asked, monkeypatch):
    classifier, explained = tiny

    def edges(question):
        array = question.array
        volume = array[0, 0] if array.ndim == 5 else np.moveaxis(array[:, 0], 0, -1)
        slope = np.abs(np.diff(volume, axis=0, prepend=0))
        return slope.astype(np.float32), question.grid.affine

    monkeypatch.setitem(explaining._MAKERS, "gradcam", edges)
    explained = explain(classifier, phantom("oblique")[0])
    found = sanity(classifier, explained, draws=1)
    assert not found.passed
    assert min(row.spearman for row in found.cascade) == pytest.approx(1)
    assert "hardly depends" in found.sentence


@pytest.mark.parametrize("method", METHODS)
def test_the_methods_that_are_offered_pass_on_the_embedded_model(
    embedded: Asked, method: str
):
    classifier, explained = embedded
    # A wide window takes few runs of the network.
    options = replace(explained.options, method=method, window_mm=60.0)
    explained = replace(explained, options=options)
    saliency = of_methods(classifier, explained, [method])[method]
    asked = replace(explained, saliency=saliency)
    found = sanity(classifier, asked, draws=2)
    assert found.passed, found.sentence
    assert found.method == method


@pytest.mark.parametrize("measure", [sanity, stability])
def test_it_ends_when_asked_to(tiny: Asked, measure):
    told: list[str] = []
    with pytest.raises(CancelledError):
        measure(
            *tiny,
            progress=lambda _n, _of, text: told.append(text),
            should_stop=lambda: len(told) > 1,
        )
    assert len(told) == 2


@pytest.mark.parametrize("measure", [sanity, stability])
def test_a_map_without_places_is_not_measured(tiny: Asked, measure):
    classifier, explained = tiny
    flat = replace(explained.saliency, values=np.zeros_like(explained.saliency.values))
    with pytest.raises(SaliencyError, match="the same everywhere"):
        measure(classifier, replace(explained, saliency=flat))


def test_a_shifted_scan_has_its_spot_at_the_same_millimetre(tmp_path: Path):
    scan, _ = phantom("oblique")
    finder = load_classifier(spot_bundle(tmp_path / "b"))
    explained = explain(finder, scan, ExplainOptions(target="spot"))
    found = stability(finder, explained)
    assert len(found.repeats) == 8
    cell = np.linalg.norm(explained.saliency.affine[:3, :3], axis=0).max()
    for repeat in found.repeats:
        assert repeat.peak_mm <= 1.01 * cell, repeat
    noisy = [r for r in found.repeats if "noise" in r.change]
    assert noisy[0].peak_mm == 0
    assert found.to_json()["repeats"][0]["change"] == (
        "shifted by +1 voxel along axis 1"
    )


def test_methods_that_agree_and_one_that_does_not(tiny: Asked):
    classifier, explained = tiny
    maps = of_methods(classifier, explained, ["gradcam", "hirescam"])
    found = agreement(maps)
    # At the last feature map the two are the same.
    assert found.spearman["gradcam", "hirescam"] == pytest.approx(1)
    assert found.spread.values.max() < 1e-4
    grid = Grid(*explained.saliency.extent)
    assert found.spread.values.shape == grid.shape
    turned = replace(maps["gradcam"], values=-maps["gradcam"].values)
    apart = agreement(maps | {"turned": turned})
    assert apart.spearman["gradcam", "turned"] == pytest.approx(-1)
    strongest = np.abs(resample(turned.values, turned.affine, grid, antialias=False))
    assert apart.spread.values.flat[strongest.argmax()] == apart.spread.values.max()
    with pytest.raises(SaliencyError, match="two or more"):
        agreement({"one": turned})


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_maps_of_members_add_up_to_that_of_the_ensemble(tmp_path, dimensions: int):
    folder = tiny_bundle(tmp_path / "b", dimensions=dimensions, members=2)
    classifier = load_classifier(folder)
    explained = explain(classifier, phantom("oblique")[0])
    maps = of_members(classifier, explained)
    assert list(maps) == ["member 1", "member 2"]
    values = [saliency.values for saliency in maps.values()]
    assert not np.allclose(*values)
    whole = explained.saliency.values
    np.testing.assert_allclose(
        np.mean(values, axis=0), whole, atol=1e-5 * np.abs(whole).max()
    )
    assert agreement(maps).spread.values.max() > 0
    assert len(sanity(classifier, explained, draws=1).cascade) == 6


def test_a_single_network_has_no_members(tiny: Asked):
    with pytest.raises(SaliencyError, match="members"):
        of_members(*tiny)


def test_similarity_knows_same_opposite_and_none():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(12, 13, 14)).astype(np.float32)
    assert spearman(one, 3 * one + 1) == pytest.approx(1)
    assert spearman(one, -one) == pytest.approx(-1)
    assert spearman(one, np.ones_like(one)) == 0
    assert ssim(one, 5 * one) == pytest.approx(1)
    assert ssim(one, -one) < -0.2
    assert abs(ssim(one, rng.normal(size=one.shape).astype(np.float32))) < 0.2
    assert ssim(one[:, :, :1], one[:, :, :1]) == pytest.approx(1)
    assert ssim(one[:2, :1, :1], one[:2, :1, :1]) == 1
