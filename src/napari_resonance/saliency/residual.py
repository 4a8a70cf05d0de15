"""What each residual block of a network did to one answer.

A block of a ResNet puts out ``act(F(x) + shortcut(x))`` (He et al., CVPR 2016). Its
share says how much of that sum is its own; and with the block replaced by
``act(shortcut(x))`` the rest of the network says how much it changed the score (blocks
are lesioned one at a time, as in Veit et al., NIPS 2016).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.members import Heads, heads_in
from napari_resonance.classifier.prediction import Saliency
from napari_resonance.classifier.stages import Steps, parts_of
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.saliency.cells import as_volume, cell_affine
from napari_resonance.saliency.question import Question

if TYPE_CHECKING:
    import torch

    from napari_resonance.classifier.network import ResNet
    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.saliency.explain import Explanation

Array = NDArray[np.float32]

STAGES = ("layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True)
class Block:
    """One residual block, and what it did.

    Parameters
    ----------
    name
        For example ``"layer2.0"``.
    projection
        Its shortcut is no identity: it changes the grid or the number of channels.
    share
        ‖F(x)‖ / (‖F(x)‖ + ‖shortcut(x)‖), before the last activation; 0 to 1.
    change
        The score, less what it is with the block replaced by ``act(shortcut(x))``:
        above 0, the block spoke for the label.

    """

    name: str
    projection: bool
    share: float
    change: float

    @property
    def stage(self) -> str:
        """The stage it belongs to, for example ``"layer2"``."""
        return self.name.split(".", maxsplit=1)[0]

    def to_json(self) -> dict[str, Any]:
        """Return a row of the ``residual`` entry of a document."""
        return {
            "block": self.name,
            "stage": self.stage,
            "projection": self.projection,
            "share": self.share,
            "change": self.change,
        }


@dataclass(frozen=True, eq=False)
class ResidualLens:
    """What the residual blocks of a network did to one answer.

    Parameters
    ----------
    target
        Whose score is looked at.
    score
        The logit of the label (less that of the label it is contrasted with).
    blocks
        First to last. Of several networks that answer together, each block is replaced
        in all of them; its share is their mean.
    stages
        Where in the scan the blocks of a stage changed the score: the difference that
        they made to the class activation map of the last feature map. The values of a
        map add up to the changes of its blocks.
    forwards
        How often the network ran, counted by blocks.
    seconds
        Wall time.

    """

    target: str
    score: float
    blocks: tuple[Block, ...]
    stages: Mapping[str, Saliency]
    forwards: float
    seconds: float

    def to_json(self) -> list[dict[str, Any]]:
        """Return the ``residual`` entry of a document: a row a block."""
        return [block.to_json() for block in self.blocks]


def residual_lens(
    classifier: Classifier,
    explained: Explanation,
    *,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> ResidualLens:
    """Say what each residual block did to an answer.

    Parameters
    ----------
    classifier
        Who answered.
    explained
        What it was asked, and whose score is explained.
    progress, should_stop
        Called for each batch of slices.

    Raises
    ------
    CancelledError
        If `should_stop` said so.

    """
    began = time.perf_counter()
    question = explained.question(classifier, Steps(2, progress, should_stop))
    network, device = question.torch_network()
    members = _members(network)
    array = question.array
    looks = [
        _looked(member, array, question.score, device, question.steps)
        for member in members
    ]
    names = looks[0].names
    blocks = tuple(
        Block(
            name,
            looks[0].projections[n],
            float(np.mean([look.shares[n] for look in looks])),
            float(np.mean([look.changes[n].sum(dtype=np.float64) for look in looks])),
        )
        for n, name in enumerate(names)
    )
    stages = {}
    for stage in STAGES:
        rows = [n for n, block in enumerate(blocks) if block.stage == stage]
        maps = np.mean([look.changes[rows].sum(axis=0) for look in looks], axis=0)
        stages[stage] = _as_saliency(question, stage, maps.astype(np.float32))
    count = len(names)
    return ResidualLens(
        target=question.options.subject,
        score=float(np.mean(question.answer.logits @ question.score)),
        blocks=blocks,
        stages=stages,
        # The plain run, and what follows each block: half of the network, on average.
        forwards=(count + count * (count - 1) / 2) / count,
        seconds=time.perf_counter() - began,
    )


def _members(network: Any) -> list[ResNet]:
    return list(network.members) if hasattr(network, "members") else [network]


def _as_saliency(question: Question, stage: str, maps: Array) -> Saliency:
    volume = as_volume(maps)
    affine = cell_affine(
        question.grid, question.stride, volume.shape, question.mirror_axes
    )
    return question.saliency((volume, affine), f"change by {stage}", "both")


@dataclass(eq=False)
class _Look:
    """One network: shares ``(blocks,)``, changes ``(blocks, N, *cells)``."""

    names: list[str]
    projections: list[bool]
    shares: NDArray[np.float64]
    changes: Array


def _looked(
    network: ResNet, array: Array, score: Array, device: str, steps: Steps
) -> _Look:
    """Look at all slices, or the one volume, and all mirror images the network sees."""
    import torch

    blocks = list(_blocks(network))
    head = heads_in(network)
    squares = np.zeros((len(blocks), 2))
    changes = []
    parts = parts_of(array)
    steps.total += len(parts) - 1
    for part in parts:
        steps.begin("looking through the residual blocks")
        images = torch.from_numpy(part).to(device)
        seen: Any = 0
        for axes in network.mirrorings:
            places = [axis + 2 for axis in axes]
            with torch.inference_mode():
                norms, maps = _through(network, blocks, images.flip(places))
                seen = seen + maps.flip([axis + 3 for axis in axes])
            squares += norms
        # The head sees the mean over all mirror images.
        features = seen.cpu().numpy() / np.float32(len(network.mirrorings))
        changes.append(
            [_evidence(features[-1], other, head, score) for other in features[:-1]]
        )
    own, shortcut = np.sqrt(squares).T
    joined = np.concatenate(changes, axis=1)
    return _Look(
        names=[name for name, _ in blocks],
        projections=[block.downsample is not None for _, block in blocks],
        shares=own / np.maximum(own + shortcut, np.finfo(float).tiny),
        changes=np.asarray(joined / len(array), np.float32),
    )


def _blocks(network: ResNet) -> Iterator[tuple[str, Any]]:
    for stage in STAGES:
        for number, block in enumerate(getattr(network, stage)):
            yield f"{stage}.{number}", block


def _through(
    network: ResNet,
    blocks: list[tuple[str, Any]],
    images: torch.Tensor,
) -> tuple[NDArray[np.float64], torch.Tensor]:
    """Run the network once, and from each block on once more without that block.

    Returns
    -------
    ndarray, Tensor
        Squared norms ``(blocks, 2)`` of F(x) and shortcut(x); and the last feature
        map without each block, then as it is, ``(blocks + 1, N, F, *cells)``.

    """
    import torch

    norms, without = [], []
    x = network.stem(images)
    for number, (_, block) in enumerate(blocks):
        own, shortcut = branches(block, x)
        norms.append([float(own.square().sum()), float(shortcut.square().sum())])
        # Activations write into their input, which the next lines need again.
        y = block.act(shortcut.clone())
        x = block.act(own + shortcut)
        for _, later in blocks[number + 1 :]:
            y = later(y)
        without.append(y)
    return np.array(norms), torch.stack([*without, x])


def branches(block: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return F(x) and shortcut(x) of a block of MONAI's ResNet, basic or bottleneck."""
    own = block.act(block.bn1(block.conv1(x)))
    own = block.bn2(block.conv2(own))
    if hasattr(block, "conv3"):
        own = block.bn3(block.conv3(block.act(own)))
    shortcut = x if block.downsample is None else block.downsample(x)
    return own, shortcut


def _evidence(whole: Array, other: Array, head: Heads, score: Array) -> Array:
    """Return what each cell changes of the score between two maps, ``(N, *cells)``."""
    space = tuple(range(2, whole.ndim))
    ends = (other.mean(axis=space), whole.mean(axis=space))
    weights = head.gradients_between(*ends, score) / np.float32(whole[0, 0].size)
    change: Array = np.einsum("nf...,nf->n...", whole - other, weights)
    return change
