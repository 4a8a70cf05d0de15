"""How well each saliency method finds what decides: lesions planted in real scans.

Pieces of real heads are copied with a lesion planted in them and without
(`planted.py`). A classifier is trained by the ordinary `finetune` to tell which is
which: in 3D from the embedded `mr-sequence`, all of whose layers learn on, in 2D from
scratch. The maps of all methods are then scored on lesions in patients that it has
never seen: pointing game, share of the evidence in the mask, and overlap at a threshold
that is chosen on validation patients. A classifier that has not learnt its task is not
scored: its maps would say nothing about the methods::

    python benchmarks/localisation.py ../shared/data/mr_sequence [--only 2D]

With `--work FOLDER` pieces and model stay there, and a later call goes on with them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from planted import LABEL, Case, Setting, planted, write_table
from sklearn.metrics import roc_auc_score

from napari_resonance import (
    ExplainOptions,
    explain,
    finetune,
    load_classifier,
    read_scan,
)
from napari_resonance.classifier.predict import Classifier
from napari_resonance.classifier.prediction import Saliency
from napari_resonance.errors import SaliencyError
from napari_resonance.saliency.localisation import (
    Mask,
    best_share,
    chance_of_pointing,
    mass_inside,
    overlap,
    points_at,
)
from napari_resonance.saliency.methods import METHODS
from napari_resonance.training.options import SCRATCH, FinetuneOptions

LEARNT = 0.75  # a test AUC below which maps are not worth being scored
# The last feature map and, of two methods, the one before it.
ASKED = [
    *((name, None) for name in METHODS),
    ("gradcam", "layer3"),
    ("hirescam", "layer3"),
]

Pairs = dict[str, list[tuple[Saliency, Mask]]]


@dataclass(frozen=True)
class Training:
    """What is planted, and how a network learns to see it."""

    setting: Setting
    pretrained: str
    epochs: int
    flip: str


TRAININGS = {
    "3D": Training(
        Setting(1.9, (25, 25, 25), {"train": 50, "validation": 24, "test": 16}),
        "mr-sequence",
        20,
        "xyz",
    ),
    "2D": Training(
        Setting(1.9, (64, 64, 1), {"train": 60, "validation": 24, "test": 16}),
        SCRATCH,
        30,
        "xy",
    ),
}


def main() -> None:
    """Plant, train, explain, score, and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", type=Path, help="folder of the head scans")
    parser.add_argument("--only", default="", choices=["", *TRAININGS])
    parser.add_argument("--pretrained", help="what each training begins with")
    parser.add_argument("--train", type=int, help="most pieces to learn from")
    parser.add_argument("--epochs", type=int, help="of each training")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--maps", type=int, default=60, help="most maps of each side")
    parser.add_argument("--work", type=Path, help="folder in which all of it is kept")
    options = parser.parse_args()
    for name, usual in TRAININGS.items():
        begins = options.pretrained or usual.pretrained
        training = replace(usual, pretrained=begins)
        if options.only in ("", name):
            with tempfile.TemporaryDirectory() as temporary:
                folder = (options.work or Path(temporary)) / name
                folder.mkdir(parents=True, exist_ok=True)
                _one(name, training, options, folder)


def _one(
    name: str, training: Training, options: argparse.Namespace, folder: Path
) -> None:
    started = time.perf_counter()
    cases = _fewer(planted(options.scans, training.setting, folder), options.train)
    if not (folder / "model").exists():
        _learn(training, options.epochs, cases, folder)
    classifier = load_classifier(folder / "model")
    area, right = _judged(classifier, cases)
    print(
        f"\n{name}: {len(cases)} pieces, {sum(c.side == 'train' for c in cases)} to "
        f"learn from; test AUC {area:.3f} after {time.perf_counter() - started:.0f} s",
        flush=True,
    )
    if not has_learnt(area):
        print("it has not learnt to find the lesions: its maps are not scored")
        return
    asked = {side: _spread(found, options.maps) for side, found in right.items()}
    share = np.mean([case.mask.share for case in asked["test"] if case.mask])
    print(f"{len(asked['test'])} maps of each method; a lesion fills {share:.3f}\n")
    print("| method | pointing game | by chance | evidence in the mask | overlap |")
    print("|---|---|---|---|---|")
    print(f"| a map that is the same everywhere | | | {share:.2f} | {share:.2f} |")
    for method, layer in ASKED:
        if method in options.methods:
            row = _scored(classifier, asked, method, layer)
            words = f"`{method}`" if layer is None else f"`{method}` of `{layer}`"
            print(f"| {words} | {row} |", flush=True)
    print(f"all in {time.perf_counter() - started:.0f} s")


def has_learnt(area: float) -> bool:
    """Tell whether a test AUC is one of a classifier whose maps are worth a score.

    NaN, the area where all test cases are of one kind, is not.
    """
    return area >= LEARNT


def _fewer(cases: list[Case], most: int | None) -> list[Case]:
    """Return so many pieces to learn from, with and without their lesion, and the rest.

    Every so manyth, so that all patients are among them.
    """
    train = [case for case in cases if case.side == "train"]
    step = 1 if most is None else max(1, -(-len(train) // most))
    pairs = [train[n : n + 2] for n in range(0, len(train), 2)][::step]
    rest = [case for case in cases if case.side != "train"]
    return [case for pair in pairs for case in pair] + rest


def _learn(
    training: Training, epochs: int | None, cases: list[Case], folder: Path
) -> None:
    shape = training.setting.shape
    options = FinetuneOptions(
        preset="quick",
        unfreeze="all",
        members=1,
        layer_decay=1.0,  # of what it knew, only the beginning is of use
        rate=2e-3,
        epochs=epochs or training.epochs,
        shape=shape if shape[2] > 1 else shape[:2],
        flip=training.flip,
    )
    finetune(
        write_table(cases, folder / "labels.csv"),
        folder / "model",
        pretrained=training.pretrained,
        options=options,
    )


def _judged(
    classifier: Classifier, cases: list[Case]
) -> tuple[float, dict[str, list[Case]]]:
    """Return the area under the curve on test cases, and the lesions that are found.

    Of an answer that is wrong, no map is right.
    """
    right: dict[str, list[Case]] = {"validation": [], "test": []}
    truth, answers = [], []
    for case in cases:
        if case.side == "train":
            continue
        found = classifier.classify(read_scan(case.path))
        if case.mask is not None and found.label == LABEL:
            right[case.side].append(case)
        if case.side == "test":
            truth.append(case.mask is not None)
            answers.append(found.probabilities[LABEL])
    return float(roc_auc_score(truth, answers)), right


def _spread(cases: list[Case], most: int) -> list[Case]:
    """Return so many cases at most, from all scans alike."""
    places = np.linspace(0, len(cases) - 1, min(most, len(cases)))
    return [cases[n] for n in places.round().astype(int)]


def _scored(
    classifier: Classifier,
    asked: dict[str, list[Case]],
    method: str,
    layer: str | None,
) -> str:
    options = ExplainOptions(method, target=LABEL, layer=layer)
    pairs: Pairs = {"validation": [], "test": []}
    for side, cases in asked.items():
        for case in cases:
            try:
                found = explain(classifier, read_scan(case.path), options)
            except SaliencyError as error:
                return f"not made: {error.message} | | | "
            if case.mask is not None:
                pairs[side].append((found.saliency, case.mask))
    share = best_share(pairs["validation"])
    test = pairs["test"]
    pointed = np.mean([points_at(*pair) for pair in test])
    chance = np.mean([chance_of_pointing(*pair) for pair in test])
    mass = np.mean([mass_inside(*pair) for pair in test])
    union = np.mean([overlap(*pair, share) for pair in test])
    return f"{pointed:.2f} | {chance:.2f} | {mass:.2f} | {union:.2f} (at {share:.2f})"


if __name__ == "__main__":
    main()
