"""What a ResNet's tensors tell about the network, and what they do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_resonance.classifier.definition import DEPTHS, resnet_definition, stages
from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    import torch

Shapes = Mapping[str, tuple[int, ...]]

# Strides leave no trace in the weights. These are what ImageNet's ResNet has, and
# every network that copies it.
USUAL = {"conv1_t_stride": 2, "no_max_pool": False}
_UNDILATED = {"dilations": [1, 1, 1, 1]}  # of volumes; MedicalNet's are 1, 1, 2, 4

# Parts of tensor names that only one family of networks has.
_FAMILIES = {
    "denseblock": "a DenseNet",
    "patch_embed": "a vision transformer",
    "cls_token": "a vision transformer",
    "self_attn": "a transformer",
    "se_module": "an SE-ResNet",
    "se_layer": "an SE-ResNet",
    ".se.": "an SE-ResNet",
    "embedder.convolution": "a ResNet of the package transformers",
    "conv1.0.": "a ResNet-C or -D, whose first convolution is three",
    "depthwise_conv": "an EfficientNet",
    "up_tr": "a U-Net or V-Net",
    "upcat": "a U-Net",
    "submodule": "a U-Net",
    "decoder": "an encoder with a decoder",
}
_GUESSES = 3


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of tensors by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def assumed_of(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is assumed of a network whose weights alone are known."""
    assumed = USUAL | (_UNDILATED if definition["spatial_dims"] == 3 else {})
    if definition.get("head_hidden") and "head_act" not in definition:
        return assumed | {"head_act": "relu"}
    return assumed


def read_definition(
    tensors: Mapping[str, torch.Tensor],
    settings: Mapping[str, Any],
    source: str | Path,
) -> dict[str, Any]:
    """Return the ``network_def`` that a checkpoint's tensors belong to.

    Depth, widths, kind of block and of shortcut, dimensions, channels and the number
    of outputs are read from the shapes.

    Parameters
    ----------
    tensors
        Under MONAI's names, see ``resnet_names.resnet_tensors``.
    settings
        What shapes do not tell, for example ``conv1_t_stride`` and ``dilations``.
    source
        Named in errors.

    Raises
    ------
    ModelError
        If these are not the tensors of such a network; the three nearest are named.

    """
    shapes = shapes_of(tensors)
    try:
        definition = _definition(shapes, settings)
    except (KeyError, IndexError, ValueError) as error:
        raise not_this_network(shapes, source) from error
    wanted = expected_shapes(definition)
    wrong = [k for k, shape in shapes.items() if wanted.get(k, shape) != shape]
    missing = [k for k in wanted if k not in shapes and not is_optional(k)]
    unknown = [k for k in shapes if k not in wanted]
    if wrong or missing or unknown:
        raise not_this_network(shapes, source, (wrong or missing or unknown)[0])
    return definition


def _definition(shapes: Shapes, settings: Mapping[str, Any]) -> dict[str, Any]:
    layers = [_n_blocks(shapes, stage) for stage in (1, 2, 3, 4)]
    bottleneck = "layer1.0.conv3.weight" in shapes
    depth = _depth("bottleneck" if bottleneck else "basic", layers)
    widths = [shapes[f"layer{s}.0.conv1.weight"][0] for s in (1, 2, 3, 4)]
    stem = shapes["conv1.weight"]
    kernel = list(stem[2:])
    if len(kernel) not in (2, 3):
        raise ValueError(stem)
    given = dict(settings)
    # Kernels of one size are written as one number, as MONAI's defaults are.
    size = kernel[0] if len(set(kernel)) == 1 else kernel
    if size != 7:
        given["conv1_t_size"] = size
    convolved = "layer2.0.downsample.0.weight" in shapes
    hidden = [shapes[name][0] for name in _hidden_layers(shapes)]
    if hidden:
        given["head_hidden"] = hidden[0] if len(hidden) == 1 else hidden
    return resnet_definition(
        depth,
        dimensions=len(kernel),
        n_labels=shapes["fc.weight"][0] if "fc.weight" in shapes else 2,
        in_channels=stem[1],
        widths=widths,
        **{
            **given,
            "shortcut_type": "B" if convolved else "A",
            "bias_downsample": "layer2.0.downsample.0.bias" in shapes,
        },
    )


def _hidden_layers(shapes: Shapes) -> list[str]:
    """Return the weights of the hidden layers of a head, see `network.HiddenHead`."""
    more = sum(n.startswith("fc.more.") and n.endswith(".weight") for n in shapes)
    names = ["fc.hidden.weight", *(f"fc.more.{n}.weight" for n in range(more))]
    return names if names[0] in shapes else []


def _n_blocks(shapes: Shapes, stage: int) -> int:
    numbers = {
        int(name.split(".")[1]) for name in shapes if name.startswith(f"layer{stage}.")
    }
    if numbers != set(range(len(numbers))):
        raise ValueError(stage)
    return len(numbers)


def _depth(block: str, layers: list[int]) -> int:
    for depth in DEPTHS:
        if stages(depth) == (block, tuple(layers)):
            return depth
    raise ValueError(layers)


def is_optional(name: str) -> bool:
    """Tell whether a backbone is whole without this tensor."""
    return name.startswith("fc.") or name.endswith("num_batches_tracked")


def expected_shapes(definition: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor of the network that is defined."""
    import torch

    from napari_resonance.classifier.network import build_network

    with torch.device("meta"):  # shapes without memory
        return shapes_of(build_network(definition).state_dict())


def not_this_network(
    shapes: Shapes,
    source: str | Path,
    first: str | None = None,
    wanted: str = "a ResNet of a known kind",
) -> ModelError:
    """Return the error that names the three networks these tensors come nearest to.

    Parameters
    ----------
    shapes
        Of the tensors, by name.
    source
        The file they are from.
    first
        One tensor that is wrong, missing or too much.
    wanted
        What they were taken for.

    """
    guesses = "; ".join(
        f"{what} ({fitting} of {in_all} tensors fit)"
        for what, fitting, in_all in nearest_networks(shapes)
    )
    family = next((f for part, f in _FAMILIES.items() if _named(part, shapes)), None)
    look = f"; its tensors are named like those of {family}" if family else ""
    odd = f", beginning with {first!r}" if first else ""
    return ModelError(
        f"these are not the weights of {wanted}{odd}{look}",
        source=source,
        remedy=f"Nearest: {guesses}",
    )


def _named(part: str, shapes: Shapes) -> bool:
    return any(part in name for name in shapes)


def nearest_networks(shapes: Shapes) -> list[tuple[str, int, int]]:
    """Return (name, tensors that fit, tensors in all) of the three nearest ResNets."""
    scored = []
    for what, definition in _candidates(shapes):
        wanted = expected_shapes(definition)
        fitting = sum(shapes.get(name) == shape for name, shape in wanted.items())
        in_all = len(wanted.keys() | shapes.keys())
        scored.append((fitting / in_all, (what, fitting, in_all)))
    best = sorted(scored, key=lambda pair: -pair[0])
    return [found for _, found in best[:_GUESSES]]


def _candidates(shapes: Shapes) -> Iterator[tuple[str, dict[str, Any]]]:
    stem = shapes.get("conv1.weight", ())
    known = len(stem) in (4, 5)
    dimensions = (len(stem) - 2,) if known else (2, 3)
    outputs = shapes.get("fc.weight", (2,))[0]
    firsts = [shapes.get(f"layer{n}.0.conv1.weight", (0,))[0] for n in (1, 2, 3, 4)]
    widths = firsts if all(firsts) else (64, 128, 256, 512)
    for n in dimensions:
        for depth in DEPTHS:
            what = f"ResNet-{depth} in {n}D"
            yield (
                what,
                resnet_definition(
                    depth,
                    dimensions=n,
                    n_labels=outputs,
                    in_channels=stem[1] if known else 1,
                    widths=widths,
                    shortcut_type="A" if depth in (18, 34) and n == 3 else "B",
                    bias_downsample=False,
                ),
            )
