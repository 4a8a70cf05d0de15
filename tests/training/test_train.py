"""Training: repeatable, killed and resumed, stopped, out of memory, not a number."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.trainings import tiny_task

from napari_resonance.errors import CancelledError, TrainingError
from napari_resonance.training import callbacks
from napari_resonance.training.callbacks import Surroundings
from napari_resonance.training.layers import learning_at
from napari_resonance.training.module import FineTuning
from napari_resonance.training.train import train

pytestmark = pytest.mark.usefixtures("one_thread")

_KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from support.trainings import tiny_task
from napari_resonance.training.callbacks import Surroundings
from napari_resonance.training.train import train

def slow(done, total, text):
    if done == 11:  # in the middle of the third epoch
        print("now", flush=True)
        time.sleep(60)

train(tiny_task(), Surroundings(folder=Path(sys.argv[1]), device="cpu", progress=slow))
"""


def weights_of(trained):
    return {k: v.double() for k, v in trained.network.state_dict().items()}


def assert_same(one, other, tolerance=1e-6):
    for name, value in weights_of(one).items():
        torch.testing.assert_close(
            weights_of(other)[name], value, rtol=0, atol=tolerance, msg=name
        )


@pytest.fixture(scope="module")
def undisturbed():
    return train(tiny_task(), Surroundings(device="cpu"))


def test_a_training_repeats_exactly(undisturbed):
    assert_same(undisturbed, train(tiny_task(), Surroundings(device="cpu")), 0)
    assert len(undisturbed.curve) == 4
    assert undisturbed.curve[-1]["validation_loss"] > 0


def test_killed_and_resumed_it_ends_in_the_same_weights(tmp_path, undisturbed):
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path), tests],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
    resumed = train(
        tiny_task(), Surroundings(folder=tmp_path, resume=True, device="cpu")
    )
    assert resumed.resumed_at == 2
    assert len(resumed.epoch_seconds) == 2
    assert_same(undisturbed, resumed)
    assert resumed.curve == undisturbed.curve


def test_resuming_what_has_ended_gives_its_weights(tmp_path):
    around = Surroundings(folder=tmp_path, resume=True, device="cpu")
    first = train(tiny_task(epochs=2), around)
    again = train(tiny_task(epochs=2), around)
    assert again.epoch_seconds == []
    assert_same(first, again)


def test_another_training_is_not_gone_on_with(tmp_path):
    around = Surroundings(folder=tmp_path, resume=True, device="cpu")
    train(tiny_task(epochs=1), around)
    with pytest.raises(TrainingError, match=r"another training.*--overwrite"):
        train(tiny_task(epochs=1, rate=0.1), around)
    task = tiny_task(epochs=1)
    other = tiny_task(epochs=1)
    with torch.no_grad():
        next(other.network.parameters()).add_(1e-3)
    weighted = replace(task.training, weights=task.training.weights * 2)
    turned = replace(task.validation, targets=1 - task.validation.targets)
    for changed in (
        other,
        replace(task, training=weighted),
        replace(task, validation=turned),
    ):
        with pytest.raises(TrainingError, match=r"another training.*--overwrite"):
            train(changed, around)
    assert train(task, around).epoch_seconds == []


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"PK damaged")
    with pytest.raises(TrainingError, match=r"checkpoint is damaged.*--overwrite"):
        train(tiny_task(), Surroundings(folder=tmp_path, resume=True, device="cpu"))


def test_the_caller_can_stop_it_and_go_on(tmp_path, undisturbed):
    steps = iter(range(100))
    around = Surroundings(
        folder=tmp_path, device="cpu", should_stop=lambda: next(steps) >= 5
    )
    with pytest.raises(CancelledError, match="--resume"):
        train(tiny_task(), around)
    resumed = train(
        tiny_task(), Surroundings(folder=tmp_path, resume=True, device="cpu")
    )
    assert resumed.resumed_at == 1
    assert_same(undisturbed, resumed)


def test_ctrl_c_leaves_a_checkpoint(tmp_path):
    def interrupt(done, total, text):
        if done == 6:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(
            tiny_task(),
            Surroundings(folder=tmp_path, device="cpu", progress=interrupt),
        )
    assert signal.getsignal(signal.SIGINT) == before
    assert (tmp_path / "last.ckpt").exists()


def test_a_loss_that_is_no_number_names_the_case(tmp_path):
    task = tiny_task()
    task.training.inputs[5] = np.nan
    with pytest.raises(TrainingError, match="not a number in epoch 1, at case 5"):
        train(task, Surroundings(device="cpu"))


def test_the_last_good_weights_are_kept(tmp_path):
    task = tiny_task()

    def spoil(done, total, text):
        if done == 8:
            task.training.inputs[5] = np.nan

    trained = train(task, Surroundings(folder=tmp_path, device="cpu", progress=spoil))
    assert "at case 5" in trained.notes[0]
    assert "of epoch 2" in trained.notes[0]
    assert all(bool(v.isfinite().all()) for v in weights_of(trained).values())


def test_too_little_memory_halves_the_batch(monkeypatch):
    step = FineTuning.training_step

    def limited(self, batch, number):
        if self.micro_batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, batch, number)

    monkeypatch.setattr(FineTuning, "training_step", limited)
    trained = train(tiny_task(epochs=1), Surroundings(device="cpu"))
    assert trained.notes[0] == (
        "the memory did not suffice: batches of 4 were shown in 2 parts of 2"
    )


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(callbacks.os, "fsync", full)
    with pytest.raises(TrainingError, match="No space left"):
        train(tiny_task(), Surroundings(folder=tmp_path, device="cpu"))
    assert list(tmp_path.iterdir()) == []


def test_it_ends_early_with_the_best_weights(monkeypatch):
    losses = iter([0.5, 0.4, 0.6, 0.7, 0.8, 0.9] * 2)
    note = FineTuning.on_validation_epoch_end

    def replaced(self):
        note(self)
        self.figures["validation_loss"] = next(losses)

    monkeypatch.setattr(FineTuning, "on_validation_epoch_end", replaced)
    trained = train(tiny_task(epochs=6, patience=2), Surroundings(device="cpu"))
    assert len(trained.curve) == 4
    assert "are those of epoch 2" in trained.notes[0]
    shorter = train(tiny_task(epochs=6, patience=0), Surroundings(device="cpu"))
    assert weights_of(shorter).keys() == weights_of(trained).keys()


def test_training_learns():
    trained = train(
        tiny_task(epochs=12, patience=0, rate=0.01), Surroundings(device="cpu")
    )
    assert trained.curve[-1]["validation_auroc"] > 0.9


def test_epochs_are_told_and_training_can_be_ended_early(tmp_path):
    told = []
    around = Surroundings(
        folder=tmp_path,
        device="cpu",
        on_epoch=told.append,
        should_finish=lambda: len(told) == 2,
    )
    ended = train(tiny_task(), around)
    assert [(epoch.number, epoch.total) for epoch in told] == [(1, 4), (2, 4)]
    assert {"training_loss", "validation_loss"} <= set(told[0].figures)
    assert len(ended.curve) == 2
    assert ended.notes[0] == "training was ended by hand after epoch 2"
    best = min(told, key=lambda epoch: epoch.figures["validation_loss"])
    assert f"those of epoch {best.number}" in ended.notes[1]


def test_what_was_stopped_is_ended_with_its_best_weights(tmp_path):
    told = []

    def stop():
        return len(told) == 3

    first = Surroundings(tmp_path, device="cpu", should_stop=stop, on_epoch=told.append)
    with pytest.raises(CancelledError):
        train(tiny_task(), first)
    best = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]
    (weights,) = [v["weights"] for k, v in best.items() if k.startswith("Best")]
    again = Surroundings(
        tmp_path, resume=True, device="cpu", should_finish=lambda: True
    )
    ended = train(tiny_task(), again)
    assert len(ended.curve) == 3
    state = ended.network.state_dict()
    for name, value in weights.items():
        if "running" not in name and "num_batches" not in name:  # estimated anew
            torch.testing.assert_close(state[name.removeprefix("network.")], value)


def test_a_training_that_goes_on_tells_of_its_earlier_epochs(tmp_path):
    told = []
    first = Surroundings(
        tmp_path,
        device="cpu",
        should_stop=lambda: len(told) == 2,
        on_epoch=told.append,
    )
    with pytest.raises(CancelledError):
        train(tiny_task(), first)
    before, told[:] = list(told), []
    train(
        tiny_task(),
        Surroundings(tmp_path, resume=True, device="cpu", on_epoch=told.append),
    )
    assert [epoch.number for epoch in told] == [1, 2, 3, 4]
    assert told[:2] == before


def test_stages_join_one_after_the_other():
    order = [learning_at("all", epoch, 20) for epoch in range(20)]
    assert list(dict.fromkeys(order)) == [
        "head",
        "layer4",
        "layer3",
        "layer2",
        "layer1",
        "all",
    ]
    assert order.index("all") == 10
    assert learning_at("layer4", 0, 2) == "head"
    assert learning_at("layer4", 1, 2) == "layer4"
    assert learning_at("head", 5, 6) == "head"


def test_stages_that_have_not_joined_stay_and_resuming_changes_nothing(tmp_path):
    def gradual():
        return tiny_task(gradual=True, unfreeze="layer3", patience=0)

    first = gradual().network.state_dict()
    seen = {}

    def look(done, total, text):
        state = task.network.state_dict()
        seen[done] = {k for k, v in state.items() if not v.equal(first[k])}

    task = gradual()
    whole = train(task, Surroundings(device="cpu", progress=look))
    assert {name.split(".")[0] for name in seen[4]} == {"fc"}
    assert {name.split(".")[0] for name in seen[8]} == {"fc", "layer4"}
    assert {name.split(".")[0] for name in seen[16]} == {"fc", "layer4", "layer3"}
    steps = iter(range(100))
    with pytest.raises(CancelledError):
        train(
            gradual(),
            Surroundings(
                folder=tmp_path, device="cpu", should_stop=lambda: next(steps) >= 6
            ),
        )
    resumed = train(gradual(), Surroundings(folder=tmp_path, resume=True, device="cpu"))
    assert resumed.resumed_at == 1
    assert_same(whole, resumed)


def test_bfloat16_trains_to_float32_weights():
    # What earlier work left in memory must not get into a gradient.
    left = [torch.full((2**n,), torch.nan) for n in range(4, 21) for _ in range(20)]
    del left
    trained = train(
        tiny_task(precision="bf16-mixed", epochs=1), Surroundings(device="cpu")
    )
    assert {v.dtype for v in trained.network.parameters()} == {torch.float32}
    assert np.isfinite(trained.curve[0]["validation_loss"])


def test_batchnorm_learns_although_a_probe_left_it_still():
    task = tiny_task(epochs=1)
    first = task.network.bn1.running_mean.clone()
    task.network.eval()
    trained = train(task, Surroundings(device="cpu"))
    assert not trained.network.bn1.running_mean.allclose(first)
