"""Weights from elsewhere become a bundle, once all that they do not tell is told."""

import json

import pytest
import torch
from safetensors.torch import save_file
from support.bundles import tiny_bundle
from support.networks import medicalnet, save_medicalnet, torchvision
from support.phantoms import phantom

from napari_resonance.classifier.importing import (
    ImportOptions,
    import_weights,
    read_network,
    read_recipe,
)
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import ModelError
from napari_resonance.preprocessing import Recipe

LABELS = ("benign", "malignant")
GREY = Recipe.from_json(
    {
        "dimensions": 2,
        "steps": [
            {"step": "orient", "code": "RAS"},
            {"step": "resample_shape", "shape": [65, 65, None]},
            {"step": "percentile"},
        ],
    }
)
COLOUR = Recipe(2, (*GREY.steps, ("uint8_imagenet", {})))
STRIDES = {"conv1_t_stride": 2, "no_max_pool": False}


@pytest.fixture
def weights(tmp_path):
    network = torchvision(18, outputs=2)
    path = tmp_path / "mine.pth"
    torch.save({"model": network.state_dict()}, path)
    return network, path


def complete(**changes):
    options = {"labels": LABELS, "recipe": COLOUR, "settings": STRIDES, **changes}
    return ImportOptions(**options)


def test_the_bundle_answers_as_the_network_did(tmp_path, weights):
    network, path = weights
    bundle, report = import_weights(path, tmp_path / "mine", complete(name="biopsy"))
    assert not report.missing
    assert bundle.card.name == "biopsy"
    assert bundle.card.labels == LABELS
    scan = phantom()[0]
    prediction = load_classifier(bundle.path).classify(scan)
    with torch.no_grad():
        slices = network(torch.from_numpy(COLOUR.apply(scan).array))
    torch.testing.assert_close(
        torch.tensor(list(prediction.logits), dtype=torch.float32),
        slices.mean(0),
        rtol=1e-3,
        atol=1e-4,
    )
    assert not prediction.sure


def test_a_grey_recipe_gets_summed_weights(tmp_path, weights):
    network, path = weights
    bundle, report = import_weights(path, tmp_path / "mine", complete(recipe=GREY))
    assert "sum" in report.adapted["conv1.weight"]
    assert bundle.network_def["n_input_channels"] == 1
    scan = phantom()[0]
    prediction = load_classifier(bundle.path).classify(scan)
    grey = torch.from_numpy(GREY.apply(scan).array).expand(-1, 3, -1, -1)
    with torch.no_grad():
        wanted = network(grey).mean(0)
    torch.testing.assert_close(
        torch.tensor(list(prediction.logits), dtype=torch.float32),
        wanted,
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"labels": ()}, "--labels with 2 names"),
        ({"labels": ("one",)}, "--labels with 2 names"),
        ({"recipe": None}, "--recipe"),
        ({"settings": {}}, "--stride 2"),
    ],
)
def test_what_is_not_known_is_asked_for_by_its_option(
    tmp_path, weights, changes, option
):
    with pytest.raises(ModelError, match="do not tell") as caught:
        import_weights(weights[1], tmp_path / "mine", complete(**changes))
    assert option in caught.value.remedy
    assert not (tmp_path / "mine").exists()


def test_all_that_is_missing_is_named_at_once(tmp_path, weights):
    with pytest.raises(ModelError) as caught:
        import_weights(weights[1], tmp_path / "mine", ImportOptions())
    assert all(
        option in caught.value.remedy
        for option in ("--labels", "--recipe", "--stride", "--network")
    )


def test_a_whole_definition_needs_no_strides(tmp_path, weights):
    bundle, _ = import_weights(weights[1], tmp_path / "first", complete())
    network = read_network(bundle.path / "configs" / "inference.json")
    assert network == bundle.network_def
    alone = tmp_path / "network.json"
    alone.write_text(json.dumps(network))
    options = complete(settings={}, definition=read_network(alone))
    again, _ = import_weights(weights[1], tmp_path / "second", options)
    assert again.weights_sha256 == bundle.weights_sha256


def test_a_backbone_is_no_classifier(tmp_path):
    path = save_medicalnet(medicalnet(10), tmp_path / "resnet_10.pth")
    with pytest.raises(ModelError, match=r"not a whole classifier: 'fc\.weight'"):
        import_weights(path, tmp_path / "mine", complete())


def test_parts_that_do_not_belong_together_are_refused(tmp_path, weights):
    volumes = Recipe(3, (("zscore", {}),))
    with pytest.raises(ModelError, match="do not belong together"):
        import_weights(weights[1], tmp_path / "mine", complete(recipe=volumes))
    state = weights[0].state_dict()
    state["conv1.weight"] = torch.zeros(4, 2, 7, 7)
    save_file(state, tmp_path / "two.safetensors")
    with pytest.raises(ModelError, match="takes 2 channels, the recipe makes 3"):
        import_weights(tmp_path / "two.safetensors", tmp_path / "mine", complete())


def test_a_recipe_comes_from_a_file_or_a_classifier(tmp_path):
    bundle = tiny_bundle(tmp_path / "bundle")
    recipe = read_recipe(bundle)
    assert read_recipe(bundle / "configs" / "metadata.json") == recipe
    alone = tmp_path / "recipe.json"
    alone.write_text(json.dumps(recipe.to_json()))
    assert read_recipe(alone) == recipe
