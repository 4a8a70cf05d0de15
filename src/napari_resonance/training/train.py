"""Run one training to its end: averaging, checkpoints, stopping early, going on."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as lightning
import torch
from torch.utils.data import DataLoader

from napari_resonance.classifier.engines import is_out_of_memory
from napari_resonance.classifier.network import Network, ResNet
from napari_resonance.errors import ResonanceError, TrainingError
from napari_resonance.training import layers
from napari_resonance.training.batch_norm import estimate_statistics
from napari_resonance.training.callbacks import (
    Averaging,
    Best,
    Keeper,
    Report,
    Surroundings,
    stopped,
)
from napari_resonance.training.devices import (
    device_for,
    precision_for,
    sound_convolutions,
    too_large,
)
from napari_resonance.training.module import (
    FineTuning,
    NonFiniteLossError,
    TrainSettings,
)
from napari_resonance.training.samples import FeatureViews, Samples

if TYPE_CHECKING:
    from pytorch_lightning.callbacks import Callback

# What a batch may be split into for want of memory.
_MOST_PARTS = 64


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, and how it went.

    Parameters
    ----------
    network
        With averaged weights, on the CPU; an ensemble of several such.
    curve
        Figures of each epoch.
    resumed_at
        Epochs that an earlier process had done, 0 for none.
    epoch_seconds
        Wall time of each epoch of this process.
    notes
        What went otherwise than planned, in sentences.

    """

    network: Network
    curve: list[dict[str, float]]
    resumed_at: int
    epoch_seconds: list[float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """A network and what it shall learn from.

    Parameters
    ----------
    network
        Trained in place.
    training, validation
        Labelled inputs; `validation` may be empty.
    settings, seed
        How to train.
    views, validation_features
        Features instead of inputs where only the head learns.

    """

    network: ResNet
    training: Samples
    validation: Samples
    settings: TrainSettings
    seed: int = 0
    views: FeatureViews | None = None
    validation_features: torch.Tensor | None = None

    def key(self) -> str:
        """Return what another process must have in common to go on with it."""
        import hashlib
        import json

        parts = {
            "settings": asdict(self.settings),
            "seed": self.seed,
            "targets": self.training.targets.tolist(),
            "shape": list(self.training.inputs.shape),
            "names": list(self.training.names),
            "weights": self.training.weights.tolist(),
            "validation": list(self.validation.names),
            "validation targets": self.validation.targets.tolist(),
            "begun with": layers.state_hash(self.network),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def train(task: Task, around: Surroundings) -> Trained:
    """Train a network.

    Raises
    ------
    TrainingError
        If the loss is not a number before the first epoch ended, the checkpoint is of
        another training, memory does not suffice for single cases, or the disk is full.
    CancelledError
        If the caller asked to stop; the checkpoint of the last epoch stays.

    """
    start = {k: v.clone() for k, v in task.network.state_dict().items()}
    split, notes = 1, []
    while True:
        try:
            trained = _one_or_more(task, around, split)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            whole = task.settings.batch
            if not is_out_of_memory(error) or split * 2 > min(whole, _MOST_PARTS):
                raise _as_ours(error) from error
            split *= 2
            notes.append(
                f"the memory did not suffice: batches of {whole} were shown in "
                f"{split} parts of {whole // split}"
            )
        else:
            return replace(trained, notes=(*notes, *trained.notes))
        task.network.load_state_dict(start)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        # The epochs that are done need not be done again.
        around = replace(around, resume=True)


def _one_or_more(task: Task, around: Surroundings, split: int) -> Trained:
    # A head that learns from features is not worth a second process.
    if around.devices == 1 or task.views is not None:
        return attempt(task, replace(around, devices=1), split)
    from napari_resonance.training.processes import train_together

    return train_together(task, around, split)


def _as_ours(error: BaseException) -> BaseException:
    return too_large() if is_out_of_memory(error) else error


def attempt(task: Task, around: Surroundings, split: int) -> Trained:
    """Train with batches shown in `split` parts, in this process.

    Raises
    ------
    RuntimeError
        As torch does, if the memory does not suffice.

    """
    torch.manual_seed(task.seed)
    still = layers.frozen_names(task.network, task.settings.unfreeze)
    state = task.network.state_dict()
    frozen = {name: state[name].cpu().clone() for name in still}
    module = FineTuning(
        task.network,
        task.training,
        task.validation,
        task.settings,
        task.seed,
        split,
        task.views,
        task.validation_features,
    )
    averaging = Averaging(decay=task.settings.averaging)
    best = Best(averaging, task.settings.patience)
    checkpoint = around.folder and around.folder / "last.ckpt"
    report = Report(around)
    keeper = Keeper(checkpoint, task.key()) if checkpoint else None
    found = _resumable(checkpoint, task.key()) if around.resume else None
    resumed_at = 0 if found is None else int(found["epoch"]) + 1
    callbacks: list[Callback] = [averaging, best, report]
    if keeper is not None:
        callbacks.append(keeper)
    notes: list[str] = []
    with _quiet(), sound_convolutions(task.settings.precision, around.device):
        trainer = _trainer(task, around, split, callbacks)
        try:
            if found is not None and (found["ended"] or around.should_finish()):
                module.load_state_dict(found["state_dict"])
                module.curve = list(found["curve"])
                best.load_state_dict(found["callbacks"][best.state_key])
            else:
                _fit(trainer, module, checkpoint if found is not None else None)
        except NonFiniteLossError as error:
            if keeper is None or not keeper.written(found is not None):
                raise
            last = _load(keeper.path)
            module.load_state_dict(last["state_dict"])
            module.curve = list(last["curve"])
            notes.append(
                f"{error.message}; the weights are those of epoch {len(module.curve)}"
            )
    if report.finished is not None:
        notes.append(f"training was ended by hand after epoch {report.finished + 1}")
    if not notes or report.finished is not None:
        notes += _take_best(best, module)
        _renew_statistics(task, around, split, trainer)
    network = task.network.cpu().eval()
    # Averaging rounds even what does not change.
    network.load_state_dict({**network.state_dict(), **frozen})
    return Trained(network, module.curve, resumed_at, report.seconds, tuple(notes))


def _renew_statistics(
    task: Task, around: Surroundings, split: int, trainer: lightning.Trainer
) -> None:
    """Give the averaged weights BatchNorm statistics of their own."""
    if task.views is not None or not trainer.is_global_zero:
        return

    def after_batch() -> None:
        if around.should_stop():
            raise stopped()

    size = max(1, min(task.settings.batch, len(task.training)) // split)
    estimate_statistics(task, size, device_for(around.device), after_batch)


def _take_best(best: Best, module: FineTuning) -> list[str]:
    """Take the weights of the best epoch where the last are not, and say so.

    A schedule that came to its end has annealed the last weights: they stay, unless
    they are clearly worse.
    """
    early = len(module.curve) < module.settings.epochs
    if best.weights is None or not (early or best.is_clearly_better()):
        return []
    module.load_state_dict(best.weights)
    return [_which(best, module.settings)]


def _which(best: Best, settings: TrainSettings) -> str:
    """Say which epoch's weights are kept."""
    kept = f"the weights are those of epoch {best.epoch + 1}"
    if best.stopped is None:
        return f"{kept}, which had the least validation loss"
    return (
        f"training ended after epoch {best.stopped + 1}: the validation loss had not "
        f"fallen for {settings.patience} epochs; {kept}"
    )


def _fit(trainer: Any, module: FineTuning, checkpoint: Path | None) -> None:
    n = len(module.held_out)
    rows = torch.arange(n).split(max(1, module.settings.batch)) if n else ()
    validation = DataLoader(list(rows), batch_size=None) if n else None  # type: ignore[arg-type,var-annotated]
    steps = DataLoader(_Steps(module), batch_size=None)  # type: ignore[arg-type,var-annotated]
    handler = None
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(
            module,
            steps,
            validation,
            ckpt_path=checkpoint,
            weights_only=True,
        )
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


class _Steps:
    """The numbers of an epoch's steps: the module draws the cases of each itself."""

    def __init__(self, module: FineTuning) -> None:
        self.module = module

    def __len__(self) -> int:
        return self.module.steps

    def __getitem__(self, step: int) -> int:
        if step >= len(self):
            raise IndexError(step)
        return step


def _trainer(
    task: Task, around: Surroundings, split: int, callbacks: list[Callback]
) -> lightning.Trainer:
    accelerator = around.device
    if accelerator == "cuda":
        accelerator = "gpu"
    return lightning.Trainer(
        max_epochs=task.settings.epochs,
        accelerator=accelerator,
        devices=around.devices,
        strategy=_strategy(around.devices, task.settings.gradual),
        precision=precision_for(task.settings.precision, around.device),  # type: ignore[arg-type]
        accumulate_grad_batches=split,
        gradient_clip_val=5.0,
        deterministic=task.settings.deterministic,
        logger=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )


def _strategy(devices: int, gradual: bool) -> str:
    if devices == 1:
        return "auto"
    # What does not learn yet has no gradient that processes could exchange.
    return "ddp_find_unused_parameters_true" if gradual else "ddp"


def _resumable(path: Path | None, key: str) -> dict[str, Any] | None:
    """Return the checkpoint to go on from, None where there is none yet."""
    if path is None or not path.exists():
        return None
    found = _load(path)
    if found.get("training") != key:
        raise TrainingError(
            "the checkpoint is of another training: labels or the order of their "
            "rows, scans, options or the weights it began with differ",
            source=path,
            remedy="Go on with the labels and options it was begun with, or begin anew "
            "(--overwrite instead of --resume)",
        )
    return found


def _load(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle's errors are of many kinds
        if isinstance(error, ResonanceError | MemoryError):
            raise
        raise TrainingError(
            "the checkpoint is damaged",
            source=path,
            remedy="Begin anew (--overwrite instead of --resume)",
        ) from error
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what Lightning tells about features of its own."""
    names = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")
        warnings.filterwarnings("ignore", ".*lr_scheduler.step.*")
        warnings.filterwarnings("ignore", ".*in eval mode.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*")
        warnings.filterwarnings("ignore", ".*Grad strides do not match.*")
        warnings.filterwarnings("ignore", ".*sync_dist=True.*")
        warnings.filterwarnings("ignore", ".*no `val_dataloader`.*")
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)
