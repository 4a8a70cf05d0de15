"""Which layers of a ResNet learn, how fast, and which stay as they are."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from napari_resonance.classifier.network import ResNet
from napari_resonance.errors import TrainingError
from napari_resonance.training.options import UNFREEZE

if TYPE_CHECKING:
    import torch

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
"""Parts of the network before its head, first to last."""


def trainable(unfreeze: str) -> tuple[str, ...]:
    """Return the stages that learn; the head always does.

    Raises
    ------
    TrainingError
        If there is no such choice.

    """
    if unfreeze == "head":
        return ()
    if unfreeze == "all":
        return STAGES
    if unfreeze not in STAGES:
        raise TrainingError(
            f"{unfreeze!r} is no part of the network that can be unfrozen",
            remedy=f"Choose one of {', '.join(UNFREEZE)}",
        )
    return STAGES[STAGES.index(unfreeze) :]


def learning_at(unfreeze: str, epoch: int, epochs: int) -> str:
    """Return the first stage that learns in an epoch of a gradual unfreezing.

    The head alone begins, and stage by stage joins from the last one on (Howard and
    Ruder, ACL 2018), until after half of the epochs all that may learn does.

    Parameters
    ----------
    unfreeze
        First stage that learns in the end.
    epoch, epochs
        Which one, from 0, of how many.

    """
    order = ("head", *reversed(trainable(unfreeze)))
    place = min(len(order) - 1, 2 * (len(order) - 1) * epoch // max(1, epochs))
    return "all" if order[place] == "stem" else order[place]


def parts(network: ResNet, stage: str) -> list[torch.nn.Module]:
    """Return the modules of a stage; of a head alone, none."""
    if not hasattr(network, "conv1"):
        return []
    if stage == "stem":
        return [network.conv1, network.bn1]
    return [getattr(network, stage)]


def freeze(network: ResNet, unfreeze: str) -> None:
    """Let only the head and the stages from `unfreeze` on take gradients."""
    learning = trainable(unfreeze)
    for stage in STAGES:
        for module in parts(network, stage):
            module.requires_grad_(stage in learning)
    network.fc.requires_grad_(True)  # type: ignore[union-attr]


def frozen_names(network: ResNet, unfreeze: str) -> set[str]:
    """Return the names of all tensors of the stages that do not learn."""
    prefixes = [stage for stage in STAGES if stage not in trainable(unfreeze)]
    if "stem" in prefixes:
        prefixes += ["conv1", "bn1"]
    names = network.state_dict()
    return {name for name in names if name.split(".", maxsplit=1)[0] in prefixes}


def keep_frozen_still(network: ResNet, unfreeze: str) -> None:
    """Keep BatchNorm of frozen stages on the statistics it came with."""
    learning = trainable(unfreeze)
    for stage in STAGES:
        if stage not in learning:
            for module in parts(network, stage):
                module.eval()


def parameter_groups(
    network: ResNet, *, rate: float, decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Return the optimizer's groups: each earlier stage learns more slowly.

    Parameters
    ----------
    network
        After `freeze`.
    rate
        Learning rate of the head.
    decay
        Factor by which each stage's rate is below that of the next one.
    weight_decay
        Of all weights with two or more axes; biases and BatchNorm have none.

    """
    groups = []
    modules = [(stage, parts(network, stage)) for stage in STAGES]
    modules.append(("head", [network.fc]))  # type: ignore[list-item]
    for depth, (name, members) in enumerate(reversed(modules)):
        chosen = [p for m in members for p in m.parameters() if p.requires_grad]
        for decayed in (True, False):
            matching = [p for p in chosen if (p.ndim > 1) == decayed]
            if matching:
                groups.append(
                    {
                        "params": matching,
                        "lr": rate * decay**depth,
                        "weight_decay": weight_decay if decayed else 0.0,
                        "name": name,
                    }
                )
    return groups


def state_hash(network: ResNet) -> str:
    """Return a hash of weights: nobody goes on from one network as if from another."""
    import torch

    found = hashlib.sha256()
    for name, value in network.state_dict().items():
        found.update(name.encode())
        found.update(value.cpu().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
