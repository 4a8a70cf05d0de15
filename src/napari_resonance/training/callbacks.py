"""What accompanies a training: averaging, the best epoch, checkpoints, reports."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.callbacks import Callback, EMAWeightAveraging

from napari_resonance.errors import CancelledError, TrainingError
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.training.epochs import Epoch, OnEpoch, no_epoch

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Surroundings:
    """Where a training runs, and whom it tells.

    Parameters
    ----------
    folder
        For the checkpoint; None keeps none.
    resume
        Go on from the checkpoint, where there is one of the same training.
    device
        "auto", "cpu", "cuda" or "mps".
    devices
        How many of them; more than one trains with DDP.
    progress, should_stop
        Told after each step; asked after each step.
    title
        What the progress is of.
    on_epoch, should_finish
        Told after each epoch; asked after each epoch. True ends the training with the
        best weights so far.

    """

    folder: Path | None = None
    resume: bool = False
    device: str = "auto"
    devices: int = 1
    progress: Progress = no_progress
    should_stop: ShouldStop = never
    title: str = ""
    on_epoch: OnEpoch = no_epoch
    should_finish: ShouldStop = never


class Averaging(EMAWeightAveraging):
    """Exponential moving average of weights and BatchNorm statistics."""

    def averaged(self) -> dict[str, torch.Tensor]:
        """Return a copy of the averaged weights under the module's names."""
        if self._average_model is None:
            return {}
        state = self._average_model.module.state_dict()
        return {name: value.clone() for name, value in state.items()}


class Best(Callback):
    """Keep the averaged weights of the least validation loss; stop without progress.

    Parameters
    ----------
    averaging
        Whose weights to keep.
    patience
        Epochs without a lower loss before training ends; 0 never ends it.

    """

    def __init__(self, averaging: Averaging, patience: int) -> None:
        self.averaging, self.patience = averaging, patience
        self.loss, self.epoch = float("inf"), -1
        self.weights: dict[str, torch.Tensor] | None = None
        self.stopped: int | None = None
        self.losses: torch.Tensor | None = None
        self.last: torch.Tensor | None = None

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Compare the epoch with the best one."""
        loss = getattr(module, "figures", {}).get("validation_loss")
        if loss is None:
            return
        self.last = module.case_losses
        # Processes that end at different epochs would wait for each other forever.
        loss = trainer.strategy.broadcast(loss)
        if loss < self.loss:
            self.loss, self.epoch = loss, trainer.current_epoch
            self.losses = self.last
            self.weights = self.averaging.averaged()
        elif self.patience and trainer.current_epoch - self.epoch >= self.patience:
            self.stopped = trainer.current_epoch
            trainer.should_stop = True

    def is_clearly_better(self) -> bool:
        """Tell whether the best epoch's loss is below the last one's beyond chance.

        By more than twice the standard error of the difference, over the cases: among
        few cases some epoch always looks better than the last.
        """
        if self.losses is None or self.last is None or len(self.last) < 2:
            return False
        difference = self.last - self.losses
        error = difference.std() / len(difference) ** 0.5
        return bool(difference.mean() > 2 * error)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        names = ("loss", "epoch", "weights", "stopped", "losses", "last")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        for name, value in state_dict.items():
            setattr(self, name, value)


class Keeper(Callback):
    """Write a checkpoint at the end of each epoch, whole or not at all."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key, self.wrote = path, key, False

    def written(self, before: bool) -> bool:
        """Tell whether there is a checkpoint of this training."""
        return self.wrote or before

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: Any) -> None:
        """Say which training it is of, and whether that has ended."""
        checkpoint["training"] = self.key
        last = trainer.current_epoch + 1 >= trainer.max_epochs
        checkpoint["ended"] = last or trainer.should_stop

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Write the checkpoint under another name, then rename it."""
        draft = self.path.with_name(f".{self.path.name}.draft")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(draft)
            if trainer.is_global_zero:
                with draft.open("rb+") as stream:
                    os.fsync(stream.fileno())
                os.replace(draft, self.path)
        except OSError as error:
            raise _no_checkpoint(self.path, error) from error
        except RuntimeError as error:  # what torch makes of a full disk
            if "write" not in str(error) and "space" not in str(error):
                raise
            raise _no_checkpoint(self.path, error) from error
        finally:
            if trainer.is_global_zero:  # it is still being renamed otherwise
                with suppress(OSError):
                    draft.unlink(missing_ok=True)
        self.wrote = True


def _no_checkpoint(path: Path, error: Exception) -> TrainingError:
    why = getattr(error, "strerror", None) or str(error)
    return TrainingError(
        f"the checkpoint could not be written ({why}); the last one stays",
        source=path,
        remedy="Make space, then go on with --resume",
    )


def stopped() -> CancelledError:
    """Return what a training that the caller stopped ends with."""
    return CancelledError(
        "the training was stopped",
        remedy="Go on from the last whole epoch with --resume",
    )


class Report(Callback):
    """Tell the caller after each step; stop where the caller asks for it."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.seconds: list[float] = []
        self.finished: int | None = None
        self._began = 0.0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Tell of the epochs that an earlier process had done."""
        for figures in module.curve:
            self._tell(figures, trainer.max_epochs)

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report the step."""
        if self.around.should_stop():
            raise stopped()
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        epochs, steps = trainer.max_epochs, module.steps
        done = trainer.current_epoch * steps + batch_idx + 1
        words = f"{self.around.title}epoch {trainer.current_epoch + 1} of {epochs}"
        text = f"{words}, loss {float(loss) * module.split:.3f}"
        area = getattr(module, "figures", {}).get("validation_auroc")
        if area is not None:
            text += f", validation AUROC {area:.3f}"
        self.around.progress(done, epochs * steps, text)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Stop the clock, tell of the epoch, and end where the caller wants it."""
        self.seconds.append(time.perf_counter() - self._began)
        module.note_epoch()
        self._tell(module.curve[-1], trainer.max_epochs)
        if trainer.strategy.broadcast(self.around.should_finish()):
            self.finished = trainer.current_epoch
            trainer.should_stop = True

    def _tell(self, figures: Mapping[str, float], total: int) -> None:
        number = int(figures["epoch"])
        shown = {name: value for name, value in figures.items() if name != "epoch"}
        title = self.around.title.strip(", ")
        self.around.on_epoch(Epoch(number, total, title, shown))
