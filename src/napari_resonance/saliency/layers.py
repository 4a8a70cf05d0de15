"""Feature maps and gradients of any layer of a network in torch, by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from napari_resonance.classifier.definition import (
    mirrorings,
    part_shapes,
    total_stride,
)
from napari_resonance.classifier.stages import parts_of
from napari_resonance.errors import SaliencyError
from napari_resonance.saliency.activation import check_cells
from napari_resonance.saliency.cells import as_volume, cell_affine
from napari_resonance.saliency.question import Array, Evidence, Question

# One more than a multiple of every stride that a ResNet may have.
_PROBE = 513

_VOXELS = "a method that looks at voxels: occlusion or a gradient method"


def layer_evidence(
    question: Question, cam: Callable[[Array, Array], Array]
) -> Evidence:
    """Return the class activation map of the layer that a question names."""
    network, device = question.torch_network()
    layer = str(question.options.layer)
    array = question.array
    definition = question.classifier.bundle.network_def
    stages = {part.name.partition(".")[0] for part in part_shapes(definition)[1:]}
    if layer in stages:  # known at once; shapes take torch a second to begin with
        stride: tuple[float, ...] = total_stride(definition, layer)
    else:
        stride = layer_stride(network, layer, array.shape[1], array.ndim - 2)
    score = question.score / np.float32(len(array))
    parts = []
    for part in parts_of(array):
        question.steps.begin(f"looking at {layer}")
        images = torch.from_numpy(part).to(device)
        pairs = activations(network, layer, images, torch.from_numpy(score).to(device))
        parts.append(_joined(pairs, cam, question.mirror_axes))
    question.forwards += 1
    volume = as_volume(np.concatenate(parts))
    affine = cell_affine(question.grid, stride, volume.shape, question.mirror_axes)
    return volume, affine


def _joined(
    pairs: Sequence[tuple[Array, Array]],
    cam: Callable[[Array, Array], Array],
    mirror_axes: Sequence[int],
) -> Array:
    """Return the sum of the maps of all runs through a layer."""
    maps = []
    seen = mirrorings(mirror_axes)
    for number, (features, gradients) in enumerate(pairs):
        found = cam(features, gradients)
        # A mirrored network looks at the image, then at each of its mirror images.
        flipped = seen[number % len(seen)]
        maps.append(np.flip(found, tuple(axis + 1 for axis in flipped)))
    return np.asarray(np.sum(maps, axis=0), np.float32)


def activations(
    network: torch.nn.Module, layer: str, images: torch.Tensor, score: torch.Tensor
) -> list[tuple[Array, Array]]:
    """Return a layer's features and the gradients of the score in them.

    Parameters
    ----------
    network
        Gives logits ``(N, labels)``.
    layer
        Name of a module of it whose output is a feature map.
    images
        ``(N, C, *spatial)``.
    score
        ``(labels,)``: logits @ score, summed over images, is differentiated.

    Returns
    -------
    list of (ndarray, ndarray)
        For each run through the layer ``(N, F, *cells)``, float32.

    Raises
    ------
    SaliencyError
        If there is no such layer, its output is no feature map or has one cell, or the
        features are not finite.

    """
    with _recorded(network, layer) as outputs, torch.enable_grad():
        # Weights may be frozen; the image is not, so that every layer has a gradient.
        logits = network(images.detach().requires_grad_())
        total = (logits @ score).sum()
        _check_maps(outputs, layer, images.ndim)
        gradients = torch.autograd.grad(total, outputs)
    pairs = []
    for features, gradient in zip(outputs, gradients, strict=True):
        check_cells(tuple(features.shape[2:]), repr(layer), _finer(network, layer))
        pair = [t.detach().float().cpu().numpy() for t in (features, gradient)]
        if not all(np.isfinite(values).all() for values in pair):
            raise SaliencyError(
                f"the feature map of the layer {layer!r} holds values that are not "
                "finite",
                remedy="The weights are damaged, or the scan holds absurd values",
            )
        pairs.append((pair[0], pair[1]))
    return pairs


def layer_stride(
    network: torch.nn.Module, layer: str, channels: int, dimensions: int
) -> tuple[float, ...]:
    """Return how many voxels lie between neighbouring cells of a layer, by axis.

    Looks at shapes only; for networks whose convolutions pad by half their kernel.
    """
    with torch.device("meta"), _recorded(network, layer) as outputs, torch.no_grad():
        state = {k: v.to("meta") for k, v in network.state_dict().items()}
        image = torch.empty(1, channels, *[_PROBE] * dimensions)
        torch.func.functional_call(network, state, (image,))
    _check_maps(outputs, layer, dimensions + 2)
    return tuple((_PROBE - 1) / (n - 1) for n in outputs[0].shape[2:])


def layer_names(network: torch.nn.Module) -> list[str]:
    """Return the names of the layers whose feature map can be used.

    Raises
    ------
    SaliencyError
        If the network has no convolution.

    """
    kinds = (torch.nn.Conv2d, torch.nn.Conv3d)
    names = [
        name
        for name, module in _members(network)[0].named_modules()
        if name and any(isinstance(part, kinds) for part in module.modules())
    ]
    if not names:
        raise SaliencyError(
            "the network has no convolution, and so no feature map to show",
            remedy=f"Use {_VOXELS}",
        )
    return names


@contextmanager
def _recorded(network: torch.nn.Module, layer: str) -> Iterator[list[torch.Tensor]]:
    """Keep what a layer puts out while the network runs."""
    names = layer_names(network)
    found = [dict(part.named_modules()).get(layer) for part in _members(network)]
    modules = [module for module in found if module is not None and layer]
    if not modules:
        outer = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
        inner = next((n for n in reversed(names) if "." in n), "")
        within = f", or a part of one, such as {inner}" if inner else ""
        raise SaliencyError(
            f"the network has no layer {layer!r}",
            remedy=f"Use {outer}{within}",
        )
    outputs: list[torch.Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> Any:
        if not isinstance(output, torch.Tensor):
            return output
        outputs.append(output)
        # What follows may write into its input (ReLU, the addition of a shortcut).
        return output.clone()

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _members(network: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the networks that answer together, each with layers of the same names."""
    members = getattr(network, "members", None)
    return list(members) if isinstance(members, torch.nn.ModuleList) else [network]


def _check_maps(outputs: Sequence[torch.Tensor], layer: str, ndim: int) -> None:
    if not outputs or any(output.ndim != ndim for output in outputs):
        raise SaliencyError(
            f"the layer {layer!r} gives no feature map",
            remedy="Choose a convolution, or a layer that is made of some",
        )


def _finer(network: torch.nn.Module, layer: str) -> str:
    """Return the names of the stages before a layer, the last one first."""
    outer = list(dict.fromkeys(name.split(".")[0] for name in layer_names(network)))
    stage = layer.split(".", maxsplit=1)[0]
    before = outer[: outer.index(stage)] if stage in outer else outer
    return ", ".join(repr(name) for name in reversed(before))
