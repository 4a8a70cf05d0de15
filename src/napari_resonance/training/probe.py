"""How far a pretrained network serves already: linear classifiers on each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_resonance.classifier.engines import is_out_of_memory
from napari_resonance.classifier.network import HiddenHead, ResNet
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.training.augment import Augmentation, generator
from napari_resonance.training.devices import too_large
from napari_resonance.training.layers import STAGES
from napari_resonance.training.module import auroc, channels_last
from napari_resonance.training.samples import FeatureViews, Samples

FloatArray = NDArray[np.float64]

_BATCH = 16
_REPEATS = 300


@dataclass(frozen=True)
class Probe:
    """A linear classifier on the pooled features of a stage, cross-validated.

    Parameters
    ----------
    stage
        Its name.
    auroc, low, high
        Area under the ROC curve with its 95 % interval, bootstrapped over patients.

    """

    stage: str
    auroc: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "stage": self.stage,
            "auroc": {"value": self.auroc, "low": self.low, "high": self.high},
        }


def stage_features(
    network: ResNet,
    samples: Samples,
    device: str = "cpu",
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> dict[str, FloatArray]:
    """Return pooled features ``(n, F)`` after each stage, in one pass."""
    network.to(device).eval()
    found: dict[str, list[FloatArray]] = {stage: [] for stage in STAGES}
    rows = np.arange(len(samples))

    def run(chunk: NDArray[np.int64]) -> list[FloatArray]:
        _check(should_stop)
        x = network.stem(channels_last(samples.images(chunk, device)))
        parts = []
        for stage in STAGES:
            x = x if stage == "stem" else getattr(network, stage)(x)
            parts.append(x.flatten(2).mean(dim=2).cpu().double().numpy())
        return parts

    with torch.no_grad():
        for done, parts in _in_parts(rows, run):
            for stage, pooled in zip(STAGES, parts, strict=True):
                found[stage].append(pooled)
            progress(done, len(rows), "features of each stage")
    return {stage: np.concatenate(parts) for stage, parts in found.items()}


def _in_parts(
    rows: NDArray[np.int64], run: Callable[[NDArray[np.int64]], Any]
) -> Iterator[tuple[int, Any]]:
    """Yield how many rows are done, and what was made of some more of them.

    Of fewer at once where the memory does not suffice.

    Raises
    ------
    TrainingError
        If it does not suffice for a single case.

    """
    done, size = 0, _BATCH
    while done < len(rows):
        try:
            made = run(rows[done : done + size])
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise too_large() from error
            size //= 2
            continue
        done = min(done + size, len(rows))
        yield done, made


def probe_stages(
    features: Mapping[str, FloatArray], samples: Samples, *, seed: int = 0
) -> list[Probe]:
    """Return how well the features of each stage tell the labels apart.

    Logistic regressions, cross-validated so that no patient is on both sides.
    """
    patients = samples.patients
    resampled = _resampled(patients, seed)
    return [
        _probe(stage, _out_of_fold(values, samples, seed), samples.targets, resampled)
        for stage, values in features.items()
    ]


def _out_of_fold(values: FloatArray, samples: Samples, seed: int) -> FloatArray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = np.unique(samples.targets)
    fewest = min(
        len(np.unique(samples.patients[samples.targets == label])) for label in labels
    )
    folds = StratifiedGroupKFold(
        max(2, min(5, fewest)), shuffle=True, random_state=seed
    )
    result = np.full((len(values), int(labels.max()) + 1), 1 / len(labels))
    for train, test in folds.split(values, samples.targets, samples.patients):
        if len(np.unique(samples.targets[train])) < 2:
            continue
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=0.05, class_weight="balanced", max_iter=2000),
        )
        model.fit(values[train], samples.targets[train])
        result[np.ix_(test, model.classes_)] = model.predict_proba(values[test])
    return result


def _resampled(patients: NDArray[np.str_], seed: int) -> list[NDArray[np.intp]]:
    random = np.random.default_rng(seed)
    groups = [np.flatnonzero(patients == p) for p in np.unique(patients)]
    return [
        np.concatenate(
            [groups[g] for g in random.integers(len(groups), size=len(groups))]
        )
        for _ in range(_REPEATS)
    ]


def _probe(
    stage: str,
    probabilities: FloatArray,
    targets: NDArray[np.int64],
    resampled: list[NDArray[np.intp]],
) -> Probe:
    areas = [auroc(probabilities[rows], targets[rows]) for rows in resampled]
    known = [a for a in areas if a is not None] or [0.5]
    low, high = np.percentile(known, (2.5, 97.5))
    return Probe(stage, auroc(probabilities, targets) or 0.5, float(low), float(high))


def unfreeze_from(probes: list[Probe], n: int) -> tuple[str, str]:
    """Return from which stage on to learn, and why.

    The stages up to the best one serve as they are: what follows it learns. Where the
    last stage is the best, the head suffices for few cases, and the last stage learns
    too where there are many. A stage counts as better where it is by a quarter of the
    interval's width, for the more is kept the less can be overfitted.
    """
    best = max(probes, key=lambda p: p.auroc)
    margin = (best.high - best.low) / 4
    chosen = [p for p in probes if p.auroc >= best.auroc - margin][-1]
    place = STAGES.index(chosen.stage)
    text = (
        f"{chosen.stage} tells the labels apart with AUROC {chosen.auroc:.3f} "
        f"({chosen.low:.3f} to {chosen.high:.3f})"
    )
    if place < len(STAGES) - 1:
        return STAGES[place + 1], f"{text}, and no later stage does better"
    if n < 100:
        return "head", f"{text}; {n} training cases are too few to change it"
    return "layer4", f"{text}; {n} training cases can improve it"


def feature_views(  # noqa: PLR0913
    network: ResNet,
    samples: Samples,
    augmentation: Augmentation,
    *,
    views: int,
    seed: int,
    device: str = "cpu",
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> FeatureViews:
    """Return pooled features of augmented views, the first of them as it is."""
    parts = [pooled_features(network, samples, device)]
    rows = np.arange(len(samples))
    for view in range(1, views):

        def run(chunk: NDArray[np.int64], view: int = view) -> torch.Tensor:
            _check(should_stop)
            random = generator(seed, view, int(chunk[0]), 0, device)
            images = augmentation(samples.images(chunk, device), random)
            return _pooled(network, images)

        parts.append(torch.cat([made for _, made in _in_parts(rows, run)]))
        progress(view + 1, views, f"features of view {view + 1} of {views}")
    return FeatureViews(torch.stack(parts))


def pooled_features(network: ResNet, samples: Samples, device: str) -> torch.Tensor:
    """Return the features ``(n, F)`` that the last layer is given."""
    network.to(device).eval()
    rows = np.arange(len(samples))
    if not len(rows):
        return torch.zeros((0, _features(network)))

    def run(chunk: NDArray[np.int64]) -> torch.Tensor:
        return _pooled(network, samples.images(chunk, device))

    return torch.cat([made for _, made in _in_parts(rows, run)])


def _features(network: ResNet) -> int:
    head: Any = network.fc
    layer = head.hidden if isinstance(head, HiddenHead) else head
    return int(layer.in_features)


def _pooled(network: ResNet, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        cells = network.logits_and_features(channels_last(images))[1]
        return cells.flatten(2).mean(dim=2).float().cpu()


def answers(
    network: ResNet, samples: Samples, device: str = "cpu"
) -> tuple[FloatArray, FloatArray]:
    """Return logits ``(n, K)`` and pooled features ``(n, F)``."""
    features = pooled_features(network, samples, device)
    network.cpu()
    with torch.no_grad():
        logits = network.fc(features)  # type: ignore[misc]
    return logits.double().numpy(), features.double().numpy()


def _check(should_stop: ShouldStop) -> None:
    if should_stop():
        from napari_resonance.errors import CancelledError

        raise CancelledError("the training was stopped")
