"""Where a cell of the feature map lies, and what Grad-CAM's closed form equals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.bundles import spot_bundle
from support.phantoms import NAMES, phantom

from napari_resonance.classifier.definition import resnet_definition, total_stride
from napari_resonance.classifier.predict import Classifier, load_classifier
from napari_resonance.geometry import Grid, to_world
from napari_resonance.saliency.cam import gradcam
from napari_resonance.saliency.cells import as_volume, cell_affine

STEMS = {
    "stride 1": {"conv1_t_size": 3, "conv1_t_stride": 1, "no_max_pool": True},
    "pooled": {"conv1_t_size": 7, "conv1_t_stride": 1},
    "stride 2, pooled": {"conv1_t_size": 7, "conv1_t_stride": 2},
    "shortcut A": {"conv1_t_size": 7, "conv1_t_stride": 2, "shortcut_type": "A"},
    "dilated": {"conv1_t_size": 7, "conv1_t_stride": 2, "dilations": [1, 1, 2, 4]},
}


def _linear_network(definition: dict[str, Any]) -> Any:
    """Give a ResNet equal positive weights, so that gradients show its reach.

    A max pooling hands the gradient to one voxel of its window; a mean over the same
    windows shows all of them.
    """
    import torch

    from napari_resonance.classifier.network import build_network

    network = build_network(definition)
    width = definition["block_inplanes"][0]
    mean = torch.nn.Conv3d if definition["spatial_dims"] == 3 else torch.nn.Conv2d
    network.maxpool = mean(width, width, 3, stride=2, padding=1, groups=width)
    network.double().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            is_kernel = parameter.ndim > 2
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            if is_kernel:
                parameter.div_(parameter[0].numel())
    return network


def _center_of_reach(definition: dict[str, Any], axis: int, size: int) -> tuple:
    """Centre of mass of the input gradient of the middle cell, and that cell."""
    import torch

    network = _linear_network(definition)
    shape = [1] * definition["spatial_dims"]
    shape[axis] = size
    image = torch.ones((1, 1, *shape), dtype=torch.float64, requires_grad=True)
    features = network.logits_and_features(image)[1][0].sum(dim=0).flatten()
    cell = len(features) // 2
    features[cell].backward()
    reach = image.grad.flatten().numpy()
    assert reach[0] == reach[-1] == 0, "the image is too small to hold the reach"
    return float((reach * np.arange(size)).sum() / reach.sum()), cell


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("depth", [10, 18, 50])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_cell_is_centred_at_stride_times_its_index(dimensions, depth, stem):
    settings = {"n_labels": 2, "widths": (4, 8, 16, 32), **STEMS[stem]}
    definition = resnet_definition(depth, dimensions=dimensions, **settings)
    stride = total_stride(definition)[0]
    center, cell = _center_of_reach(definition, 0, 1025)
    assert cell > 10
    assert center == pytest.approx(stride * cell, abs=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_axis_has_its_own_stride(axis):
    definition = resnet_definition(
        10, dimensions=3, n_labels=2, widths=(4,) * 4, conv1_t_stride=[1, 2, 2]
    )
    assert total_stride(definition) == (16, 32, 32)
    center, cell = _center_of_reach(definition, axis, 1025)
    assert center == pytest.approx(total_stride(definition)[axis] * cell, abs=1e-6)


@pytest.mark.parametrize("size", [257, 260, 263])
def test_a_mirrored_network_is_centred_where_its_map_is_drawn(size):
    settings = {"n_labels": 2, "widths": (4,) * 4, **STEMS["stride 1"]}
    definition = resnet_definition(10, dimensions=3, mirror_axis=0, **settings)
    center, cell = _center_of_reach(definition, 0, size)
    grid = Grid((size, 1, 1), np.eye(4))
    affine = cell_affine(grid, (8, 8, 8), (-(-size // 8), 1, 1), mirror_axes=(0,))
    assert to_world(affine, (cell, 0, 0))[0] == pytest.approx(center, abs=1e-6)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("depth", [10, 18, 50])
def test_agrees_with_monai_on_the_raw_grid(dimensions, depth):
    import torch
    from monai.visualize import GradCAM

    from napari_resonance.classifier.network import build_network

    torch.manual_seed(depth)
    definition = resnet_definition(
        depth, dimensions=dimensions, n_labels=3, widths=(8, 8, 16, 16), conv1_t_size=5
    )
    network = build_network(definition).eval()
    image = torch.randn(1, 1, *[80] * dimensions)
    # MONAI would enlarge the map and turn high into low; its raw map is wanted.
    theirs = GradCAM(
        network,
        target_layers="layer4",
        upsampler=lambda _size: lambda map_: map_,
        postprocessing=lambda map_: map_,
    )(image, class_idx=1)
    with torch.no_grad():
        features = network.logits_and_features(image)[1].numpy()
    weights = network.fc.weight[1].detach().numpy()
    ours = np.maximum(gradcam(features, _gradients(features, weights)), 0)
    expected = theirs[:, 0].detach().numpy()
    assert expected.max() > 0
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-8)
    assert np.corrcoef(ours.ravel(), expected.ravel())[0, 1] >= 0.999


def _gradients(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Gradient of the mean logit: the weights over the number of cells."""
    cells = features.size // features.shape[1]
    return (weights / cells).reshape(1, -1, *[1] * (features.ndim - 2))


@pytest.mark.parametrize("shape", [(1, 6, 3, 4, 5), (7, 6, 3, 4)])
def test_values_add_up_to_the_logit_without_its_bias(shape):
    rng = np.random.default_rng(0)
    features = rng.random(shape, np.float32)
    weights = rng.random(6, np.float32) - np.float32(0.5)
    values = gradcam(features, _gradients(features, weights))
    space = (0, *range(2, features.ndim))
    logit = weights @ features.mean(axis=space)
    assert values.sum() == pytest.approx(logit, rel=1e-4)
    assert values.dtype == np.float32
    assert values.min() < 0


def test_slices_become_the_third_axis():
    maps = np.zeros((5, 3, 4), np.float32)
    maps[2, 1, 3] = 1
    affine = cell_affine(
        Grid((24, 32, 5), np.diag([2.0, 3.0, 7.0, 1.0])), (8, 8), (3, 4, 5)
    )
    volume = as_volume(maps)
    assert volume.shape == (3, 4, 5)
    peak = np.unravel_index(int(volume.argmax()), volume.shape)
    assert tuple(to_world(affine, peak)) == (16.0, 72.0, 14.0)


@pytest.fixture(scope="module", params=[2, 3])
def spot_finder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Classifier:
    folder = tmp_path_factory.mktemp("spot") / "bundle"
    return load_classifier(spot_bundle(folder, dimensions=request.param))


@pytest.mark.parametrize("name", NAMES)
def test_the_peak_lies_within_a_cell_of_the_bright_voxel(spot_finder, name):
    scan, bright_mm = phantom(name)
    saliency = spot_finder.classify(scan, saliency="gradcam", target="spot").saliency
    assert saliency is not None
    offset = np.linalg.inv(saliency.affine[:3, :3]) @ (saliency.peak_mm - bright_mm)
    # The nearest cell is at most half a cell away on each axis.
    assert np.abs(offset).max() <= 0.5 + 1e-6


def test_there_is_no_evidence_for_the_other_label(spot_finder: Classifier):
    scan, _ = phantom("oblique")
    saliency = spot_finder.classify(scan, saliency="gradcam", target="nothing").saliency
    assert saliency is not None
    assert saliency.is_empty
    assert saliency.values.min() < 0
