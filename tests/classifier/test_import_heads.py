"""Heads of networks that were trained elsewhere, next to those networks themselves."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from support.networks import torchvision
from torch.nn import (
    GELU,
    BatchNorm1d,
    Dropout,
    LayerNorm,
    LeakyReLU,
    Linear,
    Module,
    ReLU,
    Sequential,
    SiLU,
    Tanh,
)

from napari_resonance.classifier.activations import (
    ACTIVATIONS,
    activation,
    torch_activation,
)
from napari_resonance.classifier.engines import load_network, make_engine
from napari_resonance.classifier.exporting import export_network
from napari_resonance.classifier.importing import ImportOptions, import_weights
from napari_resonance.errors import ModelError
from napari_resonance.preprocessing import Recipe

RECIPE = Recipe(2, (("resample_shape", {"shape": [65, 65, None]}), ("percentile", {})))
LEAKY = ["leakyrelu", {"negative_slope": 0.2}]


def file_of(head: Module, folder: Path) -> tuple[Module, Path]:
    """Return a network with this head, as after a training, and its file."""
    network = torchvision(18, outputs=2)
    torch.manual_seed(3)
    for module in head.modules():
        if isinstance(module, BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 4)
            if module.affine:
                torch.nn.init.normal_(module.weight)
                torch.nn.init.normal_(module.bias)
    network.fc = head
    path = folder / "theirs.pth"
    torch.save(network.state_dict(), path)
    return network.eval(), path


def told(between: str | None) -> ImportOptions:
    strides = {"conv1_t_stride": 2, "no_max_pool": False}
    recipe = Recipe(2, (*RECIPE.steps, ("uint8_imagenet", {})))
    return ImportOptions(("a", "b"), recipe, settings=strides, between=between)


HEADS = {
    "gelu": ([Linear(32, 16), GELU(), Dropout(), Linear(16, 2)], "gelu", 16),
    "silu": ([Linear(32, 16), SiLU(), Linear(16, 2)], "silu", 16),
    "tanh": ([Linear(32, 16), Tanh(), Linear(16, 2)], "tanh", 16),
    "leaky": ([Linear(32, 16), LeakyReLU(), Linear(16, 2)], "leakyrelu", 16),
    "leaky 0.2": ([Linear(32, 16), LeakyReLU(0.2), Linear(16, 2)], "leakyrelu:0.2", 16),
    "batch, relu": (
        [Linear(32, 16, bias=False), BatchNorm1d(16), ReLU(), Dropout(), Linear(16, 2)],
        "relu",
        16,
    ),
    "relu, batch": (
        [Linear(32, 16), ReLU(), BatchNorm1d(16), Linear(16, 2)],
        "relu",
        16,
    ),
    "relu, batch, dropout": (
        [Linear(32, 16), ReLU(), BatchNorm1d(16), Dropout(), Linear(16, 2)],
        "relu,batch",
        16,
    ),
    "dropout, batch, relu": (
        [Linear(32, 16), Dropout(), BatchNorm1d(16), ReLU(), Linear(16, 2)],
        "batch,relu",
        16,
    ),
    "batch at both ends": (
        [
            *(BatchNorm1d(32), Dropout(), Linear(32, 16), GELU()),
            *(Linear(16, 2), BatchNorm1d(2, affine=False)),
        ],
        "gelu",
        16,
    ),
    "three layers": (
        [
            *(Linear(32, 16), BatchNorm1d(16), SiLU(), Dropout()),
            *(Linear(16, 8), BatchNorm1d(8), SiLU(), Linear(8, 2)),
        ],
        "silu",
        [16, 8],
    ),
    "no activation": (
        [Linear(32, 16), BatchNorm1d(16), Dropout(), Linear(16, 8), Linear(8, 2)],
        "none",
        None,
    ),
    "one layer": ([BatchNorm1d(32), Dropout(), Linear(32, 2)], None, None),
}


@pytest.mark.parametrize("kind", HEADS)
def test_it_answers_as_it_did(tmp_path: Path, kind: str) -> None:
    layers, between, hidden = HEADS[kind]
    network, path = file_of(Sequential(*layers), tmp_path)
    bundle, report = import_weights(path, tmp_path / "mine", told(between))
    assert bundle.network_def.get("head_hidden") == hidden
    assert not report.unexpected
    contrasts = torch.tensor([0.1, 1, 5, 20])
    images = torch.randn(4, 3, 65, 75) * contrasts[:, None, None, None]
    with torch.no_grad():
        wanted = network(images)
        found = load_network(bundle).eval()(images)
    assert wanted.std(dim=0).min() > 1e-4  # the images differ for it
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    logits, features = make_engine(bundle, "cpu").run(images.numpy())
    np.testing.assert_allclose(logits, wanted.numpy(), rtol=0, atol=1e-4)
    pooled = features.mean(axis=(2, 3))
    by_head = bundle.heads().member_logits(pooled)[0]
    np.testing.assert_allclose(by_head, wanted.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["gelu", "three layers"])
def test_it_is_written_for_other_programs(tmp_path: Path, kind: str) -> None:
    """Writing compares with the network before the file is kept."""
    layers, between, _ = HEADS[kind]
    _, path = file_of(Sequential(*layers), tmp_path)
    bundle, _ = import_weights(path, tmp_path / "mine", told(between))
    formats = ["openvino", *(["onnx"] if find_spec("onnx") else [])]
    files = export_network(bundle, tmp_path / "out", formats)
    assert all(file.is_file() for file in files.values())
    inference = json.loads((bundle.path / "configs" / "inference.json").read_text())
    assert inference["network_def"] == bundle.network_def


@pytest.mark.parametrize(
    ("layers", "between", "words"),
    [
        ([Linear(32, 16), LayerNorm(16), GELU(), Linear(16, 2)], "gelu", "no stack of"),
        (HEADS["relu, batch, dropout"][0], "relu", "before the activation or after"),
        ([Linear(32, 16), BatchNorm1d(16), Linear(16, 2)], "relu", "leave no room"),
        (HEADS["relu, batch"][0], "batch,relu", "leave no room"),
        (HEADS["gelu"][0], "mish", "does not tell what lies between"),
        (HEADS["gelu"][0], "leakyrelu:much", "does not tell what lies between"),
        (HEADS["gelu"][0], "batch", "does not tell what lies between"),
        (HEADS["gelu"][0], None, "not a whole classifier"),
        (HEADS["one layer"][0], "relu", "no stack of"),
    ],
)
def test_what_cannot_be_taken_over_is_told(
    tmp_path: Path, layers: list[Module], between: str | None, words: str
) -> None:
    _, path = file_of(Sequential(*layers), tmp_path)
    with pytest.raises(ModelError, match=words) as caught:
        import_weights(path, tmp_path / "mine", told(between))
    assert caught.value.remedy
    assert not (tmp_path / "mine").exists()


def test_batch_normalisation_elsewhere_is_not_left_out(tmp_path: Path) -> None:
    network, path = file_of(Linear(32, 2), tmp_path)
    neck = {f"neck.{k}": v for k, v in BatchNorm1d(32).state_dict().items()}
    torch.save(network.state_dict() | neck, path)
    with pytest.raises(ModelError, match=r"otherwise without them: neck\.running_mean"):
        import_weights(path, tmp_path / "mine", told(None))


@pytest.mark.parametrize("name", [*ACTIVATIONS, LEAKY])
def test_values_and_slopes_are_those_of_torch(name: str | list[object]) -> None:
    x = torch.linspace(-6, 6, 500, dtype=torch.float64, requires_grad=True)
    y = torch_activation(name)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    ours, at = activation(name), x.detach().numpy()
    np.testing.assert_allclose(ours.value(at), y.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(ours.slope(at), slope.numpy(), atol=1e-12)
    np.testing.assert_allclose(ours.mean_slope(at, at), slope.numpy(), atol=1e-12)
    rise = ours.mean_slope(at, at[::-1]) * (at[::-1] - at)
    np.testing.assert_allclose(rise, ours.value(at[::-1]) - ours.value(at), atol=1e-9)
