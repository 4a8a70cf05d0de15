"""A network in parts, its stem and its residual blocks, each of which runs alone.

Who changes an image in one place needs to run the first parts only around that place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier import openvino_engine
from napari_resonance.classifier.definition import part_shapes

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle
    from napari_resonance.classifier.network import Network, ResNet

Array = NDArray[np.float32]


class Chain(Protocol):
    """One network, of several that may answer together, in parts.

    It knows nothing of mirror images: those are other images to it.
    """

    def run(self, array: Array, first: int, last: int | None) -> Array:
        """Return what the parts from `first` on, before `last`, make of an array.

        Parameters
        ----------
        array
            float32 ``(N, C, *cells)``: images if `first` is 0, otherwise what the part
            before puts out.
        first, last
            Numbers of parts, see `definition.part_shapes`; None for all there are.

        """
        ...


class TorchChain:
    """A network in torch on the CPU, in parts."""

    def __init__(self, network: ResNet) -> None:
        stages = (network.layer1, network.layer2, network.layer3, network.layer4)
        blocks = [block for stage in stages for block in stage]
        self._parts: list[Any] = [network.stem, *blocks]

    def run(self, array: Array, first: int, last: int | None) -> Array:
        """Return what some of the parts make of an array, see `Chain.run`."""
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(array))
            for part in self._parts[first:last]:
                x = part(x)
        made: Array = x.contiguous().numpy()
        return made


def torch_chains(network: Network) -> list[Chain]:
    """Return the members of a network that is on the CPU, or its only one, in parts."""
    from napari_resonance.classifier.network import Ensemble

    members: Any = network.members if isinstance(network, Ensemble) else [network]
    return [TorchChain(member) for member in members]


class OpenVinoChain:
    """A converted network in parts, compiled as they are needed.

    Parameters
    ----------
    model
        A loaded ``openvino.Model``; is not changed.
    ends
        Name of the operation that each part ends with.

    """

    def __init__(self, model: Any, ends: Sequence[str]) -> None:
        self._model, self._ends = model, ends
        self._compiled: dict[tuple[int, int | None], Any] = {}

    def run(self, array: Array, first: int, last: int | None) -> Array:
        """Return what some of the parts make of an array, see `Chain.run`."""
        if (first, last) not in self._compiled:
            start = self._ends[first - 1] if first else None
            end = self._ends[-1 if last is None else last - 1]
            cut = _between(self._model, start, end)
            self._compiled[first, last] = openvino_engine.compiled(cut)
        result = self._compiled[first, last]([np.ascontiguousarray(array, np.float32)])
        return np.array(result[0])


def openvino_chains(bundle: Bundle) -> list[Chain]:
    """Return the members of a bundle's converted network in parts.

    Empty where the converted network is not built as expected.
    """
    model = openvino_engine.load_model(bundle)
    names = [shape.name for shape in part_shapes(bundle.network_def)]
    members = int(bundle.network_def.get("members", 0))
    roots = [f"members.{n}." for n in range(members)] or [""]
    found = [_ends(model, names, f"__module.network.{root}") for root in roots]
    return [OpenVinoChain(model, ends) for ends in found if ends is not None]


# The modules that `ResNet.stem` runs.
_STEM = ("conv1", "bn1", "act", "maxpool")
# What conversion calls an operation that it made of several, such as a convolution
# with the scale of the normalisation after it.
_MADE = re.compile(r"[A-Za-z]+_\d+")


def _ends(model: Any, names: Sequence[str], root: str) -> list[str] | None:
    """Return the operations at which the parts end; None if they cannot be told.

    Conversion names most operations after the module that they came from. An operation
    that belongs to a part, and whose output is read outside of it, is its end. Mirror
    images are not followed, for what turns an image over belongs to no part.
    """
    at, ends = model.get_parameters()[0], []
    for name in names:
        modules = _STEM if name == "stem" else (name,)
        prefixes = tuple(f"{root}{module}{c}" for module in modules for c in "./")
        inside = {at.get_friendly_name()}
        exits, ways = {}, [at]
        while ways:
            op = ways.pop()
            for reader in _readers(op):
                if not _origin(reader).startswith(prefixes):
                    exits[op.get_friendly_name()] = op
                elif reader.get_friendly_name() not in inside:
                    inside.add(reader.get_friendly_name())
                    ways.append(reader)
        exits.pop(at.get_friendly_name(), None)
        if len(exits) != 1:
            return None
        ((end, at),) = exits.items()
        ends.append(end)
    return ends


def _readers(op: Any) -> list[Any]:
    return [i.get_node() for output in op.outputs() for i in output.get_target_inputs()]


def _origin(op: Any) -> str:
    """Return the name of an operation, or of what reads it where it has none."""
    name = str(op.get_friendly_name())
    while _MADE.fullmatch(name):
        readers = _readers(op)
        if len(readers) != 1:
            break
        (op,) = readers
        name = str(op.get_friendly_name())
    return name


def _between(model: Any, start: str | None, end: str) -> Any:
    """Return a model from after one operation, or None for its input, to another."""
    openvino = openvino_engine.import_openvino()
    copy = model.clone()
    ops = {op.get_friendly_name(): op for op in copy.get_ordered_ops()}
    parameter = copy.get_parameters()[0]
    if start is not None:
        source = ops[start].output(0)
        parameter = openvino.opset13.parameter(
            source.get_partial_shape(), source.get_element_type()
        )
        for reader in source.get_target_inputs():
            reader.replace_source_output(parameter.output(0))
    return openvino.Model([ops[end].output(0)], [parameter])
