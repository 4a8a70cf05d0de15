"""ResNets written down once more, from the papers and the projects' own code.

MedicalNet's strides and dilations are those of its ``models/resnet.py``, torchvision's
layout that of its ``resnet.py``. Both are narrow here; names of the tensors are theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class Block(nn.Module):
    """Basic or bottleneck block, 2D or 3D, strided or dilated."""

    def __init__(self, n_in, width, *, deep, stride, dilation, shortcut, flat) -> None:
        super().__init__()
        conv = nn.Conv2d if flat else nn.Conv3d
        norm = nn.BatchNorm2d if flat else nn.BatchNorm3d
        self.out = width * (4 if deep else 1)
        spread = {"dilation": dilation, "padding": dilation, "bias": False}
        if deep:
            self.conv1 = conv(n_in, width, 1, bias=False)
            self.conv2 = conv(width, width, 3, stride=stride, **spread)
            self.conv3 = conv(width, self.out, 1, bias=False)
            self.bn3 = norm(self.out)
        else:
            self.conv1 = conv(n_in, width, 3, stride=stride, **spread)
            self.conv2 = conv(width, width, 3, **spread)
        self.bn1, self.bn2 = norm(width), norm(width)
        self.stride, self.deep, self.downsample = stride, deep, None
        self.padded = False
        if stride != 1 or n_in != self.out:
            if shortcut == "A":
                self.padded = True
            else:
                one = conv(n_in, self.out, 1, stride=stride, bias=False)
                self.downsample = nn.Sequential(one, norm(self.out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.deep:
            y = self.bn3(self.conv3(functional.relu(y)))
        if self.padded:
            s = self.stride
            x = x[:, :, ::s, ::s, ::s]
            x = functional.pad(x, (0,) * 7 + (self.out - x.shape[1],))
        elif self.downsample is not None:
            x = self.downsample(x)
        return functional.relu(y + x)


class Net(nn.Module):
    """A stem with stride 2 and pooling, four stages, and a head where one is asked."""

    def __init__(
        self, depth, *, flat, channels, strides, dilations, shortcut, head, width=4
    ) -> None:
        super().__init__()
        conv = nn.Conv2d if flat else nn.Conv3d
        norm = nn.BatchNorm2d if flat else nn.BatchNorm3d
        self.conv1 = conv(channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(width)
        self.maxpool = (nn.MaxPool2d if flat else nn.MaxPool3d)(3, stride=2, padding=1)
        n_in = width
        for stage in range(4):
            blocks = []
            for number in range(BLOCKS[depth][stage]):
                block = Block(
                    n_in,
                    width * 2**stage,
                    deep=depth >= 50,
                    stride=strides[stage] if number == 0 else 1,
                    dilation=dilations[stage],
                    shortcut=shortcut,
                    flat=flat,
                )
                blocks.append(block)
                n_in = block.out
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        if head:
            self.fc = nn.Linear(n_in, head)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(functional.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x).flatten(2).mean(2))


def medicalnet(depth: int) -> Net:
    """MedicalNet's encoder: stride 2, then 2, then dilations 2 and 4."""
    return settled(
        Net(
            depth,
            flat=False,
            channels=1,
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
            shortcut="A" if depth in (18, 34) else "B",
            head=0,
        )
    )


def torchvision(depth: int, outputs: int = 10) -> Net:
    """A 2D ResNet as torchvision and timm lay it out."""
    return settled(
        Net(
            depth,
            flat=True,
            channels=3,
            strides=(1, 2, 2, 2),
            dilations=(1, 1, 1, 1),
            shortcut="B",
            head=outputs,
        )
    )


def settled(network: Any) -> Any:
    """Return the network with batch norms that do something, for evaluation."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def save_medicalnet(network: nn.Module, path: Path) -> Path:
    """Save as MedicalNet does: from several cards, inside a checkpoint."""
    state = OrderedDict((f"module.{k}", v) for k, v in network.state_dict().items())
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {}}, path)
    return path
