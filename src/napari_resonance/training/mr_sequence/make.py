"""Train the embedded classifier ``mr-sequence``: T1w, T2w or FLAIR.

``python -m napari_resonance.training.mr_sequence LABELS.csv --out FOLDER`` repeats what
made the model that comes with the package, from any label file with the columns path,
label, patient and site.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import load_file, save_file

from napari_resonance.classifier.bundle import save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.definition import resnet_definition
from napari_resonance.classifier.distribution import TrainingStatistics, fit_statistics
from napari_resonance.classifier.network import (
    ResNet,
    build_resnet,
    round_to_half,
    state_dict_of,
)
from napari_resonance.preprocessing import Recipe
from napari_resonance.training.labels import read_labels
from napari_resonance.training.mr_sequence.card import make_card
from napari_resonance.training.mr_sequence.heads import HeadSet, prepare_heads
from napari_resonance.training.mr_sequence.held_out import (
    HeldOut,
    answer,
    calibrate,
    figures,
    folds_of,
    held_out,
    network_inputs,
    variants_of,
)
from napari_resonance.training.mr_sequence.train import TrainingSettings, train_network

LABELS = ("T1w", "T2w", "FLAIR")
RECIPE = Recipe.from_json(
    {
        "dimensions": 3,
        "steps": [
            {"step": "orient", "code": "RAS"},
            {"step": "resample_spacing", "spacing": [3.0, 3.0, 3.0]},
            {
                "step": "head_crop",
                "shape": [49, 57, 34],
                "height_mm": 100.0,
                "threshold": 0.08,
            },
            {"step": "rank", "threshold": 0.08},
        ],
    }
)
# 49 voxels are 6 strides of 8 and one more: the mirror image's cells fall onto the
# image's own. The dilated last stage keeps these cells at 24 mm.
NETWORK = resnet_definition(
    10,
    dimensions=3,
    n_labels=len(LABELS),
    widths=(16, 32, 64, 96),
    conv1_t_size=5,
    conv1_t_stride=2,
    no_max_pool=True,
    bias_downsample=False,
    dilations=[1, 1, 1, 2],
    mirror_axis=0,
)
# Share of held-out distances that the limit of the training distribution lets pass.
_WITHIN_LIMIT = 0.99


@dataclass(frozen=True)
class Run:
    """One training run of the cross-validation.

    Parameters
    ----------
    fold
        Its name, ``"patient ..."`` or ``"site ..."``.
    left_out
        Patients that are tested and not trained on.
    seed, steps
        Of the training.

    """

    fold: str
    left_out: tuple[str, ...]
    seed: int
    steps: int

    @property
    def file_name(self) -> str:
        """Name of the file with its answers, so that a stopped run can go on."""
        fold = "".join(c if c.isalnum() else "-" for c in self.fold)
        return f"{fold}-seed{self.seed}-steps{self.steps}.npz"


@dataclass(frozen=True)
class Workplace:
    """Where results of runs are kept, how many run at a time, where to report."""

    folder: Path
    jobs: int
    console: Console


def train_all(
    heads: HeadSet, runs: Sequence[Run], steps: int, work: Workplace
) -> tuple[ResNet, dict[Run, HeldOut]]:
    """Train the final network and every fold; what is on disk already is kept."""
    work.folder.mkdir(parents=True, exist_ok=True)
    final = work.folder / f"all-seed0-steps{steps}.safetensors"
    missing = [r for r in runs if not (work.folder / r.file_name).exists()]
    calls: dict[str, Callable[[], None]] = {}
    if not final.exists():
        calls["all patients"] = partial(run_final, heads, steps, final)
    for r in missing:
        calls[f"{r.fold}, seed {r.seed}"] = partial(run_fold, heads, r, work.folder)
    with ProcessPoolExecutor(work.jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(call): name for name, call in calls.items()}
        for future in as_completed(futures):
            future.result()
            work.console.log(f"{futures[future]}: trained")
    network = build_resnet(NETWORK)
    network.load_state_dict(load_file(final))
    # Weights and converted model together must stay small enough for a package.
    round_to_half(network)
    return network.eval(), {r: load_held_out(work.folder / r.file_name) for r in runs}


def run_final(heads: HeadSet, steps: int, path: Path) -> None:
    """Train on all patients and store the weights."""
    torch.set_num_threads(1)
    network = train_network(heads, NETWORK, TrainingSettings(steps=steps), seed=0)
    draft = path.with_name(f".{path.name}")
    save_file(state_dict_of(network), draft)
    draft.rename(path)


def run_fold(heads: HeadSet, run: Run, folder: Path) -> None:
    """Train without some patients, test on them, store the answers."""
    torch.set_num_threads(1)
    training = heads.without(run.left_out)
    settings = TrainingSettings(steps=run.steps)
    network = train_network(training, NETWORK, settings, seed=run.seed)
    statistics = statistics_of(network, training, limit=1.0)
    answers = held_out(network, heads.only(run.left_out), statistics)
    draft = folder / f".{run.file_name}"
    with draft.open("wb") as stream:
        np.savez(stream, **vars(answers))
    draft.rename(folder / run.file_name)


def load_held_out(path: Path) -> HeldOut:
    """Read the answers that `run_fold` stored."""
    with np.load(path) as arrays:
        return HeldOut(**dict(arrays))


def statistics_of(
    network: ResNet,
    heads: HeadSet,
    limit: float,
    descriptors: NDArray[np.float64] | None = None,
) -> TrainingStatistics:
    """Fit where heads and their degraded variants lie in the network's features."""
    features = []
    for boxes in variants_of(heads).values():
        features.append(answer(network, network_inputs(boxes))[1])
    targets = np.tile(heads.targets, len(features))
    measured = np.zeros((1, 4)) if descriptors is None else descriptors
    return fit_statistics(np.concatenate(features), targets, limit, widened(measured))


def widened(
    descriptors: NDArray[np.float64], share: float = 0.5
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the range of descriptors, wider by a share of it on both sides.

    Few patients do not show the extremes of all heads.
    """
    lowest, highest = descriptors.min(axis=0), descriptors.max(axis=0)
    extra = share * (highest - lowest)
    return lowest - extra, highest + extra


def train_mr_sequence(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Cross-validate, train on everything, and write the bundle."""
    heads = prepare_heads(read_labels(options.labels).cases, RECIPE, LABELS)
    console.log(f"{len(heads.targets)} scans of {len(set(heads.patients))} patients")
    runs = [
        Run(name, tuple(patients), seed, options.fold_steps)
        for seed in range(options.seeds)
        for name, patients in folds_of(heads).items()
    ]
    work = Workplace(options.work, options.jobs, console)
    network, answers = train_all(heads, runs, options.steps, work)
    by_patient = HeldOut.joined([a for r, a in answers.items() if "patient" in r.fold])
    by_site = [a for r, a in answers.items() if "site" in r.fold]
    calibration = calibrate(by_patient, HeldOut.joined(by_site) if by_site else None)
    limit = float(np.quantile(by_patient.distances, _WITHIN_LIMIT))
    performance = performance_of(answers, calibration, limit)
    for name, value in performance.items():
        console.log(name, value)

    statistics = statistics_of(network, heads, limit, by_patient.descriptors)
    how = (
        f"The figures are of {options.seeds} training run(s) a fold with "
        f"{options.fold_steps} steps; this network saw {options.steps}. Intervals "
        "hold patients together; temperature and threshold were chosen on the same "
        "held-out answers"
    )
    card = make_card(LABELS, performance, how)
    save_bundle(
        options.out,
        network=network,
        network_def=NETWORK,
        recipe=RECIPE,
        calibration=calibration,
        card=card,
        statistics=statistics,
        convert=True,
    )
    return performance


def performance_of(
    answers: dict[Run, HeldOut], calibration: Calibration, limit: float
) -> dict[str, Any]:
    """Return the card's figures: by patient and by site, as acquired and degraded."""
    result: dict[str, Any] = {}
    several = {r.fold.split(" ", 1)[1] for r in answers if r.fold.startswith("site")}
    for scheme in ("patient", "site"):
        parts = [a for r, a in answers.items() if _belongs(r, a, scheme, several)]
        joined = HeldOut.joined(parts)
        acquired = joined.variants == "as acquired"
        for name, keep in (("as_acquired", acquired), ("degraded", ~acquired)):
            chosen = joined.chosen(keep)
            for figure, value in figures(chosen, calibration, limit).items():
                result[f"{figure}_left_out_{scheme}_{name}"] = dict(value)
    return result


def _belongs(run: Run, answers: HeldOut, scheme: str, several: set[str]) -> bool:
    """Tell whether a run is a fold of the scheme; sites of one patient serve both."""
    if scheme == "patient":
        return run.fold.startswith("patient")
    return run.fold.startswith("site") or str(answers.sites[0]) not in several


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path, help="CSV: path, label, patient, site")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder")
    parser.add_argument("--work", type=Path, default=Path("mr-sequence-folds"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--fold-steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    train_mr_sequence(parser.parse_args(), Console(stderr=True))
