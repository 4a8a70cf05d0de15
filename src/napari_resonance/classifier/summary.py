"""What a network is made of: its layers, their outputs, and which are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from napari_resonance.classifier.definition import (
    checked_definition,
    member_definition,
)
from napari_resonance.errors import ModelError
from napari_resonance.preprocessing import Recipe

if TYPE_CHECKING:
    import torch

PARTS = ("all", "layer1", "layer2", "layer3", "layer4", "head")
"""From where on a network can be trained: ``all``, a stage, or the last layer alone."""

_USUAL_SIZE = {2: 224, 3: 64}


@dataclass(frozen=True)
class Layer:
    """One layer, or one residual block.

    Parameters
    ----------
    name
        As in the names of the tensors: ``"conv1"``, ``"layer2.0"``, ``"fc"``.
    kind
        Class of the layer.
    output
        Shape of what it returns, without the batch axis: ``(channels, *cells)``.
    parameters
        How many numbers are learned in it.
    trainable
        Whether fine-tuning from the chosen part on changes them.

    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    trainable: bool


@dataclass(frozen=True)
class Summary:
    """The layers of a network, in order.

    Parameters
    ----------
    input
        ``(channels, *spatial)`` that the shapes of the outputs belong to.
    layers
        In the order of the forward pass; of one member of an ensemble.
    members
        How many networks with these layers answer together.

    """

    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    members: int = 1

    @property
    def parameters(self) -> int:
        """How many numbers are learned in all, by all members."""
        return self.members * sum(layer.parameters for layer in self.layers)

    @property
    def trainable(self) -> int:
        """How many of them fine-tuning changes."""
        each = sum(layer.parameters for layer in self.layers if layer.trainable)
        return self.members * each

    def to_json(self) -> dict[str, Any]:
        """Return the ``summary`` entry of ``resonance models show --summary``."""
        return {
            "input": list(self.input),
            "layers": [asdict(layer) for layer in self.layers],
            "members": self.members,
            "parameters": self.parameters,
            "trainable_parameters": self.trainable,
        }


def summarize(
    definition: Mapping[str, Any],
    size: Sequence[int | str] | None = None,
    train_from: str = "all",
) -> Summary:
    """Return the layers of the network that is defined; computes shapes only.

    Parameters
    ----------
    definition
        A literal ``network_def``.
    size
        Of the input along its spatial axes; what is no number, or not told, is 64
        voxels in 3D and 224 pixels in 2D.
    train_from
        One of `PARTS`: what comes before it is frozen.

    Raises
    ------
    ModelError
        If the definition is not valid, or there is no such part.

    """
    import torch

    from napari_resonance.classifier.network import build_resnet

    if train_from not in PARTS:
        raise ModelError(
            f"a network has no part {train_from!r}", remedy=f"Use {', '.join(PARTS)}"
        )
    with torch.device("meta"):  # shapes without memory and arithmetic
        network = build_resnet(member_definition(definition)).eval()
    dimensions = int(definition.get("spatial_dims", 3))
    usual = _USUAL_SIZE[dimensions]
    spatial = [n if isinstance(n, int) else usual for n in size or [usual] * dimensions]
    shape = (int(definition.get("n_input_channels", 3)), *spatial)
    outputs: dict[str, tuple[int, ...]] = {}
    parts = list(_parts(network))
    hooks = [part.register_forward_hook(_noting(outputs, name)) for name, part in parts]
    with torch.no_grad():
        network(torch.zeros((1, *shape), device="meta"))
    for hook in hooks:
        hook.remove()
    layers = [
        Layer(
            name,
            type(part).__name__,
            outputs[name],
            sum(p.numel() for p in part.parameters()),
            is_trained(name, train_from),
        )
        for name, part in parts
        if name in outputs
    ]
    members = int(checked_definition(definition).get("members", 1))
    return Summary(shape, tuple(layers), members)


def _parts(network: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    for name, module in network.named_children():
        if name.startswith("layer"):
            for number, block in module.named_children():
                yield f"{name}.{number}", block
        elif name in ("conv1", "bn1", "maxpool", "fc"):
            yield name, module


def _noting(outputs: dict[str, tuple[int, ...]], name: str) -> Any:
    def note(_: object, __: object, output: torch.Tensor) -> None:
        outputs[name] = tuple(output.shape[1:])

    return note


def is_trained(name: str, train_from: str) -> bool:
    """Tell whether a layer or tensor is trained where training begins at a part."""
    if train_from == "all":
        return True
    order = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")
    first = order.index("fc" if train_from == "head" else train_from)
    part = name.partition(".")[0]
    return part in order and order.index(part) >= first


def input_size(recipe: Recipe) -> list[int | str]:
    """Return voxels along each axis of the network's input; "*" where the scan decides.

    ``(x, y, z)`` in 3D, ``(row, column)`` in 2D.
    """
    shape: list[int | str] = ["*", "*", "*"]
    for name, arguments in recipe.steps:
        if name == "resample_spacing" or arguments.get("size_mm") is not None:
            shape = ["*", "*", "*"]
        elif arguments.get("shape") is not None:
            given = arguments["shape"]
            shape = [o if n is None else n for o, n in zip(shape, given, strict=True)]
    return shape if recipe.dimensions == 3 else [shape[1], shape[0]]
