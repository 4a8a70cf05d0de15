"""BatchNorm statistics of averaged weights, estimated anew.

Statistics that were averaged with the weights are of networks that were: of weights
averaged over many steps, they are not those that the layers have. A look at the
training inputs tells them (Izmailov et al., UAI 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_resonance.training import layers
from napari_resonance.training.augment import generator
from napari_resonance.training.module import channels_last
from napari_resonance.training.samples import epoch_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_resonance.training.train import Task

_NORMS = (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)
# Times that the training cases are shown, and most batches of all of them: statistics
# of so many cells change little with more.
_ROUNDS = 2
_MOST_BATCHES = 200


def estimate_statistics(
    task: Task, size: int, device: torch.device | str, after_batch: Callable[[], None]
) -> None:
    """Give the layers that learned the BatchNorm statistics of their present weights.

    Parameters
    ----------
    task
        Whose network is changed in place, but for its frozen stages, by its training
        cases, changed at random as in training. Left in evaluation mode, where it was.
    size
        Cases shown at once.
    device
        Where to compute.
    after_batch
        What it raises ends the estimation.

    """
    network, settings = task.network, task.settings
    home = next(network.parameters()).device
    network.to(device).train()
    layers.keep_frozen_still(network, settings.unfreeze)
    norms = [m for m in network.modules() if isinstance(m, _NORMS) and m.training]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    try:
        with torch.no_grad():
            for rows, random in _batches(task, size, device) if norms else ():
                images = task.training.images(rows, device)
                network.features(channels_last(settings.augmentation(images, random)))
                after_batch()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.to(home).eval()


def _batches(
    task: Task, size: int, device: torch.device | str
) -> Iterator[tuple[NDArray[np.int64], torch.Generator]]:
    """Yield cases of whole batches in the order of epochs after the last, and draws."""
    left, epochs = _MOST_BATCHES, task.settings.epochs
    for epoch in range(epochs, epochs + _ROUNDS):
        order = epoch_order(
            task.training.targets,
            seed=task.seed,
            epoch=epoch,
            balanced=task.settings.balance == "sampling",
        )
        for step in range(min(left, max(1, len(order) // size))):
            rows = order[step * size : (step + 1) * size]
            yield rows, generator(task.seed, epoch, step, 0, device)
            left -= 1
