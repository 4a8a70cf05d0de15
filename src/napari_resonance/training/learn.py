"""One training from its start to its answers: probe, freeze, train, answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_resonance.classifier.network import Network, ResNet, build_resnet
from napari_resonance.training import probe
from napari_resonance.training.callbacks import Surroundings
from napari_resonance.training.devices import device_for
from napari_resonance.training.layers import freeze, learning_at
from napari_resonance.training.module import TrainSettings
from napari_resonance.training.options import PRESETS, Decision, FinetuneOptions
from napari_resonance.training.plan import Start, plan_training
from napari_resonance.training.samples import Samples
from napari_resonance.training.train import Task, Trained, train

if TYPE_CHECKING:
    from napari_resonance.training.probe import Probe

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Learned:
    """A trained network, or several that answer together, with their answers.

    Parameters
    ----------
    network
        On the CPU; an ensemble where there are several members.
    settings
        How it was trained.
    decisions
        What was decided on the way.
    probes
        Linear classifiers on each stage, where ``unfreeze`` was ``"auto"``.
    trained
        How it went.
    logits, features
        By side: ``"train"``, ``"validation"``, ``"test"``.
    members
        Each of the trainings of an ensemble; empty of a single network.

    """

    network: Network
    settings: TrainSettings
    decisions: tuple[Decision, ...]
    probes: tuple[Probe, ...]
    trained: Trained
    logits: Mapping[str, FloatArray] = field(default_factory=dict)
    features: Mapping[str, FloatArray] = field(default_factory=dict)
    members: tuple[Learned, ...] = ()

    @property
    def runs(self) -> tuple[Learned, ...]:
        """Each of the trainings."""
        return self.members or (self,)

    @property
    def networks(self) -> list[ResNet]:
        """The network of each training."""
        return [m.network for m in self.runs if isinstance(m.network, ResNet)]


def begun(start: Start, state: Mapping[str, torch.Tensor], seed: int) -> ResNet:
    """Return the network with its first weights."""
    torch.manual_seed(seed)
    network = build_resnet(start.definition)
    if state:
        network.load_state_dict(network.state_dict() | dict(state))
    return network


def learn(
    start: Start,
    state: Mapping[str, torch.Tensor],
    sides: Mapping[str, Samples],
    options: FinetuneOptions,
    *,
    seed: int,
    around: Surroundings,
) -> Learned:
    """Train a network on one split.

    Parameters
    ----------
    start, state
        Definition and pretrained tensors.
    sides
        Samples by ``"train"``, ``"validation"`` and ``"test"``; the last two may be
        empty.
    options
        What was chosen.
    seed
        Of every draw.
    around
        Where to run, and whom to tell.

    """
    training = sides["train"]
    network = begun(start, state, seed)
    settings, decisions = plan_training(
        options, start, training.inputs, training.targets
    )
    device = device_for(around.device)
    probes: list[Probe] = []
    if options.unfreeze == "auto":
        unfreeze, why = "all", "none of it knows real scans"
        if not start.is_new:
            features = probe.stage_features(
                network, training, device, around.progress, around.should_stop
            )
            probes = probe.probe_stages(features, training, seed=options.seed)
            unfreeze, why = probe.unfreeze_from(probes, len(training))
        settings = replace(settings, unfreeze=unfreeze)
        decisions.append(Decision("unfreeze", unfreeze, why))
    else:
        decisions.append(Decision("unfreeze", options.unfreeze, "chosen"))
    if settings.gradual:
        decisions.append(_joining(settings))
    task = Task(network, training, sides["validation"], settings, seed)
    if settings.unfreeze == "head":
        task, decision = _with_views(task, options, device, around)
        decisions.append(decision)
    threads = torch.get_num_threads()
    if task.views is not None:
        torch.set_num_threads(1)  # a head is so small that threads wait for each other
    try:
        trained = train(task, around)
    finally:
        torch.set_num_threads(threads)
    logits, found = {}, {}
    for side, samples in sides.items():
        if len(samples):
            logits[side], found[side] = probe.answers(network, samples, device)
    trained.network.cpu()
    return Learned(
        trained.network,
        settings,
        tuple(decisions),
        tuple(probes),
        trained,
        logits,
        found,
    )


def _joining(settings: TrainSettings) -> Decision:
    """Say from which epoch on each stage learns."""
    first: dict[str, int] = {}
    for epoch in range(settings.epochs):
        stage = learning_at(settings.unfreeze, epoch, settings.epochs)
        first.setdefault(stage, epoch + 1)
    text = ", ".join(f"{stage} from epoch {epoch}" for stage, epoch in first.items())
    return Decision("gradual unfreezing", text, "chosen")


def _with_views(
    task: Task, options: FinetuneOptions, device: str, around: Surroundings
) -> tuple[Task, Decision]:
    """Run the frozen network once over augmented views, and never again."""
    count = int(PRESETS[options.preset]["views"])
    freeze(task.network, "head")
    began = time.perf_counter()
    views = probe.feature_views(
        task.network,
        task.training,
        task.settings.augmentation,
        views=count,
        seed=task.seed,
        device=device,
        progress=around.progress,
        should_stop=around.should_stop,
    )
    held_out = probe.pooled_features(task.network, task.validation, device)
    task.network.cpu()
    # Epochs of features cost nothing, so that a head can have many of them.
    epochs = options.epochs or 200
    settings = replace(task.settings, epochs=epochs, smoothing=0.0)
    seconds = time.perf_counter() - began
    decision = Decision(
        "feature cache",
        f"{count} views of each case",
        f"the network before the head is frozen; computed once in {seconds:.1f} s",
    )
    return (
        replace(task, settings=settings, views=views, validation_features=held_out),
        decision,
    )


def curve_json(trained: Trained) -> list[dict[str, Any]]:
    """Return the figures of each epoch, with None where one is not finite."""
    return [
        {k: (v if np.isfinite(v) else None) for k, v in entry.items()}
        for entry in trained.curve
    ]
