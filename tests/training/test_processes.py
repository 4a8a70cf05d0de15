"""A training in two processes on the CPU (gloo), as on two graphics cards."""

import numpy as np
import pytest
import torch
from support.trainings import tiny_task

from napari_resonance.errors import CancelledError, TrainingError
from napari_resonance.training.callbacks import Surroundings
from napari_resonance.training.train import train


def two(**others):
    return Surroundings(device="cpu", devices=2, **others)


def weights_of(trained):
    return {k: v.double() for k, v in trained.network.state_dict().items()}


@pytest.fixture(scope="module")
def undisturbed():
    told, epochs = [], []
    trained = train(
        tiny_task(),
        two(progress=lambda *step: told.append(step), on_epoch=epochs.append),
    )
    return trained, told, epochs


def test_two_processes_learn_and_report(undisturbed):
    trained, told, epochs = undisturbed
    assert [e.number for e in epochs] == [1, 2, 3, 4]
    assert told[-1][0] == told[-1][1]
    assert len(trained.curve) == 4
    before = tiny_task().network.state_dict()
    changed = [k for k, v in weights_of(trained).items() if not v.equal(before[k])]
    assert len(changed) > len(before) / 2


def test_stopped_and_resumed_they_end_in_the_same_weights(tmp_path, undisturbed):
    steps = []

    def note(done, total, text):
        steps.append(done)

    with pytest.raises(CancelledError):
        train(
            tiny_task(),
            two(folder=tmp_path, progress=note, should_stop=lambda: len(steps) > 9),
        )
    resumed = train(tiny_task(), two(folder=tmp_path, resume=True))
    assert resumed.resumed_at >= 1
    wanted = weights_of(undisturbed[0])
    for name, value in weights_of(resumed).items():
        torch.testing.assert_close(value, wanted[name], rtol=0, atol=1e-6, msg=name)


def test_a_loss_that_is_no_number_ends_both(tmp_path):
    task = tiny_task()
    task.training.inputs[5] = np.nan
    with pytest.raises(TrainingError, match="not a number in epoch 1, at case 5"):
        train(task, two())


def test_more_cards_than_there_are_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TrainingError, match="there are 1"):
        train(tiny_task(), Surroundings(device="cuda", devices=2))
