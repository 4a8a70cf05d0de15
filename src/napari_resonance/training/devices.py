"""Where a training computes, and how much fits there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from napari_resonance.classifier.definition import member_definition
from napari_resonance.classifier.network import build_resnet
from napari_resonance.errors import TrainingError
from napari_resonance.memory import total_memory

# Of the memory that a machine has, for what one batch keeps: the rest is for weights,
# the optimizer, gradients on their way back, and everybody else.
_SHARE = 0.4


def device_for(wanted: str) -> str:
    """Return "cpu", "cuda" or "mps" for a device that may be "auto"."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def precision_for(wanted: str, device: str) -> str:
    """Return a precision of Lightning's for one that may be "auto".

    That is the fastest: bfloat16 is slower than float32 on most processors.
    """
    if wanted != "auto":
        return wanted
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "32-true"


@contextmanager
def sound_convolutions(precision: str, device: str) -> Iterator[None]:
    """Keep oneDNN out of training in 16 bits on a processor.

    Of PyTorch 2.13 it reads memory that nobody wrote in the backward pass of bfloat16
    convolutions, where few voxels are left.
    """
    mixed = precision_for(precision, device) != "32-true"
    before = torch.backends.mkldnn.enabled
    if mixed and device_for(device) == "cpu":
        torch.backends.mkldnn.set_flags(_enabled=False)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(_enabled=before)


def too_large() -> TrainingError:
    """Return the error that says that not even one case fits."""
    return TrainingError(
        "the memory does not suffice for a single case",
        remedy="Choose a smaller input (--shape) or network",
    )


def bytes_of_a_case(definition: Mapping[str, Any], shape: tuple[int, ...]) -> int:
    """Return what training keeps of one case until its gradient is there, in bytes.

    Counted on PyTorch's ``meta`` device, which has shapes and no values: every tensor
    that autograd saves in a forward pass, once, in float32. Two cases are run and the
    weights are left out, so that only what grows with the batch counts.

    Parameters
    ----------
    definition
        The literal ``network_def``.
    shape
        Of one input, ``(C, *spatial)``.

    """
    with torch.device("meta"):
        network = build_resnet(member_definition(definition)).train()
        inputs = torch.empty(2, *shape)
    weights = {id(tensor) for tensor in network.state_dict(keep_vars=True).values()}
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        # Held, so that no other tensor gets its identity.
        if id(tensor) not in weights:
            saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.features(inputs).sum()
    grown = (t for t in saved.values() if t.ndim > 1 and t.shape[0] == len(inputs))
    return sum(t.numel() * t.element_size() for t in grown) // len(inputs)


def memory_for_training(device: str) -> int:
    """Return how much memory a batch may take, in bytes.

    A share of what the device has in all, not of what is free at the moment: an
    interrupted training has to come to the same batches.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"`` or ``"mps"``.

    """
    if device == "cuda":
        return int(_SHARE * torch.cuda.get_device_properties(0).total_memory)
    return int(_SHARE * total_memory())
