"""BatchNorm statistics of trained networks: those that their own weights give."""

from __future__ import annotations

import pytest
import torch

from napari_resonance.errors import CancelledError
from napari_resonance.training.batch_norm import estimate_statistics
from napari_resonance.training.callbacks import Surroundings
from napari_resonance.training.samples import no_augmentation
from napari_resonance.training.train import train
from tests.support.trainings import tiny_task


def nothing():
    """Do nothing after a batch."""


def cells_before_first_norm(task):
    """Return the values ``(channels, all cells)`` that the first BatchNorm sees."""
    with torch.no_grad():
        cells = task.network.conv1(torch.from_numpy(task.training.inputs))
    return cells.transpose(0, 1).flatten(1)


def test_a_trained_network_has_the_statistics_of_its_own_weights():
    task = tiny_task(averaging=0.95, augmentation=no_augmentation())
    train(task, Surroundings(device="cpu"))
    cells = cells_before_first_norm(task)
    norm = task.network.bn1
    torch.testing.assert_close(norm.running_mean, cells.mean(1), rtol=1e-4, atol=1e-5)
    # Batches of four cases vary less than all cases together.
    torch.testing.assert_close(norm.running_var, cells.var(1), rtol=0.05, atol=0)
    assert norm.momentum == pytest.approx(0.1)
    assert not norm.training


def test_frozen_stages_keep_the_statistics_that_they_came_with():
    task = tiny_task(unfreeze="layer4")
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    estimate_statistics(task, 4, "cpu", nothing)
    after = task.network.state_dict()
    changed = {name for name in before if not after[name].equal(before[name])}
    assert changed
    assert all(name.startswith("layer4.") for name in changed)
    assert all("running" in name or "num_batches" in name for name in changed)


def test_the_estimation_is_repeated_exactly():
    found = []
    for _ in range(2):
        task = tiny_task()
        estimate_statistics(task, 4, "cpu", nothing)
        found.append(task.network.layer2[0].bn1.running_var)
    assert found[0].equal(found[1])


def test_the_estimation_can_be_cancelled():
    task, batches = tiny_task(), []

    def stop():
        batches.append(1)
        raise CancelledError("enough")

    with pytest.raises(CancelledError):
        estimate_statistics(task, 4, "cpu", stop)
    assert len(batches) == 1
    assert task.network.bn1.momentum == pytest.approx(0.1)
