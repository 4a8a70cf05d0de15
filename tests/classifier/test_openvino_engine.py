"""OpenVINO: conversions shipped, cached and made anew; nothing loaded, nothing told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_resonance.classifier import openvino_engine
from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.engines import TorchEngine
from napari_resonance.classifier.files import file_sha256
from napari_resonance.errors import ModelError

BATCH = np.random.default_rng(0).random((1, 1, 33, 33, 33), np.float32)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(_bundle: object) -> None:
        pytest.fail("the network was converted again")

    monkeypatch.setattr(openvino_engine, "convert", convert)


def _cached(cache: Path) -> list[str]:
    return sorted(p.name for p in cache.rglob("*") if p.is_file())


def test_a_conversion_is_kept(cache, bundle, monkeypatch):
    first = openvino_engine.load_engine(bundle).run(BATCH)
    assert _cached(cache) == ["model.bin", "model.xml"]
    assert [p.name for p in (cache / "openvino").iterdir()] == [
        openvino_engine.conversion_key(bundle)
    ]
    monkeypatch.setattr(openvino_engine, "convert", pytest.fail)
    second = openvino_engine.load_engine(bundle).run(BATCH)
    np.testing.assert_array_equal(first[0], second[0])


@pytest.mark.usefixtures("no_conversion")
def test_a_shipped_conversion_is_used(cache, converted):
    bundle = load_bundle(converted)
    logits, _ = openvino_engine.load_engine(bundle).run(BATCH)
    expected, _ = TorchEngine(bundle, "cpu").run(BATCH)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert not cache.exists()


@pytest.mark.parametrize("name", openvino_engine.MODEL_FILES)
def test_a_changed_conversion_is_not_used(cache, converted, copy_of, name):
    folder = copy_of(converted)
    changed = folder / "models" / "openvino" / name
    changed.write_bytes(changed.read_bytes() + b" ")
    openvino_engine.load_engine(load_bundle(folder))
    assert _cached(cache) == ["model.bin", "model.xml"]


@pytest.mark.parametrize("kept", ["shipped", "cached", "never"])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused(
    cache, converted, copy_of, monkeypatch, kept, kind
):
    # As versions left them that did not look: converted, with NaN become 0.
    folder = copy_of(converted)
    bundle = load_bundle(folder)
    weights = load_file(bundle.weights_path)
    name = "layer2.0.conv1.weight"
    weights[name] = weights[name].to(kind)
    weights[name][0, 0, 0, 0, 0] = torch.nan
    save_file(weights, bundle.weights_path)
    bundle = replace(bundle, weights_sha256=file_sha256(bundle.weights_path))
    key = openvino_engine.conversion_key(bundle)
    shipped = folder / "models" / "openvino"
    if kept == "shipped":
        bundle = replace(bundle, converted={**bundle.converted, "made_from": key})
    elif kept == "cached":
        shutil.copytree(shipped, cache / "openvino" / key)
    with pytest.raises(ModelError, match="not finite") as caught:
        openvino_engine.load_engine(bundle)
    assert caught.value.source == str(bundle.weights_path)


def test_a_conversion_of_another_network_is_not_used(cache, converted):
    bundle = load_bundle(converted)
    mirrored = replace(bundle, network_def={**bundle.network_def, "mirror_axis": 0})
    logits, _ = openvino_engine.load_engine(mirrored).run(BATCH)
    expected, _ = TorchEngine(mirrored, "cpu").run(BATCH)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert _cached(cache) == ["model.bin", "model.xml"]


@pytest.mark.parametrize(("name", "content"), [("xml", b"<net"), ("bin", b"\0" * 9)])
def test_a_damaged_cache_is_made_anew(cache, bundle, name, content):
    expected, _ = openvino_engine.load_engine(bundle).run(BATCH)
    damaged = next(cache.rglob(f"model.{name}"))
    damaged.write_bytes(content)
    logits, _ = openvino_engine.load_engine(bundle).run(BATCH)
    np.testing.assert_array_equal(logits, expected)
    assert damaged.read_bytes() != content


def test_a_cache_that_cannot_be_written_is_done_without(cache, bundle):
    cache.write_text("a file where the folder should be")
    logits, _ = openvino_engine.load_engine(bundle).run(BATCH)
    assert np.isfinite(logits).all()
    assert cache.is_file()


def test_other_weights_have_another_place(saved, saved_flat):
    keys = {openvino_engine.conversion_key(load_bundle(f)) for f in (saved, saved_flat)}
    assert len(keys) == 2


CLASSIFY = """
    import sys
    import numpy as np
    from napari_resonance import Scan, load_classifier

    voxels = np.random.default_rng(0).integers(0, 99, (24, 20, 16), np.int16)
    scan = Scan(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), modality="MR")
    classifier = load_classifier(sys.argv[1])
    assert classifier.classify(scan, saliency="gradcam").saliency is not None
    assert classifier.device == "openvino", classifier.device
"""


def _run(code: str, *arguments: object, **environment: str) -> str:
    """Run code in a fresh Python without a graphics card; return what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_classifying_loads_neither_torch_nor_monai(converted):
    heavy = ("torch", "monai", "sklearn", "pandas", "matplotlib", "openvino_telemetry")
    code = f"{CLASSIFY}\n    print(*[n for n in {heavy} if sys.modules.get(n)])"
    assert _run(code, converted).split() == []


def test_neither_does_it_from_the_cache(cache, saved):
    _run(CLASSIFY, saved, RESONANCE_CACHE=str(cache))
    code = f"{CLASSIFY}\n    print('torch' in sys.modules, 'monai' in sys.modules)"
    assert _run(code, saved, RESONANCE_CACHE=str(cache)).split() == ["False", "False"]


WATCH = """
    import sys

    def watch(event, arguments):
        if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
            print("connection", arguments[-1], file=sys.stderr)
            raise SystemExit(9)

    sys.addaudithook(watch)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sets HOME")
def test_openvino_tells_nobody(tmp_path, cache, saved):
    home = tmp_path / "home"
    home.mkdir()
    gone = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), "")
    # monai loads matplotlib, which has files of its own.
    elsewhere = {"MPLCONFIGDIR": str(tmp_path), "RESONANCE_CACHE": str(cache)}
    # Converting, saving and running are the three things that OpenVINO would report.
    _run(WATCH + CLASSIFY, saved, HOME=str(home), **elsewhere, **gone)
    assert list(home.rglob("*")) == []
    assert _cached(cache) == ["model.bin", "model.xml"]
