"""MONAI's ResNet in two and three dimensions, mended where its gradient is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from monai.networks.nets import ResNet as MonaiResNet

from napari_resonance.classifier.definition import checked_definition
from napari_resonance.errors import ModelError


class ResNet(MonaiResNet):
    """MONAI's ResNet that also returns its last feature map.

    Weights and forward pass are those of ``monai.networks.nets.ResNet``, with three
    differences. Shortcut A lets gradients through (MONAI takes ``out.data`` there, so
    that autograd gives 0 where finite differences do not). Where `mirror_axis` is
    given, the network sees the image and its mirror image and answers with the mean of
    both, so that left and right cannot change the answer. And `dilations` keeps the
    last feature map fine, as MedicalNet does (Chen et al. 2019).

    Parameters
    ----------
    dilations
        Dilation of each of the four stages, or None for 1 throughout. A stage dilated
        by more than 1 does not halve the grid: its convolutions spread instead.
    mirror_axis
        Spatial axis to mirror (0 for the first), or None. The number of voxels along
        it must be one more than a multiple of the total stride, for only then do the
        feature cells of the mirror image fall onto those of the image.
    **settings
        Arguments of ``monai.networks.nets.ResNet``.

    """

    def __init__(
        self,
        *,
        dilations: Sequence[int] | None = None,
        mirror_axis: int | None = None,
        **settings: Any,
    ) -> None:
        if not settings.get("feed_forward", True):
            raise ModelError("a classifier needs the last linear layer (feed_forward)")
        super().__init__(**settings)
        self.mirror_axis = mirror_axis
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
        """Return logits ``(N, K)`` and the feature map whose mean they are linear in.

        ``logits = fc(features.mean(over cells))`` holds exactly, which is what makes
        Grad-CAM of this map a by-product of one forward pass.
        """
        features = self.features(x)
        if self.mirror_axis is not None:
            axis = self.mirror_axis + 2
            mirrored = self.features(x.flip(axis)).flip(axis)
            features = (features + mirrored) / 2
        pooled = features.flatten(2).mean(dim=2)
        return self.fc(pooled), features  # type: ignore[misc]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``(N, K)`` of images ``(N, C, *spatial)``, float32."""
        return self.logits_and_features(x)[0]


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

    def __init__(self, network: ResNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits ``(N, K)`` and features ``(N, F, *cells)``."""
        return self.network.logits_and_features(x)


def build_network(definition: Mapping[str, Any]) -> ResNet:
    """Make the network that a bundle's literal ``network_def`` describes.

    Raises
    ------
    ModelError
        If the definition names a class that is not known here, holds an expression, or
        has arguments the class does not take.

    """
    settings = checked_definition(definition)
    try:
        return ResNet(**settings)
    except (TypeError, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise ModelError(f"the network definition is not valid: {error}") from error


def round_to_half(network: torch.nn.Module) -> None:
    """Round the weights in place to what 16 bits hold, to halve a stored network."""
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())


def state_dict_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return contiguous CPU tensors by name, as safetensors wants them."""
    return {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
