"""Engines: the same numbers from each, the right one chosen, memory that runs out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import tiny_card

from napari_resonance.classifier import engines, openvino_engine
from napari_resonance.classifier.bundle import Bundle, save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.definition import resnet_definition
from napari_resonance.classifier.engines import (
    DeviceLimitError,
    TorchEngine,
    choose_device,
    make_engine,
)
from napari_resonance.classifier.network import build_network
from napari_resonance.errors import ModelError
from napari_resonance.preprocessing import Recipe

NETWORKS: dict[str, dict[str, Any]] = {
    "3D": {"depth": 10, "dimensions": 3},
    "3D mirrored": {
        "depth": 10,
        "dimensions": 3,
        "mirror_axis": 0,
        "no_max_pool": True,
    },
    "3D shortcut A": {"depth": 10, "dimensions": 3, "shortcut_type": "A"},
    "3D anisotropic": {"depth": 10, "dimensions": 3, "conv1_t_stride": [1, 2, 2]},
    "3D dilated": {"depth": 10, "dimensions": 3, "dilations": [1, 1, 2, 4]},
    "2D": {"depth": 18, "dimensions": 2, "in_channels": 3},
    "2D bottleneck": {"depth": 50, "dimensions": 2, "conv1_t_stride": 2},
}


def _bundle(folder: Path, settings: dict[str, Any]) -> Bundle:
    import torch

    torch.manual_seed(0)
    definition = resnet_definition(**settings, n_labels=3, widths=(8, 8, 16, 16))
    dimensions = settings["dimensions"]
    return save_bundle(
        folder / "bundle",
        network=build_network(definition),
        network_def=definition,
        recipe=Recipe.from_json({"dimensions": dimensions, "steps": []}),
        calibration=Calibration(),
        card=tiny_card(("a", "b", "c"), dimensions),
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_openvino_and_torch_agree(tmp_path, name):
    settings = NETWORKS[name]
    bundle = _bundle(tmp_path, settings)
    fast, plain = make_engine(bundle, "cpu"), TorchEngine(bundle, "cpu")
    assert (fast.name, plain.name) == ("openvino", "torch cpu")
    rng = np.random.default_rng(0)
    channels = settings.get("in_channels", 1)
    for n, side in ((1, 40), (5, 33)):
        space = (side, side + 8, side - 7)[: settings["dimensions"]]
        batch = rng.standard_normal((n, channels, *space)).astype(np.float32)
        for ours, theirs in zip(fast.run(batch), plain.run(batch), strict=True):
            assert ours.dtype == theirs.dtype == np.float32
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ["openvino", "torch cpu"])
def test_logits_are_linear_in_the_mean_of_the_features(bundle, engine):
    chosen = make_engine(bundle) if engine == "openvino" else TorchEngine(bundle, "cpu")
    batch = np.random.default_rng(1).random((2, 1, 33, 33, 33), np.float32)
    logits, features = chosen.run(batch)
    expected = bundle.heads().member_logits(features.mean(axis=(2, 3, 4)))[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_torch_where_openvino_is_missing(bundle, monkeypatch):
    monkeypatch.setattr(openvino_engine, "is_installed", lambda: False)
    assert make_engine(bundle, "cpu").name == "torch cpu"


def test_an_unknown_device_is_refused(bundle):
    with pytest.raises(ModelError, match="no device 'gpu'") as caught:
        make_engine(bundle, "gpu")
    assert "auto, cpu, cuda, mps" in str(caught.value)


def test_a_precision_that_the_device_lacks_is_refused(bundle):
    assert make_engine(bundle, "cpu", "32-true").name == "openvino"
    for precision in ("16-mixed", "bf16"):
        with pytest.raises(ModelError, match=f"no precision '{precision}'") as caught:
            make_engine(bundle, "cpu", precision)
        assert "Use auto or 32-true" in str(caught.value)
    assert engines.precisions_of("cuda") == engines.PRECISIONS


def test_precision_decides_what_is_cast(bundle, monkeypatch):
    """On a processor in the guise of a card: which casts are asked for, not done."""
    asked = []

    def forward(_self: Any, batch: Any, *, mixed: bool) -> Any:
        asked.append(mixed)
        return np.zeros((len(batch), 3)), np.zeros((len(batch), 16, 2, 2, 2))

    monkeypatch.setattr(TorchEngine, "_forward", forward)
    for precision in engines.PRECISIONS:
        engine = TorchEngine(bundle, "cpu", precision)
        engine.run(np.zeros((1, 1, 33, 33, 33), np.float32))
    assert asked == [False, False, False]
    asked.clear()
    monkeypatch.setattr(engines, "_on_device", lambda network, _device: network)
    for precision in engines.PRECISIONS:
        engine = TorchEngine(bundle, "cuda", precision)
        engine.run(np.zeros((1, 1, 33, 33, 33), np.float32))
    assert asked == [True, False, True]


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_missing_device_is_refused(monkeypatch, device):
    monkeypatch.setattr(engines, "_is_there", lambda _device: False)
    with pytest.raises(ModelError, match=f"no device '{device}'"):
        choose_device(device)


@pytest.mark.parametrize(
    ("there", "chosen"),
    [(("cuda", "mps"), "cuda"), (("mps",), "mps"), ((), "cpu")],
)
def test_auto_takes_the_first_that_is_there(monkeypatch, there, chosen):
    monkeypatch.setattr(engines, "_is_there", lambda device: device in there)
    assert choose_device("auto") == chosen


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_card_is_not_looked_for(monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(engines, "version", lambda _package: "2.13.0")
    monkeypatch.setattr(engines, "_LINUX_DRIVERS", (sys.executable,))
    assert choose_device("auto") != "cuda"


def test_a_driver_is_needed(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(engines, "version", lambda _package: "2.13.0")
    monkeypatch.setattr(engines, "_LINUX_DRIVERS", ("/nowhere",))
    assert not engines._may_have_cuda()
    monkeypatch.setattr(engines, "_LINUX_DRIVERS", ("/nowhere", sys.executable))
    assert engines._may_have_cuda()
    monkeypatch.setattr(engines, "version", lambda _package: "2.13.0+cpu")
    assert not engines._may_have_cuda()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("torch.OutOfMemoryError", "too little memory"),
        ("RuntimeError", "too little memory"),
        ("NotImplementedError", "lacks an operation"),
    ],
)
def test_what_a_device_lacks_is_named(bundle, monkeypatch, error, words):
    import torch

    engine = TorchEngine(bundle, "cpu")
    kinds = {k.__name__: k for k in (RuntimeError, NotImplementedError)}
    kind = kinds.get(error, torch.OutOfMemoryError)

    def fail(*_args: Any, **_settings: Any) -> Any:
        raise kind("MPS backend out of memory")

    monkeypatch.setattr(engine, "_forward", fail)
    with pytest.raises(DeviceLimitError, match=words):
        engine.run(np.zeros((1, 1, 33, 33, 33), np.float32))


def test_other_failures_keep_their_name(bundle):
    engine = TorchEngine(bundle, "cpu")
    with pytest.raises(RuntimeError, match="channels"):
        engine.run(np.zeros((1, 2, 33, 33, 33), np.float32))


def test_weights_of_another_network_are_refused(bundle):
    from dataclasses import replace

    other = {**bundle.network_def, "block_inplanes": [4, 4, 4, 8]}
    with pytest.raises(ModelError, match="do not fit"):
        engines.load_network(replace(bundle, network_def=other))


def _has_cuda() -> bool:
    return engines._may_have_cuda() and engines._is_there("cuda")


@pytest.mark.skipif(not _has_cuda(), reason="needs a graphics card")
@pytest.mark.parametrize("name", NETWORKS)
def test_cuda_agrees_within_mixed_precision(tmp_path, name):
    settings = NETWORKS[name]
    bundle = _bundle(tmp_path, settings)
    fast, plain = make_engine(bundle, "auto"), TorchEngine(bundle, "cpu")
    assert fast.name == "torch cuda"
    shape = (3, settings.get("in_channels", 1), *[48] * settings["dimensions"])
    batch = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for ours, theirs in zip(fast.run(batch), plain.run(batch), strict=True):
        spread = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, atol=1e-2 * spread)


@pytest.mark.skipif(not _has_cuda(), reason="needs a graphics card")
@pytest.mark.parametrize("name", NETWORKS)
def test_cuda_agrees_in_32_bits_and_leaves_the_settings(tmp_path, name):
    import torch

    settings = NETWORKS[name]
    bundle = _bundle(tmp_path, settings)
    exact, plain = make_engine(bundle, "cuda", "32-true"), TorchEngine(bundle, "cpu")
    shape = (3, settings.get("in_channels", 1), *[48] * settings["dimensions"])
    batch = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    before = torch.backends.cudnn.allow_tf32
    for ours, theirs in zip(exact.run(batch), plain.run(batch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.skipif(not _has_cuda(), reason="needs a graphics card")
def test_values_beyond_float16_are_run_in_float32(bundle):
    batch = np.full((1, 1, 33, 33, 33), 1e6, np.float32)
    logits, _ = TorchEngine(bundle, "cuda").run(batch)
    expected, _ = TorchEngine(bundle, "cpu").run(batch)
    np.testing.assert_allclose(logits, expected, rtol=1e-3)


@pytest.mark.skipif(not _has_cuda(), reason="needs a graphics card")
def test_a_card_that_is_full_says_so(bundle):
    import torch

    engine = TorchEngine(bundle, "cuda")
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(DeviceLimitError):
            engine.run(np.zeros((1, 1, 256, 256, 256), np.float32))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
