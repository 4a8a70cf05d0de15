"""A classifier of colour scans: what is said of it, and what it makes of grey ones."""

import json

import numpy as np
import pytest
from support.bundles import tiny_bundle
from support.labelled import colored
from support.phantoms import phantom

from napari_resonance.classifier.bundle import METADATA, load_bundle
from napari_resonance.classifier.card_facts import card_facts
from napari_resonance.classifier.exporting import export_network, reopened
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import ModelError, ResonanceError
from napari_resonance.saliency.explain import ExplainOptions, explain
from napari_resonance.saliency.methods import METHODS
from napari_resonance.scan import Scan


@pytest.fixture(scope="module", params=[2, 3])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("colour") / "model"
    return tiny_bundle(folder, dimensions=request.param, modality=(), color=True)


def photograph(label="red"):
    return Scan(colored(label, 0, (40, 36, 20)), np.diag([1, 1, 2, 1]), color=True)


def test_the_card_says_that_it_sees_colour(model):
    bundle = load_bundle(model)
    assert card_facts(bundle)["Scans"].endswith("any modality, in colour, head")
    assert "network that sees colour." in (model / "docs/README.md").read_text()


def test_hue_counts_and_a_grey_scan_is_told(model):
    classifier = load_classifier(model, "cpu")
    red, green = (classifier.classify(photograph(c)) for c in ("red", "green"))
    assert np.abs(np.subtract(red.logits, green.logits)).max() > 0.1
    assert red.warnings == ()
    grey = classifier.classify(phantom()[0])
    assert "the scan is grey, and the model looks at colour" in grey.warnings


@pytest.mark.parametrize("method", METHODS)
def test_every_method_maps_where_the_network_looked(model, method):
    classifier = load_classifier(model, "cpu")
    window = 30.0 if METHODS[method].takes_window else None
    options = ExplainOptions(method, target="a", window_mm=window)
    values = explain(classifier, photograph(), options).saliency.values
    assert values.ndim == 3
    assert np.isfinite(values).all()
    assert np.abs(values).max() > 0


def test_other_programs_get_three_channels(model, tmp_path):
    bundle = load_bundle(model)
    files = export_network(bundle, tmp_path, ["openvino"])
    told = json.loads(files["description"].read_text())
    assert told["input"]["channels"] == 3
    assert told["recipe"]["steps"][0] == {"step": "color"}
    array = bundle.recipe.apply(photograph()).array
    logits = reopened(files["openvino"])(array)[0].mean(axis=0)
    found = load_classifier(model, "cpu").classify(photograph()).logits
    np.testing.assert_allclose(logits, list(found), rtol=1e-3, atol=1e-3)


def test_a_model_with_a_step_of_a_later_version_is_refused(model, tmp_path):
    # As versions that do not know the step 'color' refuse a model of colours.
    copy = tmp_path / "later"
    load = model / METADATA
    for file in model.rglob("*"):
        if file.is_file():
            (copy / file.relative_to(model)).parent.mkdir(parents=True, exist_ok=True)
            (copy / file.relative_to(model)).write_bytes(file.read_bytes())
    text = load.read_text().replace('"color"', '"hue"')
    (copy / METADATA).write_text(text)
    with pytest.raises(ResonanceError, match="'hue' is no preprocessing step") as found:
        load_bundle(copy)
    assert isinstance(found.value, ModelError)
    assert "Upgrade" in found.value.remedy
