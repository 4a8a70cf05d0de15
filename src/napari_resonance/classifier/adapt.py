"""Weights of one network, brought into the shape of another that is nearly it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from napari_resonance.classifier.architecture import Shapes, is_optional
from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    import torch

Channels = Literal["sum", "mean"]
Inflation = Literal["mean", "center"]

_STEM = "conv1.weight"


@dataclass
class Adapted:
    """What became of a checkpoint's tensors.

    Parameters
    ----------
    state
        The tensors that the network can take, float32.
    matched
        Names of those that fit as they were.
    changed
        What was done to the others, by name.
    missing
        What the network has and the checkpoint has not (or in no shape that can be
        adapted), with the reason.

    """

    state: dict[str, torch.Tensor] = field(default_factory=dict)
    matched: list[str] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def misfits(self) -> list[str]:
        """Missing tensors without which nothing is left of the training."""
        return [n for n in self.missing if not is_optional(n) and n != _STEM]


def adapt(
    tensors: Mapping[str, torch.Tensor],
    wanted: Shapes,
    *,
    channels: Channels = "sum",
    inflation: Inflation = "mean",
) -> Adapted:
    """Bring tensors into the shapes that a network wants.

    Parameters
    ----------
    tensors
        Under MONAI's names.
    wanted
        Shapes by name, see ``architecture.expected_shapes``.
    channels
        Where the number of input channels differs, keep the ``"sum"`` of the first
        convolution's weights over the channels, so that the same grey image in each
        channel gives the same response as before, or their ``"mean"``.
    inflation
        How 2D kernels become 3D: ``"mean"`` repeats them along the new axis, divided
        by its size (Carreira and Zisserman 2017), so that the inside of a volume of
        equal slices gives the response of one slice; ``"center"`` leaves the other
        planes 0, so that each slice does, up to the border.

    Raises
    ------
    ModelError
        If `channels` or `inflation` is none of these.

    """
    for word, known in ((channels, Channels), (inflation, Inflation)):
        if word not in get_args(known):
            raise ModelError(
                f"weights cannot be adapted by {word!r}",
                remedy=f"Use one of {', '.join(get_args(known))}",
            )
    result = Adapted()
    for name, shape in wanted.items():
        tensor = tensors.get(name)
        if tensor is None:
            _fill(result, name, shape)
            continue
        changes = []
        if tensor.ndim == 4 and len(shape) == 5:
            tensor = inflated(tensor, shape[4], inflation)
            changes.append(f"2D to 3D ({inflation})")
        if name == _STEM and tensor.shape[1] != shape[1]:
            before = tensor.shape[1]
            tensor = with_channels(tensor, shape[1], channels)
            changes.append(f"{before} to {shape[1]} channels ({channels} kept)")
        if tuple(tensor.shape) != shape:
            found = "×".join(map(str, tensor.shape))
            result.missing[name] = f"{found} instead of {'×'.join(map(str, shape))}"
            continue
        result.state[name] = _plain(tensor)
        if changes:
            result.changed[name] = ", ".join(changes)
        else:
            result.matched.append(name)
    return result


def _fill(result: Adapted, name: str, shape: tuple[int, ...]) -> None:
    """Set what a checkpoint leaves out where that is what it means."""
    import torch

    if name.endswith("num_batches_tracked"):  # older PyTorch did not count them
        result.state[name] = torch.zeros(shape, dtype=torch.long)
        result.changed[name] = "set to 0"
    elif name.endswith("downsample.0.bias"):
        result.state[name] = torch.zeros(shape)
        result.changed[name] = "set to 0: the weights have no bias here"
    elif name.startswith("fc.") and name.replace("bias", "weight") in result.state:
        result.state[name] = torch.zeros(shape)
        result.changed[name] = "set to 0: the layer has no bias"
    else:
        result.missing[name] = "not in the file"


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.detach()
    return (plain.float() if plain.is_floating_point() else plain).contiguous()


def with_channels(
    weight: torch.Tensor, channels: int, keep: Channels = "sum"
) -> torch.Tensor:
    """Return a first convolution for another number of channels, all weighted alike."""
    mean = weight.float().mean(dim=1, keepdim=True)
    if keep == "sum":
        mean = mean * (weight.shape[1] / channels)
    return mean.expand(-1, channels, *weight.shape[2:]).contiguous()


def inflated(
    weight: torch.Tensor, planes: int, how: Inflation = "mean"
) -> torch.Tensor:
    """Return a 2D kernel ``(O, I, row, column)`` as 3D ``(O, I, X, Y, Z)``.

    Rows of an image are y and columns x, so a kernel is transposed on its way to axes
    (X, Y); Z is the new one.
    """
    import torch

    plane = weight.float().transpose(2, 3).unsqueeze(-1)
    if how == "mean":
        return plane.expand(*plane.shape[:-1], planes).contiguous() / planes
    result = torch.zeros(*plane.shape[:-1], planes)
    result[..., planes // 2] = plane[..., 0]
    return result
