"""Labels checked before anything is trained: balance, sides, leaks, scans left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_resonance.classifier.place import check_place
from napari_resonance.export.wording import counted
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.training.cases import SIDES, LabelledSet
from napari_resonance.training.finetune import Run, locked, work_folder
from napari_resonance.training.options import AUTO, FinetuneOptions

if TYPE_CHECKING:
    from napari_resonance.training.beginning import Beginning
    from napari_resonance.training.leaks import Leak
    from napari_resonance.training.prepared import PreparedSet
    from napari_resonance.training.splits import Split


class Prepared(NamedTuple):
    """Labelled scans ready for training."""

    beginning: Beginning
    cases: PreparedSet
    splits: tuple[Split, ...]
    leaks: tuple[Leak, ...]


@dataclass(frozen=True)
class LabelCheck:
    """What a training would begin with.

    Parameters
    ----------
    counts
        Scans of each label on each side of the split; with folds, in all.
    sides
        Side of each case by its source; empty with folds.
    patients
        How many there are.
    leaks
        What is on two sides, in sentences.
    left_out
        Source and reason of each scan that cannot be used.
    warnings
        What else is odd about the labels, in sentences.

    """

    counts: Mapping[str, Mapping[str, int]]
    sides: Mapping[str, str]
    patients: int
    leaks: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    def summary(self) -> str:
        """Return in one sentence how many scans there are on each side."""
        parts = [
            f"{counted(sum(labels.values()), 'scan')} {_DOING.get(side, side)} ("
            + ", ".join(f"{name}: {n}" for name, n in labels.items())
            + ")"
            for side, labels in self.counts.items()
        ]
        return f"{counted(self.patients, 'patient')}: {'; '.join(parts)}."


_DOING = {"train": "to learn from", "validation": "to choose by", "test": "to judge by"}


def check_labels(
    labels: str | PathLike[str] | LabelledSet,
    out: str | PathLike[str],
    *,
    pretrained: str | PathLike[str] = AUTO,
    options: FinetuneOptions | None = None,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> LabelCheck:
    """Do all that a fine-tuning does before it trains, and say what was found.

    Parameters
    ----------
    labels, out, pretrained, options, progress, should_stop
        As for `finetune`, which then does not prepare the scans again: they are kept
        in ``NAME.training`` beside `out`.

    Returns
    -------
    LabelCheck
        Leaks are told, not refused.

    Raises
    ------
    ResonanceError
        If no training could begin.
    CancelledError
        If `should_stop` said so.

    """
    target = Path(out)
    work = work_folder(target)
    chosen = options or FinetuneOptions()
    run = Run(chosen, str(pretrained), target, work, False, progress, should_stop)
    # Nothing is written there now: whoever trains is asked about a model then.
    check_place(target, overwrite=True)
    with locked(work):
        found = prepare_and_split(labels, run)
    cases = found.cases.labelled.cases
    sides = dict.fromkeys((case.source for case in cases), "")
    counts = {"in all": Counter(case.label for case in cases)}
    if not chosen.folds:
        (split,) = found.splits
        rows = {side: getattr(split, side) for side in SIDES}
        sides = {cases[n].source: side for side, at in rows.items() for n in at}
        counts = {s: Counter(cases[n].label for n in at) for s, at in rows.items()}
    return LabelCheck(
        {side: dict(sorted(labels.items())) for side, labels in counts.items()},
        sides,
        len({case.patient for case in cases}),
        tuple(leak.sentence for leak in found.leaks),
        found.cases.left_out,
        found.cases.labelled.warnings,
    )


def prepare_and_split(labels: str | PathLike[str] | LabelledSet, run: Run) -> Prepared:
    """Read labels and scans, split them, and compare the sides."""
    from napari_resonance.training.beginning import choose_recipe
    from napari_resonance.training.labels import read_labels
    from napari_resonance.training.leaks import find_leaks
    from napari_resonance.training.prepared import prepare_cases
    from napari_resonance.training.splits import make_splits

    labelled = labels if isinstance(labels, LabelledSet) else read_labels(str(labels))
    beginning = choose_recipe(labelled, run.pretrained, run.options)
    prepared = prepare_cases(
        labelled,
        beginning.recipe,
        cache=run.work / "inputs",
        progress=run.progress,
        should_stop=run.should_stop,
    )
    options = run.options
    splits = make_splits(prepared.labelled, folds=options.folds, seed=options.seed)
    found = {leak.sentence: leak for s in splits for leak in find_leaks(prepared, s)}
    return Prepared(beginning, prepared, splits, tuple(found.values()))
