"""Files of weights: wrappings come off, and nothing in them can run."""

import os
import pickle
import re
from argparse import Namespace
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.networks import torchvision

from napari_resonance.classifier.checkpoint import read_checkpoint
from napari_resonance.classifier.resnet_names import resnet_tensors
from napari_resonance.errors import ModelError


def tensors():
    return {"conv1.weight": torch.ones(2, 1, 3, 3), "fc.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: t,
        lambda t: {"state_dict": t, "epoch": 3},
        lambda t: {"model": {"state_dict": t}},
        lambda t: {"net": t, "optimizer": {"lr": 0.1}},
        lambda t: {"state_dict": t, "best_acc1": torch.tensor(0.9)},
        lambda t: {"my_network": t, "optimizer": {"state": {0: tensors()}}},
        lambda t: {"model": t, "opt": {"state": {0: tensors()}}},
        lambda t: {"model": t, "last_optimizer_state": {"state": {0: tensors()}}},
    ],
)
def test_the_tensors_are_found_inside_what_training_wraps_around(tmp_path, wrap):
    path = tmp_path / "weights.pth"
    torch.save(wrap(tensors()), path)
    assert read_checkpoint(path).keys() == tensors().keys()


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "visual.model.i3_resnet.", "_orig_mod.net."]
)
def test_what_stands_in_front_of_the_network_is_cut(prefix):
    state = torchvision(18).state_dict()
    wrapped = {f"{prefix}{k}": v for k, v in state.items()} | {
        "text.token": torch.zeros(3, 3)
    }
    kept, others, layers = resnet_tensors(wrapped, "file")
    assert kept.keys() == state.keys()
    assert list(others) == layers == ["text.token"]


class Evil:
    def __reduce__(self):
        return (print, ("it ran",))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".bin"])
def test_a_pickle_does_not_run(tmp_path, capsys, suffix):
    path = tmp_path / f"evil{suffix}"
    torch.save({"state_dict": tensors(), "extra": Evil()}, path)
    with pytest.raises(ModelError, match="can run code") as caught:
        read_checkpoint(path)
    assert "safetensors" in caught.value.remedy
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match="can run code"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Evil(), protocol=0))
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(path)
    assert capsys.readouterr().out == ""


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def emptied(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("<html>Please log in</html>")


@pytest.mark.parametrize("damage", [cut, emptied, text])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damage_is_one_sentence(tmp_path, suffix, damage):
    path = tmp_path / f"weights{suffix}"
    torch.save(tensors(), path) if suffix == ".pth" else save_file(tensors(), path)
    damage(path)
    with pytest.raises(ModelError, match="cannot be read") as caught:
        read_checkpoint(path)
    assert caught.value.remedy


def test_damage_inside_an_old_file_is_one_sentence(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(tensors(), path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    key = re.findall(rb"\d{8,}", whole)[0]
    before, _, after = whole.rpartition(key)
    path.write_bytes(before + b"0" * len(key) + after)
    with pytest.raises(ModelError, match="cannot be read") as caught:
        read_checkpoint(path)
    assert "Get the file anew" in caught.value.remedy


def test_what_stands_in_the_place_of_weights_is_named(tmp_path):
    pointer = tmp_path / "weights.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\n")
    with pytest.raises(ModelError, match="pointer of Git LFS") as caught:
        read_checkpoint(pointer)
    assert "git lfs pull" in caught.value.remedy
    page = tmp_path / "weights.pth"
    page.write_text("\n<!DOCTYPE html><html>")
    with pytest.raises(ModelError, match="page or message of a server"):
        read_checkpoint(page)


def test_the_content_decides_not_the_name(tmp_path):
    pickled, safe = tmp_path / "a.safetensors", tmp_path / "b.pth"
    torch.save(tensors(), tmp_path / "a.pth")
    (tmp_path / "a.pth").rename(pickled)
    save_file(tensors(), safe)
    old = tmp_path / "old.safetensors"
    with old.open("wb") as file:
        torch.save(tensors(), file, _use_new_zipfile_serialization=False)
    for path in (pickled, safe, old):
        assert read_checkpoint(path).keys() == tensors().keys()


def test_the_class_that_is_not_unpickled_is_named(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": tensors(), "model": torch.nn.Linear(1, 1)}, path)
    with pytest.raises(ModelError, match=r"objects \(torch\.nn\.modules\.linear\.L"):
        read_checkpoint(path)
    torch.save({"state_dict": tensors(), "extra": Command()}, path)
    with pytest.raises(ModelError, match=r"objects \(\w+\.system\)"):
        read_checkpoint(path)


class Command:
    def __reduce__(self):
        return (os.system, ("exit 1",))


def test_the_options_of_a_script_do_no_harm(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": tensors(), "args": Namespace(lr=1)}, path)
    assert read_checkpoint(path).keys() == tensors().keys()


def test_a_length_that_begins_like_a_pickle_is_a_length(tmp_path):
    plain, path = tmp_path / "plain.safetensors", tmp_path / "odd.safetensors"
    save_file(tensors(), plain)
    content = plain.read_bytes()
    length = int.from_bytes(content[:8], "little")
    longer = length - length % 256 + 0x180  # safetensors pads with spaces, too
    header = content[8 : 8 + length].ljust(longer)
    path.write_bytes(longer.to_bytes(8, "little") + header + content[8 + length :])
    assert path.read_bytes().startswith(b"\x80")
    assert read_checkpoint(path).keys() == tensors().keys()


@pytest.mark.parametrize(
    ("suffix", "content", "kind"),
    [
        (".onnx", b"", "ONNX"),
        (".pth", b"\x08\x0a\x12\x07pytorch\x1a\x062.13.0", "ONNX"),
        (".pth", b"\x89HDF\r\n\x1a\n", "HDF5"),
        (".ts", b"", "TorchScript"),
        (".pt2", b"", r"torch\.export"),
    ],
)
def test_networks_in_other_formats_are_named(tmp_path, suffix, content, kind):
    path = tmp_path / f"network{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=kind) as caught:
        read_checkpoint(path)
    assert "state_dict" in caught.value.remedy


def test_an_archive_of_something_else_is_named(tmp_path):
    path = tmp_path / "weights.pth"
    with ZipFile(path, "w") as archive:
        archive.writestr("weights/version", "1")
    with pytest.raises(ModelError, match=r"torch\.save did not write"):
        read_checkpoint(path)
    for text in ("These are the weights of my network. " * 9, "weights\n"):
        path.write_text(text)
        with pytest.raises(ModelError, match=r"torch\.save did not write"):
            read_checkpoint(path)


@pytest.mark.parametrize("best", [np.float64(0.9), np.int64(3), np.bool_(True)])
def test_a_number_of_numpy_beside_the_weights_does_no_harm(tmp_path, best):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": tensors(), "best": best}, path)
    assert read_checkpoint(path).keys() == tensors().keys()


def odd_weights():
    weight = torchvision(18).state_dict()["layer1.0.conv1.weight"]
    yield weight * float("nan"), "NaN"
    yield weight + float("inf"), "infinite"
    yield (weight * float("nan")).to(torch.float8_e4m3fn), "NaN"
    yield weight.to_sparse(), "sparse"
    yield weight.to(torch.int8), "int8"
    yield weight.to(torch.complex64), "complex64"
    yield weight.to("meta"), "no values"


@pytest.mark.parametrize(("weight", "what"), list(odd_weights()))
def test_what_is_no_plain_finite_number_is_refused(weight, what):
    state = torchvision(18).state_dict()
    with pytest.raises(ModelError, match=what) as caught:
        resnet_tensors(state | {"layer1.0.conv1.weight": weight}, "file")
    assert "'layer1.0.conv1.weight'" in caught.value.message
    # Beside the network it does no harm.
    found = resnet_tensors(state | {"loss.weight": weight}, "file")
    assert list(found.others) == ["loss.weight"]


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 1}, torch.zeros(2)])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(ModelError, match="no tensors by name"):
        read_checkpoint(path)


def test_other_files_are_not_tried(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        read_checkpoint(tmp_path / "nothing.pth")
    (tmp_path / "weights.csv").write_bytes(b"x")
    with pytest.raises(ModelError, match="no file of weights"):
        read_checkpoint(tmp_path / "weights.csv")


def test_a_file_without_tensors_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({}, tmp_path / "empty.safetensors")
    with pytest.raises(ModelError, match="no tensors by name"):
        read_checkpoint(tmp_path / "empty.safetensors")
