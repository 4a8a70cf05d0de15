"""All networks that one fine-tuning trains: members, folds, and on all cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_resonance.classifier.network import Ensemble
from napari_resonance.training import probe
from napari_resonance.training.callbacks import Surroundings
from napari_resonance.training.devices import device_for
from napari_resonance.training.learn import Learned, learn
from napari_resonance.training.options import Decision
from napari_resonance.training.plan import Start, members_of
from napari_resonance.training.train import Trained

if TYPE_CHECKING:
    import torch

    from napari_resonance.training.finetune import Run
    from napari_resonance.training.samples import Samples
    from napari_resonance.training.splits import Split

# So far apart that members of trainings with neighbouring seeds share none.
_BETWEEN_SEEDS = 7919

State = Mapping[str, "torch.Tensor"]


def learn_splits(
    run: Run, start: Start, state: State, samples: Samples, splits: Sequence[Split]
) -> tuple[list[Learned], Learned, list[Decision]]:
    """Train on each split, and make the network that is stored.

    Returns
    -------
    list of Learned
        For each split, the networks that answer about its held-out cases.
    Learned
        What is stored: that of the only split; with folds, one trained on all cases,
        or all of the folds' together.
    list of Decision
        What was decided on the way.

    """
    learned = []
    for fold, split in enumerate(splits):
        title = f"fold {fold + 1} of {len(splits)}, " if len(splits) > 1 else ""
        sides = {
            "train": samples.chosen(split.train),
            "validation": samples.chosen(split.validation),
            "test": samples.chosen(split.test),
        }
        learned.append(_members(run, start, state, sides, title))
    if len(splits) == 1:
        return learned, learned[0], list(learned[0].decisions)
    if run.options.keep_folds:
        final = _of_folds(learned, samples, run.options.device)
        what = f"the {len(final.networks)} networks of the folds together"
    else:
        nobody = samples.chosen(())
        sides = {"train": samples, "validation": nobody, "test": nobody}
        final = _members(run, start, state, sides, "all cases, ")
        what = "trained on all cases"
    why = (
        f"the figures are those of {len(splits)} trainings, each on the fold it had "
        "not seen"
    )
    decision = Decision("final network", what, why)
    return learned, final, [decision, *final.decisions]


def _members(
    run: Run, start: Start, state: State, sides: Mapping[str, Samples], title: str
) -> Learned:
    """Train the networks that answer together, which differ by their seed."""
    options = run.options
    count, decision = members_of(options, start, sides["train"].inputs.shape)
    name = title.split(" of", maxsplit=1)[0].strip(", ").replace(" ", "-") or "single"
    learned: list[Learned] = []
    for number in range(count):
        folder, words = run.work / name, title
        if count > 1:
            folder /= f"member-{number + 1}"
            words = f"{title}member {number + 1} of {count}, "
        if learned and run.should_finish() and not _is_begun(folder, run):
            decision = Decision("members", len(learned), "training was ended by hand")
            break
        around = Surroundings(
            folder=folder,
            resume=run.resume,
            device=options.device,
            devices=options.devices,
            progress=run.progress,
            should_stop=run.should_stop,
            title=words,
            on_epoch=run.on_epoch,
            should_finish=run.should_finish,
        )
        seed = options.seed + number * _BETWEEN_SEEDS
        learned.append(learn(start, state, sides, options, seed=seed, around=around))
    joined = together(learned)
    return replace(joined, decisions=(*joined.decisions, decision))


def _is_begun(folder: Path, run: Run) -> bool:
    """Tell whether an earlier process left a network of this run that can go on."""
    return run.resume and (folder / "last.ckpt").is_file()


def together(learned: Sequence[Learned]) -> Learned:
    """Return networks as one that answers with the mean of their logits.

    All have answered about the same cases; the only one of one is returned as it is.
    """
    if len(learned) == 1:
        return learned[0]
    first = learned[0]
    network = Ensemble.of([n for x in learned for n in x.networks])
    notes = [
        f"member {number}: {note}"
        for number, x in enumerate(learned, 1)
        for note in x.trained.notes
    ]
    trained = Trained(
        network,
        first.trained.curve,
        max(x.trained.resumed_at for x in learned),
        [s for x in learned for s in x.trained.epoch_seconds],
        tuple(notes),
    )
    return replace(
        first,
        network=network,
        trained=trained,
        members=tuple(m for x in learned for m in x.runs),
        logits={
            s: np.mean([x.logits[s] for x in learned], axis=0) for s in first.logits
        },
        features={
            s: np.concatenate([x.features[s] for x in learned], axis=1)
            for s in first.features
        },
    )


def _of_folds(learned: Sequence[Learned], samples: Samples, device: str) -> Learned:
    """Return the networks of all folds together, with their answers about all cases."""
    answered = []
    for run in (run for fold in learned for run in fold.runs):
        (network,) = run.networks
        logits, features = probe.answers(network, samples, device_for(device))
        answered.append(
            replace(run, logits={"train": logits}, features={"train": features})
        )
    joined = together(answered)
    return replace(joined, decisions=learned[0].decisions)
