"""MONAI's ResNet in two and three dimensions, mended where its gradient is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from monai.networks.nets import ResNet as MonaiResNet

from napari_resonance.classifier.activations import Name, torch_activation
from napari_resonance.classifier.definition import (
    ENSEMBLE,
    as_axes,
    checked_definition,
    mirrorings,
)
from napari_resonance.errors import ModelError


class HiddenHead(torch.nn.Linear):
    """Layers of hidden units, then the linear layer that gives logits.

    Parameters
    ----------
    features, units, labels
        Numbers of what comes in, of the units of each hidden layer and of what goes
        out.
    act
        Of all hidden units, see `activations`.

    """

    def __init__(
        self, features: int, units: Sequence[int], labels: int, act: Name = "relu"
    ) -> None:
        super().__init__(units[-1], labels)
        self.act = act
        self.hidden = torch.nn.Linear(features, units[0])
        # No module where there is one layer: such heads were stored before.
        if len(units) > 1:
            layers = (torch.nn.Linear(*pair) for pair in pairwise(units))
            self.more = torch.nn.ModuleList(layers)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return logits ``(N, K)`` of pooled features ``(N, F)``."""
        activate = torch_activation(self.act)
        values = activate(self.hidden(pooled))
        for layer in getattr(self, "more", ()):
            values = activate(layer(values))
        return super().forward(values)


class ResNet(MonaiResNet):
    """MONAI's ResNet that also returns its last feature map.

    Weights and forward pass are those of ``monai.networks.nets.ResNet``, with three
    differences. Shortcut A lets gradients through (MONAI takes ``out.data`` there, so
    that autograd gives 0 where finite differences do not). Where `mirror_axis` is
    given, the network sees the image and its mirror images and answers with the mean,
    so that left and right cannot change the answer. And `dilations` keeps the last
    feature map fine, as MedicalNet does (Chen et al. 2019).

    Parameters
    ----------
    dilations
        Dilation of each of the four stages, or None for 1 throughout. A stage dilated
        by more than 1 does not halve the grid: its convolutions spread instead.
    mirror_axis
        Spatial axis to mirror (0 for the first), several of them (every combination
        is seen: 8 images for three axes), or None. Where the number of voxels along it
        is one more than a multiple of the total stride, the feature cells of the
        mirror image fall onto those of the image; otherwise up to half a cell beside.
    head_hidden
        Units of a hidden layer between the pooled features and the logits, those of
        each of several, or None for logits that are linear in the features.
    head_act
        Activation of the hidden units, see `activations`.
    **settings
        Arguments of ``monai.networks.nets.ResNet``.

    """

    def __init__(
        self,
        *,
        dilations: Sequence[int] | None = None,
        mirror_axis: int | Sequence[int] | None = None,
        head_hidden: int | Sequence[int] | None = None,
        head_act: Name = "relu",
        **settings: Any,
    ) -> None:
        if not settings.get("feed_forward", True):
            raise ModelError("a classifier needs the last linear layer (feed_forward)")
        super().__init__(**settings)
        if head_hidden is not None:
            last: torch.nn.Linear = self.fc  # type: ignore[assignment]
            units = [head_hidden] if isinstance(head_hidden, int) else [*head_hidden]
            sizes = last.in_features, units, last.out_features
            self.fc = HiddenHead(*sizes, head_act)
        self.mirrorings = mirrorings(as_axes(mirror_axis))
        for stage, dilation in enumerate(dilations or (), start=1):
            if dilation > 1:
                _dilate(getattr(self, f"layer{stage}"), dilation)

    def _downsample_basic_block(
        self, x: torch.Tensor, planes: int, stride: int, spatial_dims: int = 3
    ) -> torch.Tensor:
        every = slice(None, None, stride)
        strided = x[(slice(None), slice(None), *[every] * spatial_dims)]
        padding = strided.new_zeros(
            strided.shape[0], planes - strided.shape[1], *strided.shape[2:]
        )
        return torch.cat([strided, padding], dim=1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last feature map ``(N, F, *cells)`` of ``(N, C, *spatial)``."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return x

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the first residual block sees of ``(N, C, *spatial)``."""
        x = self.act(self.bn1(self.conv1(x)))
        if not self.no_max_pool:
            x = self.maxpool(x)
        return x

    def logits_and_features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits ``(N, K)`` and the feature map whose mean they are made of.

        ``logits = fc(features.mean(over cells))`` holds exactly, which is what makes
        Grad-CAM of this map a by-product of one forward pass.
        """
        features = self.features(x)
        if len(self.mirrorings) > 1:
            for axes in self.mirrorings[1:]:
                places = [axis + 2 for axis in axes]
                features = features + self.features(x.flip(places)).flip(places)
            features = features / len(self.mirrorings)
        pooled = features.flatten(2).mean(dim=2)
        return self.fc(pooled), features  # type: ignore[misc]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``(N, K)`` of images ``(N, C, *spatial)``, float32."""
        return self.logits_and_features(x)[0]


class Ensemble(torch.nn.Module):
    """Several ResNets that answer together: the mean of their logits.

    Their last feature maps lie side by side as the channels of one, see
    `members.Heads`.

    Parameters
    ----------
    members
        How many.
    **settings
        Arguments of `ResNet`, the same for all.

    """

    def __init__(self, *, members: int, **settings: Any) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList(ResNet(**settings) for _ in range(members))

    @classmethod
    def of(cls, networks: Sequence[ResNet]) -> Ensemble:
        """Return the ensemble of networks that are there already."""
        ensemble = cls.__new__(cls)
        torch.nn.Module.__init__(ensemble)
        ensemble.members = torch.nn.ModuleList(networks)
        return ensemble

    def logits_and_features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean logits ``(N, K)`` and feature maps ``(N, members * F, *cells)``.

        See `members.Heads` for the logits of each member.
        """
        answers = [m.logits_and_features(x) for m in self.members]  # type: ignore[operator]
        logits = torch.stack([logits for logits, _ in answers]).mean(dim=0)
        return logits, torch.cat([features for _, features in answers], dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``(N, K)`` of images ``(N, C, *spatial)``, float32."""
        return self.logits_and_features(x)[0]


Network = ResNet | Ensemble
"""What answers: one network or several."""


def _dilate(stage: torch.nn.Module, dilation: int) -> None:
    """Let a stage's convolutions spread where they strode."""
    for module in stage.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d):
            module.stride = tuple(1 for _ in module.stride)
            if max(module.kernel_size) > 1:
                module.dilation = tuple(dilation for _ in module.dilation)
                module.padding = tuple(dilation * (k // 2) for k in module.kernel_size)
        shortcut = getattr(module, "downsample", None)
        if isinstance(shortcut, partial):  # shortcut A is a function, not a module
            module.downsample = partial(shortcut, stride=1)  # type: ignore[assignment]


class LogitsAndFeatures(torch.nn.Module):
    """A network whose forward pass returns both outputs, for engines and converters."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits ``(N, K)`` and features ``(N, F, *cells)``."""
        return self.network.logits_and_features(x)


# What MONAI and torch raise on names and arguments of layers that they do not know.
_REFUSALS = (
    TypeError,
    ValueError,
    LookupError,
    RuntimeError,
    AttributeError,
    AssertionError,
)


def build_network(definition: Mapping[str, Any]) -> Network:
    """Make the network that a bundle's literal ``network_def`` describes.

    Raises
    ------
    ModelError
        If the definition names a class that is not known here, holds an expression, or
        has arguments the class does not take.

    """
    settings = checked_definition(definition)
    kind = Ensemble if definition["_target_"] == ENSEMBLE else ResNet
    try:
        return kind(**settings)
    except _REFUSALS as error:
        raise ModelError(f"the network definition is not valid: {error}") from error


def build_resnet(definition: Mapping[str, Any]) -> ResNet:
    """Make the one network that a literal ``network_def`` describes.

    Raises
    ------
    ModelError
        As `build_network`, and of an ensemble.

    """
    network = build_network(definition)
    if not isinstance(network, ResNet):
        raise ModelError("the network definition is of an ensemble, not of one network")
    return network


def round_to_half(network: torch.nn.Module) -> None:
    """Round the weights in place to what 16 bits hold, to halve a stored network."""
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())


def state_dict_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return contiguous CPU tensors by name, as safetensors wants them."""
    return {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
