"""A network as data: the literal ``network_def`` of a MONAI Bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from napari_resonance.classifier.arguments import check_arguments
from napari_resonance.errors import ModelError

TARGET = "napari_resonance.classifier.network.ResNet"
ENSEMBLE = "napari_resonance.classifier.network.Ensemble"
_KNOWN_TARGETS = (
    TARGET,
    ENSEMBLE,
    "monai.networks.nets.ResNet",
    "monai.networks.nets.resnet.ResNet",
)
MOST_MEMBERS = 100
"""Of an ensemble."""

# Blocks per stage of the depths that the literature and MONAI's presets know.
_STAGES = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
    200: ("bottleneck", (3, 24, 36, 3)),
}
DEPTHS = tuple(_STAGES)


def stages(depth: int) -> tuple[str, tuple[int, int, int, int]]:
    """Return the kind of block, and how many of them each of the four stages has.

    Raises
    ------
    ModelError
        If the depth is unknown.

    """
    if depth not in _STAGES:
        raise ModelError(
            f"there is no ResNet of depth {depth}",
            remedy=f"Choose one of {', '.join(map(str, DEPTHS))}",
        )
    return _STAGES[depth]


def resnet_definition(
    depth: int,
    *,
    dimensions: int,
    n_labels: int,
    in_channels: int = 1,
    widths: Sequence[int] = (64, 128, 256, 512),
    **settings: Any,
) -> dict[str, Any]:
    """Return the ``network_def`` of a ResNet.

    Parameters
    ----------
    depth
        10, 18, 34, 50, 101, 152 or 200.
    dimensions
        2 or 3.
    n_labels, in_channels
        Number of outputs and of input channels.
    widths
        Channels of the four stages (times 4 after a bottleneck).
    **settings
        Further arguments of MONAI's ResNet (``conv1_t_size``, ``conv1_t_stride``,
        ``no_max_pool``, ``shortcut_type``, ``bias_downsample``), `dilations` or
        `mirror_axis`.

    Raises
    ------
    ModelError
        If the depth is unknown.

    """
    block, layers = stages(depth)
    return {
        "_target_": TARGET,
        "block": block,
        "layers": list(layers),
        "block_inplanes": list(widths),
        "spatial_dims": dimensions,
        "n_input_channels": in_channels,
        "num_classes": n_labels,
        **settings,
    }


def ensemble_definition(definition: Mapping[str, Any], members: int) -> dict[str, Any]:
    """Return the ``network_def`` of several networks of one definition.

    The definition itself where `members` is 1.
    """
    if members == 1:
        return dict(definition)
    return {**definition, "_target_": ENSEMBLE, "members": members}


def member_definition(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``network_def`` of one network of an ensemble.

    The definition itself where it is of one network.
    """
    if definition.get("_target_") != ENSEMBLE:
        return dict(definition)
    kept = {k: v for k, v in definition.items() if k != "members"}
    return {**kept, "_target_": TARGET}


def with_head(definition: Mapping[str, Any], units: int | None) -> dict[str, Any]:
    """Return a definition of the same backbone with another head.

    Parameters
    ----------
    definition
        A literal ``network_def`` of one network.
    units
        Of a hidden layer with ReLU before the logits; None for logits that are linear
        in the pooled features.

    """
    kept = {k: v for k, v in definition.items() if not k.startswith("head_")}
    return kept if units is None else {**kept, "_target_": TARGET, "head_hidden": units}


def mirror_axes(definition: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the spatial axes along which a network sees mirror images, too."""
    return as_axes(definition.get("mirror_axis"))


def as_axes(mirror_axis: int | Sequence[int] | None) -> tuple[int, ...]:
    """Return what a ``network_def`` has as `mirror_axis`, as a tuple."""
    if mirror_axis is None:
        return ()
    return (mirror_axis,) if isinstance(mirror_axis, int) else tuple(mirror_axis)


def mirrorings(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the axes of each mirror image, in the order in which a network sees them.

    The first is the image itself, ``()``; along three axes there are eight.
    """
    return [c for n in range(len(axes) + 1) for c in combinations(axes, n)]


def checked_definition(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition's arguments once it is known to be literal and of our kind.

    Raises
    ------
    ModelError
        If the class is unknown, or an argument is an expression, not one of the class,
        or of a kind or size that no network has.

    """
    target = definition.get("_target_")
    if target not in _KNOWN_TARGETS:
        raise ModelError(
            f"the network class {target!r} is not known",
            remedy=f"Known classes: {', '.join(_KNOWN_TARGETS)}",
        )
    settings = {k: v for k, v in definition.items() if k != "_target_"}
    arguments = dict(settings)
    members = arguments.pop("members", None) if target == ENSEMBLE else 1
    if type(members) is not int or not 1 <= members <= MOST_MEMBERS:
        raise ModelError(
            f"an ensemble has 1 to {MOST_MEMBERS} members, not {members!r}"
        )
    check_arguments(arguments, own=target in (TARGET, ENSEMBLE))
    return settings


@dataclass(frozen=True)
class PartShape:
    """A part of a network, its stem or a residual block, and what each cell sees.

    Cell ``j`` of what a part puts out is made of the cells from ``stride * j - reach``
    to ``stride * j + reach`` of what it is given, along each axis.

    Parameters
    ----------
    name
        "stem", or a block such as "layer2.0".
    stride, reach
        In cells of what the part is given, by axis.

    """

    name: str
    stride: tuple[int, ...]
    reach: tuple[int, ...]


def part_shapes(definition: Mapping[str, Any]) -> list[PartShape]:
    """Return the stem of a network and its residual blocks, first to last.

    Every convolution and pooling of MONAI's ResNet pads by half its kernel.
    """
    settings = checked_definition(definition)
    axes = int(settings.get("spatial_dims", 3))
    strides = _by_axis(settings.get("conv1_t_stride", 1), axes)
    reach = [n // 2 for n in _by_axis(settings.get("conv1_t_size", 7), axes)]
    if not settings.get("no_max_pool", False):
        # A pooling of three cells, one in two.
        reach = [r + s for r, s in zip(reach, strides, strict=True)]
        strides = [2 * s for s in strides]
    parts = [PartShape("stem", tuple(strides), tuple(reach))]
    dilations = settings.get("dilations") or [1, 1, 1, 1]
    for stage, (count, d) in enumerate(
        zip(settings["layers"], dilations, strict=True), 1
    ):
        for number in range(count):
            # Stages 2, 3 and 4 halve the grid unless they are dilated.
            stride = 2 if stage > 1 and number == 0 and d == 1 else 1
            # A bottleneck has one convolution of three cells, a basic block has two.
            far = d if settings.get("block") == "bottleneck" else d + d * stride
            name = f"layer{stage}.{number}"
            parts.append(PartShape(name, (stride,) * axes, (far,) * axes))
    return parts


def _by_axis(value: int | Sequence[int], axes: int) -> list[int]:
    return [value] * axes if isinstance(value, int) else [int(n) for n in value]


def total_stride(definition: Mapping[str, Any], stage: str = "") -> tuple[int, ...]:
    """Return how many input voxels lie between neighbouring feature cells, by axis.

    Feature cell ``j`` is centred at input voxel ``stride * j``: every convolution and
    pooling of MONAI's ResNet pads by half its kernel.

    Parameters
    ----------
    definition
        Of a network.
    stage
        Behind which the cells are counted, ``"layer2"``; empty for the last.

    """
    parts = part_shapes(definition)
    while stage and not parts[-1].name.startswith(f"{stage}."):
        parts.pop()
    strides = [part.stride for part in parts]
    return tuple(math.prod(axis) for axis in zip(*strides, strict=True))
