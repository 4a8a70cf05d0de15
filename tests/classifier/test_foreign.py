"""MONAI bundles from elsewhere: literal networks load, expressions are named."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from monai.networks.nets import ResNet, resnet18
from support.networks import settled
from support.phantoms import phantom

from napari_resonance.classifier.foreign import network_of_config, read_foreign
from napari_resonance.classifier.importing import ImportOptions, import_weights
from napari_resonance.classifier.network import build_network
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import ModelError
from napari_resonance.preprocessing import Recipe

RECIPE = Recipe.from_json(
    {
        "dimensions": 3,
        "steps": [
            {"step": "orient", "code": "RAS"},
            {"step": "resample_shape", "shape": [32, 32, 32]},
            {"step": "zscore"},
        ],
    }
)
DEFINITION = {
    "_target_": "ResNet",
    "block": "basic",
    "layers": [1, 1, 2, 1],  # no depth that has a name
    "block_inplanes": "@widths",
    "spatial_dims": "@shape#0",
    "n_input_channels": 1,
    "num_classes": 2,
}
CONFIG = {
    "imports": ["$import glob"],
    "widths": [4, 4, 8, 8],
    "shape": ["@spatial", 64],
    "spatial": 3,
    "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
    "network_def": DEFINITION,
    "network": "$@network_def.to(@device)",
}
METADATA = {
    "version": "0.1.0",
    "network_data_format": {
        "outputs": {"pred": {"channel_def": {"0": "benign", "1": "malignant"}}}
    },
}


def theirs():
    torch.manual_seed(0)
    return settled(
        ResNet(
            block="basic",
            layers=[1, 1, 2, 1],
            block_inplanes=[4, 4, 8, 8],
            spatial_dims=3,
            n_input_channels=1,
            num_classes=2,
        )
    )


@pytest.fixture
def folder(tmp_path):
    """A bundle as others write them, with expressions all around the network."""
    folder = tmp_path / "theirs"
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(CONFIG))
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    torch.save(theirs().state_dict(), folder / "models" / "model.pt")
    return folder


def rewrite(folder, **changes):
    path = folder / "configs" / "inference.json"
    path.write_text(json.dumps({**CONFIG, **changes}))


def test_a_literal_network_loads_with_a_recipe_of_ones_own(folder, tmp_path):
    bundle, report = import_weights(
        folder, tmp_path / "ours", ImportOptions(recipe=RECIPE)
    )
    assert bundle.card.labels == ("benign", "malignant")
    assert not report.missing
    assert not report.unexpected
    scan = phantom()[0]
    prediction = load_classifier(bundle.path, "cpu").classify(scan)
    with torch.no_grad():
        wanted = theirs()(torch.from_numpy(RECIPE.apply(scan).array))[0]
    found = torch.tensor(prediction.logits, dtype=torch.float32)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_without_a_recipe_it_is_asked_for(folder, tmp_path):
    with pytest.raises(ModelError, match="how scans are prepared") as caught:
        import_weights(folder, tmp_path / "ours", ImportOptions())
    assert "--recipe" in caught.value.remedy
    assert "--labels" not in caught.value.remedy


@pytest.mark.parametrize(
    "value", ["$2 + 1", "@device", "%other.json#dims", "@nothing", "@shape#7"]
)
def test_an_expression_in_the_network_is_named_and_not_evaluated(
    folder, tmp_path, value
):
    rewrite(folder, network_def={**DEFINITION, "spatial_dims": value})
    with pytest.raises(ModelError, match="the network's 'spatial_dims' is an express"):
        import_weights(folder, tmp_path / "ours", ImportOptions(recipe=RECIPE))
    rewrite(folder, network_def="$monai.networks.nets.resnet18()")
    with pytest.raises(ModelError, match="the network is an expression") as caught:
        import_weights(folder, tmp_path / "ours", ImportOptions(recipe=RECIPE))
    assert "--network FILE" in caught.value.remedy
    # The values themselves, given by hand, are enough.
    definition = network_of_config(CONFIG, folder)
    options = ImportOptions(recipe=RECIPE, definition=definition)
    assert import_weights(folder, tmp_path / "ours", options)[0].card.dimensions == 3


def test_references_in_a_circle_end(folder):
    rewrite(folder, spatial="@spatial")
    with pytest.raises(ModelError, match="is an expression"):
        read_foreign(folder)


def test_monais_functions_are_their_networks():
    config = {
        "network_def": {
            "_target_": "monai.networks.nets.resnet18",
            "_requires_": "$print('never')",
            "pretrained": False,
            "spatial_dims": 2,
            "n_input_channels": 3,
            "num_classes": 5,
        }
    }
    definition = network_of_config(config, "somewhere")
    ours = build_network(definition)
    other = resnet18(spatial_dims=2, n_input_channels=3, num_classes=5)
    shapes = {k: v.shape for k, v in other.state_dict().items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == shapes
    ours.load_state_dict(other.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), other.eval()(x))


@pytest.mark.parametrize(
    "target", ["DenseNet121", "monai.networks.nets.resnet19", "os.system", None, 3]
)
def test_other_networks_are_named(target):
    config = {"network_def": {"_target_": target, "spatial_dims": 3}}
    with pytest.raises(ModelError, match="only ResNets are known"):
        network_of_config(config, "somewhere")


def test_what_is_missing_is_named(folder, tmp_path):
    import_to = tmp_path / "ours", ImportOptions(recipe=RECIPE)
    weights = folder / "models" / "model.pt"
    weights.rename(folder / "models" / "model.ts")
    with pytest.raises(ModelError, match=r"model\.ts is a program"):
        import_weights(folder, *import_to)
    config = folder / "configs" / "inference.json"
    config.rename(config.with_suffix(".yaml"))
    with pytest.raises(ModelError, match="YAML"):
        import_weights(folder, *import_to)
    config.with_suffix(".yaml").unlink()
    with pytest.raises(ModelError, match=r"no configs/inference\.json"):
        import_weights(folder, *import_to)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no MONAI bundle"):
        import_weights(tmp_path / "empty", *import_to)
    with pytest.raises(ModelError, match="defines no network"):
        network_of_config({"run": []}, "somewhere")


def test_a_model_of_ours_needs_no_import(saved, tmp_path):
    with pytest.raises(ModelError, match="model of this package already"):
        import_weights(saved, tmp_path / "ours", ImportOptions(recipe=RECIPE))


def test_loading_one_says_how_to_import_it(folder):
    with pytest.raises(ModelError, match="not made for this package") as caught:
        load_classifier(folder)
    assert "resonance models import" in caught.value.remedy
    (folder / "configs" / "metadata.json").unlink()
    with pytest.raises(ModelError, match="incomplete") as caught:
        load_classifier(folder)
    assert "resonance models import" in caught.value.remedy
    weights = folder / "models" / "model.pt"
    with pytest.raises(ModelError, match="a file, not a model") as caught:
        load_classifier(weights)
    assert f"resonance models import {weights}" in caught.value.remedy
    with pytest.raises(ModelError, match="network to begin with") as caught:
        load_classifier("medicalnet-10")
    assert "--pretrained medicalnet-10" in caught.value.remedy


def test_a_torchscript_program_is_no_weights(folder, tmp_path):
    weights = folder / "models" / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.13 still has it
        program = torch.jit.trace(theirs(), torch.zeros(1, 1, 32, 32, 32))
        torch.jit.save(program, weights)
    with pytest.raises(ModelError, match="TorchScript"):
        import_weights(folder, tmp_path / "ours", ImportOptions(recipe=RECIPE))


def test_named_arguments_are_literal_and_calls_are_not(folder, tmp_path):
    act = ["leakyrelu", {"negative_slope": "@slope"}]
    rewrite(folder, network_def={**DEFINITION, "act": act}, slope=0.2)
    to = tmp_path / "ours", ImportOptions(recipe=RECIPE)
    bundle, _ = import_weights(folder, *to)
    assert bundle.network_def["act"] == ["leakyrelu", {"negative_slope": 0.2}]
    assert build_network(bundle.network_def).act.negative_slope == 0.2
    for argument in ({"_target_": "os.system"}, {"inplace": "$True"}, {"$x": 1}):
        rewrite(folder, network_def={**DEFINITION, "act": ["relu", argument]})
        with pytest.raises(ModelError, match="is an expression"):
            import_weights(folder, *to, overwrite=True)


def test_an_error_about_the_network_names_the_file(folder, tmp_path):
    rewrite(folder, network_def={**DEFINITION, "foo": 1})
    with pytest.raises(ModelError, match="argument 'foo'") as caught:
        import_weights(folder, tmp_path / "ours", ImportOptions(recipe=RECIPE))
    assert caught.value.source == str(folder / "models" / "model.pt")
