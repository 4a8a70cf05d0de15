"""Drawn pictures and shapes, and the networks that learned from them."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_resonance.classifier import download
from napari_resonance.classifier.catalogue import CATALOGUE, pretrained_entry
from napari_resonance.classifier.download import fetched_tensors, install_file
from napari_resonance.classifier.network import build_resnet
from napari_resonance.classifier.pretrained import load_pretrained
from napari_resonance.errors import ModelError, TrainingError
from napari_resonance.training.finetune import finetune
from napari_resonance.training.options import FinetuneOptions
from napari_resonance.training.plan import usual_start
from napari_resonance.training.synthetic import lesions, make, shapes

SYNTHETIC = [name for name, entry in CATALOGUE.items() if entry.is_synthetic]
DRAWN = {"synthetic-lesions": lesions, "synthetic-shapes": shapes}


def _drawn(name: str, n: int, seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    subject = make.SUBJECTS[name]
    return subject.draw(n, subject.size, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_what_is_drawn_depends_on_the_generator_alone(name):
    pictures, factors = _drawn(name, 24)
    side = make.SUBJECTS[name].size
    assert pictures.shape == (24, 1, *[side] * CATALOGUE[name].dimensions)
    assert factors.shape == (24, len(DRAWN[name].FACTORS))
    assert pictures.dtype == torch.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert torch.isfinite(factors).all()
    again = _drawn(name, 24)
    assert torch.equal(pictures, again[0])
    assert torch.equal(factors, again[1])
    assert not torch.equal(pictures, _drawn(name, 24, seed=6)[0])


def test_a_lesion_lies_where_its_factors_say():
    pictures, factors = _drawn("synthetic-lesions", 4000)
    found = dict(zip(lesions.FACTORS, factors.T, strict=True))
    without = found["present"] == 0
    assert 0.05 < without.float().mean() < 0.15
    of_lesion = factors[without][:, 1:14]
    assert torch.all(of_lesion == 0)
    # A dark, large lesion right of the middle makes the right half darker.
    clear = (found["contrast"] < -0.9) & (found["size"] > 0) & (found["halo"] == 0)
    half = pictures.shape[-1] // 2
    darker = pictures[..., half:].mean((1, 2, 3)) - pictures[..., :half].mean((1, 2, 3))
    assert np.corrcoef(darker[clear], found["x"][clear])[0, 1] < -0.5
    lower = pictures[..., half:, :].mean((1, 2, 3)) - pictures[..., :half, :].mean(
        (1, 2, 3)
    )
    level = clear & (found["depth"].abs() < 0.5) & (found["behind"] == 0)
    assert np.corrcoef(lower[level], found["y"][level])[0, 1] < -0.5


def test_a_shape_is_as_large_as_its_factors_say():
    drawn, factors = _drawn("synthetic-shapes", 32)
    found = dict(zip(shapes.FACTORS, factors.T, strict=True))
    counted = (drawn > 0.5).flatten(1).sum(1) + 1
    expected = (counted / drawn[0].numel()).log() + 4
    torch.testing.assert_close(found["volume"], expected, atol=1e-4, rtol=0)
    assert torch.all(found["shortest_axis"] <= found["longest_axis"])
    assert torch.all((found["nodules"] == 0) == (found["nodule_radius"] == 0))
    assert set((found["limbs"] + 2).tolist()) == {1, 2, 3}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("synthetic-lesions", {"x": 0.9, "y": 0.9, "size": 0.85, "behind": 0.85}),
        ("synthetic-shapes", {"volume": 0.95, "limbs": 0.75, "flatness": 0.9}),
    ],
)
def test_the_weights_tell_what_was_drawn(name, told):
    network = build_resnet(CATALOGUE[name].definition()).eval()
    network.load_state_dict(fetched_tensors(CATALOGUE[name]), strict=False)
    pictures, factors = _drawn(name, 192)
    with torch.inference_mode():
        answers = network(pictures)
    for factor, least in told.items():
        at = DRAWN[name].FACTORS.index(factor)
        assert np.corrcoef(answers[:, at], factors[:, at])[0, 1] > least


@pytest.mark.parametrize("name", SYNTHETIC)
def test_the_script_makes_weights_of_this_kind(name):
    said: list[str] = []
    device = torch.device("cpu")
    made = make.train(name, 2, 4, device, said.append, scaled_by=30)
    stored = load_file(download._WITH_THIS_PACKAGE / CATALOGUE[name].filename)
    assert {k: v.shape for k, v in made.items()} == {
        k: v.shape for k, v in stored.items()
    }
    assert all(v.dtype == torch.float16 for v in made.values())
    assert said[-1].startswith(f"{name}: 2 of 2 steps")
    assert not torch.equal(made["conv1.weight"], stored["conv1.weight"])


def _labelled(folder: Path, shape: tuple[int, ...], n: int) -> Path:
    """Write bright and dark scans, half of each."""
    folder.mkdir()
    random = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "patient"))
        for case in range(n):
            label = case % 2
            values = random.normal(400 + 300 * label, 60, shape).clip(0)
            image = nibabel.Nifti1Image(values.astype(np.int16), np.diag([1, 1, 1, 1]))
            nibabel.save(image, folder / f"{case}.nii.gz")
            writer.writerow((f"{case}.nii.gz", "bright" if label else "dark", case))
    return folder / "labels.csv"


@pytest.mark.parametrize(
    ("name", "shape", "rate", "flip", "axes"),
    [
        ("synthetic-lesions", (28, 24, 1), 1e-3, "x", [1]),
        ("synthetic-shapes", (20, 18, 16), 5e-4, "xyz", [0, 1, 2]),
    ],
)
def test_a_small_network_begins_with_them(tmp_path, name, shape, rate, flip, axes):
    labels = _labelled(tmp_path / "set", shape, n=16)
    options = FinetuneOptions(epochs=1, flip=flip, members=1, device="cpu")
    result = finetune(labels, tmp_path / "out", options=options)  # "auto" chooses it
    decisions = {d.name: d for d in result.decisions}
    assert f"begins as {name}" in decisions["network"].reason
    assert decisions["learning rate"].value == rate
    assert decisions["layer decay"].value == 1.0
    assert decisions["unfreeze"].value == "all"
    definition = result.bundle.network_def
    entry = CATALOGUE[name]
    assert definition["block_inplanes"] == list(entry.widths)
    assert definition["mirror_axis"] == axes
    # One epoch at a small rate leaves them near to where they began.
    made = load_file(result.bundle.weights_path)
    first, now = fetched_tensors(entry)["layer2.0.conv1.weight"].float(), made
    moved = now["layer2.0.conv1.weight"].float() - first
    assert 0 < moved.norm() < 0.2 * first.norm()


@pytest.mark.parametrize(
    ("shape", "n_patients", "name"),
    [
        ((28, 28), 600, "synthetic-lesions"),
        ((64, 48), 4999, "synthetic-lesions"),
        ((65, 28), 600, "none"),
        ((28, 28), 5000, "none"),
        ((32, 32, 20), 2999, "synthetic-shapes"),
        ((32, 32, 20), 3000, "none"),
        ((32, 96, 20), 30, "none"),
    ],
)
def test_small_inputs_of_few_patients_begin_with_them_unasked(shape, n_patients, name):
    assert usual_start(shape, n_patients) == name


def test_drawn_images_can_begin_volumes_and_not_the_reverse(tmp_path):
    loaded = load_pretrained("synthetic-lesions", dimensions=3)
    assert loaded.state["conv1.weight"].shape == (32, 1, 3, 3, 3)
    images = _labelled(tmp_path / "images", (16, 16, 1), n=16)
    with pytest.raises(TrainingError, match="3D network"):
        finetune(images, tmp_path / "no", pretrained="synthetic-shapes")


def test_they_fit_any_number_of_channels():
    loaded = load_pretrained("synthetic-lesions", in_channels=3, n_labels=4)
    assert loaded.state["conv1.weight"].shape == (32, 3, 3, 3)
    assert set(loaded.report.missing) == {"fc.weight", "fc.bias"}


def test_they_need_no_cache_and_are_checked(tmp_path, monkeypatch):
    entry = pretrained_entry("synthetic-shapes")
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    stored = download.stored_file(entry)
    assert stored is not None
    assert download.file_sha256(stored.path) == entry.sha256
    with pytest.raises(ModelError, match="come with this package"):
        install_file(entry, stored.path)
    damaged = tmp_path / entry.filename
    damaged.write_bytes(stored.path.read_bytes()[:-8] + bytes(8))
    monkeypatch.setattr(download, "_WITH_THIS_PACKAGE", tmp_path)
    with pytest.raises(ModelError, match="have changed") as caught:
        fetched_tensors(entry)
    assert "Install napari-resonance again" in caught.value.remedy
