"""The Lightning module: one step of training, one look at the validation cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_resonance.classifier.network import ResNet
from napari_resonance.errors import TrainingError
from napari_resonance.training import layers
from napari_resonance.training.augment import Augmentation, generator
from napari_resonance.training.samples import (
    FeatureViews,
    Samples,
    class_weights,
    epoch_order,
)


class NonFiniteLossError(TrainingError):
    """The loss of some cases is not a number."""


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained.

    Parameters
    ----------
    epochs
        Times that all cases are shown.
    batch
        Cases of one optimizer step, over all devices.
    rate, layer_decay, weight_decay
        Peak learning rate of the head, factor from each stage to the one before it,
        and weight decay of AdamW.
    schedule
        ``"onecycle"`` or ``"cosine"``.
    smoothing
        Label smoothing (Szegedy et al. 2016).
    averaging
        Decay of the exponential moving average of weights and BatchNorm statistics.
    balance
        ``"none"``, ``"weights"`` (of the loss) or ``"sampling"``.
    patience
        Epochs without a better validation loss after which training ends; 0: never.
    unfreeze
        First stage that learns, see ``layers.UNFREEZE``.
    augmentation
        Random changes of each input.
    gradual
        Whether stages begin to learn one after the other, see ``layers.learning_at``.
    precision
        Of pytorch-lightning; ``"auto"`` for the fastest that is safe.
    deterministic
        Refuse operations that do not repeat exactly on a GPU.

    """

    epochs: int = 20
    batch: int = 32
    rate: float = 2e-3
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    schedule: str = "onecycle"
    smoothing: float = 0.05
    averaging: float = 0.99
    balance: str = "none"
    patience: int = 0
    unfreeze: str = "all"
    gradual: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)
    precision: str = "auto"
    deterministic: bool = False


class FineTuning(lightning.LightningModule):
    """Train a network on samples; every draw comes from seed, epoch, step and rank.

    Parameters
    ----------
    network
        Trained in place.
    training, validation
        Labelled inputs.
    settings
        How to train.
    seed
        Of every draw.
    split
        In how many parts a batch is shown, for want of memory.
    views
        Features of the training inputs: only the head learns, from these.

    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        network: ResNet,
        training: Samples,
        validation: Samples,
        settings: TrainSettings,
        seed: int,
        split: int = 1,
        views: FeatureViews | None = None,
        validation_features: Tensor | None = None,
    ) -> None:
        super().__init__()
        layers.freeze(network, settings.unfreeze)
        # Where features are given, nothing else need be averaged and stored.
        learning = network if views is None else _Head(network)
        self.network: Any = learning
        self.settings, self.seed = settings, seed
        self.samples, self.held_out, self.views = training, validation, views
        self.validation_features = validation_features
        self.split = split
        n_labels = int(network.fc.weight.shape[0])  # type: ignore[union-attr]
        weights = class_weights(training.targets, n_labels)
        if settings.balance != "weights":
            weights = np.ones_like(weights)
        self.label_weights: Tensor
        self.register_buffer(
            "label_weights", torch.from_numpy(weights), persistent=False
        )
        self.curve: list[dict[str, float]] = []
        self.case_losses: Tensor | None = None
        self._losses: list[float] = []
        self._logits: list[Tensor] = []

    @property
    def micro_batch(self) -> int:
        """Cases that one process sees at once."""
        whole = min(self.settings.batch, len(self.samples))
        return max(1, whole // (self.split * self._world))

    @property
    def steps(self) -> int:
        """Batches that one process sees in an epoch, a multiple of `split`."""
        whole = max(1, len(self.samples) // (self.micro_batch * self._world))
        return max(self.split, whole - whole % self.split)

    @property
    def _world(self) -> int:
        return self._trainer.world_size if self._trainer is not None else 1

    def on_train_epoch_start(self) -> None:
        """Keep frozen stages as they are, and draw the order of the cases."""
        learning = self.settings.unfreeze
        if self.settings.gradual:
            epochs = self.settings.epochs
            learning = layers.learning_at(learning, self.current_epoch, epochs)
            layers.freeze(self.network, learning)
        # Lightning keeps the mode of each layer, and probes have left all in eval.
        self.network.train()
        layers.keep_frozen_still(self.network, learning)
        self._losses = []
        self._order = epoch_order(
            self.samples.targets,
            seed=self.seed,
            epoch=self.current_epoch,
            balanced=self.settings.balance == "sampling",
        )

    def training_step(self, batch: Any, step: int) -> Tensor:
        """Return the loss of one batch."""
        size = self.micro_batch
        first = (step * self._world + self.global_rank) * size
        rows = self._order[np.arange(first, first + size) % len(self._order)]
        random = generator(
            self.seed, self.current_epoch, step, self.global_rank, self.device
        )
        losses = self._losses_of(self._training_logits(rows, random), rows)
        wrong = rows[(~torch.isfinite(losses)).cpu().numpy()]
        if self._anywhere(bool(len(wrong))):
            raise self._not_finite(wrong)
        loss = losses.mean()
        self._losses.append(float(loss.detach()))
        return loss

    def _training_logits(
        self, rows: NDArray[np.int64], random: torch.Generator
    ) -> Tensor:
        if self.views is not None:
            features = self.views.batch(rows, random)
        else:
            images = self.samples.images(rows, self.device)
            features = self._pooled(self.settings.augmentation(images, random))
        logits: Tensor = self.network.fc(features)
        return logits

    def _pooled(self, images: Tensor) -> Tensor:
        """Return features of images without their mirror images.

        Those are among the augmented ones, and would cost a validation several times.
        """
        cells: Tensor = self.network.features(channels_last(images))
        return cells.flatten(2).mean(dim=2)

    def _losses_of(self, logits: Tensor, rows: NDArray[np.int64]) -> Tensor:
        targets = torch.from_numpy(self.samples.targets[rows]).to(self.device)
        counts = torch.from_numpy(self.samples.weights[rows]).to(self.device)
        losses = functional.cross_entropy(
            logits.float(),
            targets,
            label_smoothing=self.settings.smoothing,
            reduction="none",
        )
        return losses * counts * self.label_weights[targets]

    def _anywhere(self, here: bool) -> bool:
        """Tell whether something is so in any process: all of them stop together."""
        if self._world == 1:
            return here
        found: bool = self.trainer.strategy.reduce_boolean_decision(here, all=False)
        return found

    def _not_finite(self, rows: NDArray[np.int64]) -> NonFiniteLossError:
        if self._world > 1:
            found: list[Any] = [None] * self._world
            torch.distributed.all_gather_object(found, rows)
            rows = np.concatenate(found)
        # One such case spoils its whole batch through BatchNorm: look for the cause.
        cause = ~torch.isfinite(self.samples.images(rows, "cpu")).flatten(1).all(dim=1)
        rows = rows[cause.numpy()] if bool(cause.any()) else rows
        named = ", ".join(self.samples.names[r] for r in rows[:3])
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        return NonFiniteLossError(
            f"the loss is not a number in epoch {self.current_epoch + 1}, at {named}"
            f"{more}",
            remedy="Look at these scans, or train with a lower learning rate",
        )

    def on_validation_epoch_start(self) -> None:
        """Begin to collect logits."""
        self._logits = []

    def validation_step(self, rows: Tensor, step: int) -> None:
        """Keep the logits of a few validation cases."""
        index = rows.cpu().numpy()
        if self.validation_features is not None:
            features = self.validation_features[rows.cpu()].to(self.device)
        else:
            features = self._pooled(self.held_out.images(index, self.device))
        self._logits.append(self.network.fc(features).float().cpu())

    def on_validation_epoch_end(self) -> None:
        """Log loss and AUROC of the validation cases."""
        logits = torch.cat(self._logits).double()
        targets = torch.from_numpy(self.held_out.targets)
        losses = functional.cross_entropy(logits, targets, reduction="none")
        counts = torch.from_numpy(self.held_out.weights)
        self.case_losses = losses * counts
        loss = float(self.case_losses.sum() / counts.sum())
        figures = {"validation_loss": loss}
        figures["validation_accuracy"] = float(
            (logits.argmax(dim=1) == targets).double().mean()
        )
        area = auroc(logits.softmax(dim=1).numpy(), self.held_out.targets)
        if area is not None:
            figures["validation_auroc"] = area
        self.figures = figures
        self.log_dict(figures)

    def note_epoch(self) -> None:
        """Note the figures of the epoch, before its checkpoint is written."""
        entry = {"epoch": self.current_epoch + 1.0}
        entry["training_loss"] = float(np.mean(self._losses or [np.nan]))
        self.curve.append(entry | getattr(self, "figures", {}))

    def configure_optimizers(self) -> Any:
        """Return AdamW with a rate for each stage, and its schedule."""
        s = self.settings
        groups = layers.parameter_groups(
            self.network, rate=s.rate, decay=s.layer_decay, weight_decay=s.weight_decay
        )
        total = s.epochs * (self.steps // self.split)
        optimizer = torch.optim.AdamW(groups, s.rate)
        schedule: torch.optim.lr_scheduler.LRScheduler
        if s.schedule == "onecycle":
            peaks = [g["lr"] for g in groups]
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, peaks, total_steps=total + 1, pct_start=0.25
            )
        else:
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curve, too."""
        checkpoint["curve"] = self.curve

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the curve."""
        self.curve = list(checkpoint["curve"])


class _Head(torch.nn.Module):
    """The last layer of a network, shared with it."""

    def __init__(self, network: ResNet) -> None:
        super().__init__()
        self.fc = network.fc


def channels_last(images: Tensor) -> Tensor:
    """Return images in the memory order in which convolutions are fastest."""
    last = torch.channels_last_3d if images.ndim == 5 else torch.channels_last
    return images.to(memory_format=last)


def auroc(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64]
) -> float | None:
    """Return the area under the ROC curve, the mean over labels where they are many.

    None where one label alone is there.
    """
    from sklearn.metrics import roc_auc_score

    present = np.unique(targets)
    if len(present) < 2:
        return None
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(targets == 1, probabilities[:, 1]))
    areas = [roc_auc_score(targets == k, probabilities[:, k]) for k in present]
    return float(np.mean(areas))
