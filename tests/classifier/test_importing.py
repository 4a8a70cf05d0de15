"""Weights from elsewhere become a bundle, once all that they do not tell is told."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.bundles import tiny_bundle
from support.networks import medicalnet, save_medicalnet, torchvision
from support.phantoms import phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.engines import load_network
from napari_resonance.classifier.importing import (
    ImportOptions,
    import_weights,
    read_network,
    read_recipe,
)
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import ModelError, PreprocessingError
from napari_resonance.preprocessing import Recipe
from napari_resonance.preprocessing.intensity import IMAGENET_MEAN, IMAGENET_STD
from napari_resonance.scan import Scan

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


def test_a_network_of_colour_photographs_answers_as_it_did(tmp_path, weights):
    network, path = weights
    recipe = Recipe(2, (("color", {}), ("ct_window", {"low": 0, "high": 255})))
    recipe = Recipe(2, (*recipe.steps, ("uint8_imagenet", {})))
    bundle, report = import_weights(path, tmp_path / "mine", complete(recipe=recipe))
    assert not report.adapted
    # A picture as Pillow opens it, prepared as torchvision's transforms do.
    picture = np.random.default_rng(0).integers(0, 256, (48, 56, 3)).astype(np.uint8)
    scan = Scan(picture.transpose(1, 0, 2)[:, :, None], np.eye(4), color=True)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    image = (torch.from_numpy(picture).float() / 255 - mean) / std
    with torch.no_grad():
        wanted = network(image.permute(2, 0, 1)[None])[0]
    found = load_classifier(bundle.path).classify(scan)
    assert found.warnings == ()
    logits = torch.tensor(list(found.logits), dtype=torch.float32)
    torch.testing.assert_close(logits, wanted, rtol=1e-3, atol=1e-4)


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
    with pytest.raises(ModelError, match="network is 2D, the recipe 3D"):
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


def logits_of(bundle, images):
    """Return what torch makes of a bundle's network."""
    with torch.no_grad():
        return load_network(bundle).eval()(images)


def saved(tmp_path, tensors, name="theirs.pth"):
    path = tmp_path / name
    torch.save(tensors, path)
    return path


def test_one_output_becomes_two_with_the_same_probability(tmp_path):
    network = torchvision(18, outputs=1)
    path = saved(tmp_path, network.state_dict())
    bundle, report = import_weights(path, tmp_path / "mine", complete())
    images = torch.randn(3, 3, 65, 75)
    found = logits_of(bundle, images).softmax(1)
    with torch.no_grad():
        wanted = network(images).sigmoid()[:, 0]
    torch.testing.assert_close(found[:, 1], wanted, rtol=0, atol=1e-6)
    assert "probability of 'malignant'" in report.adapted["fc.weight"]
    assert "fc.weight" not in report.matched
    with pytest.raises(ModelError, match="what its one output means") as caught:
        import_weights(path, tmp_path / "none", complete(labels=("one",)))
    assert "NEGATIVE,POSITIVE" in caught.value.remedy


def hidden(tmp_path, between):
    """Return a network that ends in two layers, and its file."""
    network = torchvision(18, outputs=2)
    layers = (torch.nn.Linear(32, 16), between, torch.nn.Linear(16, 2))
    network.fc = torch.nn.Sequential(*layers)
    return network, saved(tmp_path, {"state_dict": network.state_dict()})


@pytest.mark.parametrize(
    ("between", "module"),
    [("relu", torch.nn.ReLU()), ("none", torch.nn.Dropout())],
)
def test_a_head_of_two_layers_answers_as_it_did(tmp_path, between, module):
    network, path = hidden(tmp_path, module)
    with pytest.raises(ModelError, match="not known what these are for") as caught:
        import_weights(path, tmp_path / "mine", complete())
    assert "--between relu" in caught.value.remedy
    options = complete(between=between)
    bundle, report = import_weights(path, tmp_path / "mine", options)
    assert bundle.network_def.get("head_hidden") == (16 if between == "relu" else None)
    assert not report.unexpected
    images = torch.randn(3, 3, 65, 75)
    with torch.no_grad():
        wanted = network.eval()(images)
    torch.testing.assert_close(logits_of(bundle, images), wanted, rtol=0, atol=1e-5)


def test_a_hidden_head_and_one_output_go_together(tmp_path):
    network, _ = hidden(tmp_path, torch.nn.ReLU())
    network.fc[2] = torch.nn.Linear(16, 1)
    path = saved(tmp_path, network.state_dict())
    options = complete(between="relu")
    bundle, _ = import_weights(path, tmp_path / "mine", options)
    images = torch.randn(3, 3, 65, 75)
    with torch.no_grad():
        wanted = network.eval()(images).sigmoid()[:, 0]
    found = logits_of(bundle, images).softmax(1)[:, 1]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_layers_that_are_no_part_of_the_network_are_not_dropped(tmp_path, weights):
    network, _ = weights
    behind = {"head.weight": torch.ones(3, 2), "head.bias": torch.zeros(3)}
    state = {f"backbone.{k}": v for k, v in network.state_dict().items()}
    path = saved(tmp_path, state | behind)
    with pytest.raises(ModelError, match=r"otherwise without them: head\.weight"):
        import_weights(path, tmp_path / "mine", complete())
    # Who defines the network knows what belongs to it.
    first = import_weights(weights[1], tmp_path / "first", complete())[0]
    options = complete(definition=first.network_def)
    bundle, report = import_weights(path, tmp_path / "mine", options)
    assert bundle.weights_sha256 == first.weights_sha256
    assert report.unexpected == ("head.weight", "head.bias")


def test_a_layer_without_bias_gets_one_of_zeros(tmp_path, weights):
    state = weights[0].state_dict()
    del state["fc.bias"]
    bundle, report = import_weights(
        saved(tmp_path, state), tmp_path / "mine", complete()
    )
    assert "no bias" in report.adapted["fc.bias"]
    images = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        wanted = weights[0](images) - weights[0].fc.bias
    torch.testing.assert_close(logits_of(bundle, images), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("depth", [10, 18])
def test_what_began_from_medicalnet_keeps_its_strides_and_dilations(tmp_path, depth):
    network = medicalnet(depth)
    network.fc = torch.nn.Linear(32, 2)
    path = saved(tmp_path, network.state_dict())
    recipe = Recipe(3, (("zscore", {}),))
    with pytest.raises(ModelError, match="its dilations") as caught:
        import_weights(path, tmp_path / "a", complete(recipe=recipe, settings={}))
    assert "--like medicalnet-18" in caught.value.remedy
    # With strides alone, the report says what is assumed besides.
    _, report = import_weights(path, tmp_path / "a", complete(recipe=recipe))
    assert dict(report.assumed) == {"dilations": [1, 1, 1, 1]}
    options = complete(recipe=recipe, settings={}, like=f"medicalnet-{depth}")
    bundle, report = import_weights(path, tmp_path / "b", options)
    assert not report.assumed
    images = torch.randn(2, 1, 33, 41, 37)
    with torch.no_grad():
        wanted = network(images)
    torch.testing.assert_close(logits_of(bundle, images), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("like", "remedy"),
    [
        ("medicalnet-18", "imagenet-18"),  # of volumes
        ("imagenet-34", "imagenet-18"),  # of another depth
    ],
)
def test_what_cannot_have_begun_from_a_network_is_refused(
    tmp_path, weights, like, remedy
):
    options = complete(settings={}, like=like)
    with pytest.raises(ModelError, match=f"cannot have begun from {like}") as caught:
        import_weights(weights[1], tmp_path / "mine", options)
    assert caught.value.remedy == f"--like one of {remedy}"
    assert not (tmp_path / "mine").exists()


def test_a_backbone_can_be_trained_further(tmp_path):
    path = saved(tmp_path, medicalnet(10).state_dict())
    with pytest.raises(ModelError, match="not a whole classifier") as caught:
        import_weights(path, tmp_path / "mine", complete())
    assert f"resonance finetune LABELS --pretrained {path}" in caught.value.remedy


def test_files_beside_the_weights_are_named_with_what_they_should_be(tmp_path):
    missing = tmp_path / "nothing.json"
    with pytest.raises(ModelError, match="no such file") as caught:
        read_recipe(missing)
    assert caught.value.remedy.startswith("Give a recipe")
    with pytest.raises(ModelError, match="no such file") as caught:
        read_network(missing)
    assert caught.value.remedy.startswith("Give a network_def")
    missing.write_text('{"dimensions": 3, "steps": [{"step": "blur"}]}')
    with pytest.raises(PreprocessingError, match="'blur'") as caught:
        read_recipe(missing)
    assert caught.value.source == str(missing)


def test_a_place_that_cannot_be_written_is_named(tmp_path, weights):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "model"
    with pytest.raises(ModelError, match="cannot be written here") as caught:
        import_weights(weights[1], out, complete())
    assert caught.value.source == str(out)


def test_a_model_is_replaced_only_where_that_was_said(tmp_path, weights):
    out = tmp_path / "mine"
    import_weights(weights[1], out, complete(name="first"))
    with pytest.raises(ModelError, match="a model here already: first, of") as caught:
        import_weights(weights[1], out, complete(name="second"))
    assert "--overwrite" in caught.value.remedy
    assert load_bundle(out).card.name == "first"
    import_weights(weights[1], out, complete(name="second"), overwrite=True)
    assert load_bundle(out).card.name == "second"
