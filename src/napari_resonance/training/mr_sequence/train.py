"""Train a ResNet on head boxes, with averaged weights."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging
from torch import Tensor
from torch.utils.data import DataLoader

from napari_resonance.classifier.network import ResNet, build_resnet
from napari_resonance.progress import Progress, no_progress
from napari_resonance.training.devices import precision_for
from napari_resonance.training.module import channels_last
from napari_resonance.training.mr_sequence.batches import BatchSettings, HeadBatches
from napari_resonance.training.mr_sequence.heads import HeadSet


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Parameters
    ----------
    steps
        Batches seen.
    learning_rate
        Peak of the one-cycle schedule (Smith & Topin 2019).
    weight_decay
        Of AdamW.
    averaging
        Decay of the exponential moving average over weights and BatchNorm statistics.
    batches
        What a batch is made of.

    """

    steps: int = 1400
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    averaging: float = 0.99
    batches: BatchSettings = field(default_factory=BatchSettings)


class _Training(lightning.LightningModule):
    def __init__(self, network: ResNet, settings: TrainingSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, odds = batch
        # Mirror images are among the augmented ones, so that one pass is enough here.
        features = self.network.features(channels_last(images)).flatten(2).mean(dim=2)
        logits: Tensor = self.network.fc(features)  # type: ignore[misc]
        return -(odds * logits.log_softmax(dim=1)).sum(dim=1).mean()

    def configure_optimizers(self) -> Any:
        s = self.settings
        optimizer = torch.optim.AdamW(
            self.parameters(), s.learning_rate, weight_decay=s.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, s.learning_rate, total_steps=s.steps, pct_start=0.2
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class _Report(Callback):
    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total = progress, total

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        self.progress(batch_idx + 1, self.total, f"loss {float(loss):.3f}")


def train_network(
    heads: HeadSet,
    definition: Mapping[str, Any],
    settings: TrainingSettings,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> ResNet:
    """Return a network trained from scratch, its weights averaged over the last steps.

    Parameters
    ----------
    heads
        The labelled heads.
    definition
        A literal ``network_def``.
    settings
        How to train.
    seed
        Of the first weights and of every draw.
    progress
        Called after each step.

    """
    torch.manual_seed(seed)
    network = build_resnet(definition).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    module = _Training(network, settings)
    data = HeadBatches(heads, settings.batches, steps=settings.steps, seed=seed)
    averaging = EMAWeightAveraging(decay=settings.averaging)
    # Lightning tells about unused features of its own; progress goes to the caller.
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        max_steps=settings.steps,
        accelerator="auto",
        precision=precision_for("auto", "auto"),  # type: ignore[arg-type]
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[averaging, _Report(progress, settings.steps)],
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        trainer.fit(module, DataLoader(data, batch_size=None))
    return module.network.cpu().eval()
