"""From labelled scans and the panel's choices to a trained model, without Qt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_resonance.errors import TrainingError
from napari_resonance.progress import Progress, ShouldStop, never
from napari_resonance.training.cases import Case, LabelledSet
from napari_resonance.training.epochs import OnEpoch, no_epoch
from napari_resonance.training.options import FinetuneOptions
from napari_resonance.viewer.label_rows import LabelRow, labelled_set, rows_of

if TYPE_CHECKING:
    from napari_resonance.training.checking import LabelCheck
    from napari_resonance.training.finetune import FinetuneResult

TABLE, CHOICES = "labels.csv", "choices.json"

_MOST_LINES = 4


@dataclass(frozen=True, eq=False)
class FinetuneOrder:
    """What to train on, where to begin, and where the model goes.

    Parameters
    ----------
    cases
        Labelled scans by their rows.
    out
        Folder of the model.
    pretrained
        As `finetune` takes it.
    options
        What was chosen.
    resume
        Go on with an interrupted training.
    overwrite
        Replace the model that is there.

    """

    cases: Mapping[LabelRow, Case]
    out: Path
    pretrained: str
    options: FinetuneOptions
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True, eq=False)
class Checked:
    """What a check of the labels found.

    Parameters
    ----------
    found
        Balance, leaks, what is left out.
    sides
        Side of the split by row.

    """

    found: LabelCheck
    sides: Mapping[LabelRow, str]


def check(order: FinetuneOrder, progress: Progress, should_stop: ShouldStop) -> Checked:
    """Do all that a training does before it trains.

    Raises
    ------
    ResonanceError
        If no training could begin.

    """
    progress(0, 0, "Reading the labels")
    from napari_resonance.training.checking import check_labels

    labelled = _checked(order)
    found = check_labels(
        labelled,
        order.out,
        pretrained=order.pretrained,
        options=order.options,
        progress=progress,
        should_stop=should_stop,
    )
    places = zip(order.cases, labelled.cases, strict=True)
    return Checked(found, {row: found.sides.get(c.source, "") for row, c in places})


def train(
    order: FinetuneOrder,
    progress: Progress,
    should_stop: ShouldStop,
    on_epoch: OnEpoch = no_epoch,
    should_finish: ShouldStop = never,
) -> FinetuneResult:
    """Train, judge and store a model.

    The labels are kept beside the model until it is there, so that a training can go
    on after the window was closed.

    Raises
    ------
    ResonanceError
        Whatever is wrong with labels, scans, weights or place.

    """
    progress(0, 0, "Preparing the training")
    from napari_resonance.training.finetune import finetune

    labelled = _checked(order)
    if not order.resume:  # what goes on can do so with its own labels only
        _keep(order, labelled)
    return finetune(
        labelled,
        order.out,
        pretrained=order.pretrained,
        options=order.options,
        resume=order.resume,
        overwrite=order.overwrite,
        progress=progress,
        should_stop=should_stop,
        on_epoch=on_epoch,
        should_finish=should_finish,
    )


def _keep(order: FinetuneOrder, labelled: LabelledSet) -> None:
    """Keep labels and choices of a training that begins, for it to go on with.

    Raises
    ------
    TrainingError
        If another training writes to the folder: its own are kept there.
    ExportError
        If they cannot be written.

    """
    from napari_resonance.training.finetune import locked, work_folder, write_json
    from napari_resonance.training.label_writer import write_labels

    folder = work_folder(order.out)
    with locked(folder):
        write_labels(folder / TABLE, labelled.cases)
        chosen = {"pretrained": order.pretrained, "options": asdict(order.options)}
        write_json(folder / CHOICES, chosen)


@dataclass(frozen=True, eq=False)
class Interrupted:
    """A training that can go on.

    Parameters
    ----------
    rows
        Its labelled scans.
    pretrained, options
        What was chosen.

    """

    rows: list[LabelRow]
    pretrained: str
    options: FinetuneOptions


def is_interrupted(out: Path) -> bool:
    """Tell whether a training into this folder was begun here and can go on."""
    from napari_resonance.training import finetune

    there = (finetune.work_folder(out) / CHOICES).is_file() if out.name else False
    return there and finetune.is_interrupted(out)


def take_up(out: Path, progress: Progress, should_stop: ShouldStop) -> Interrupted:
    """Return what an interrupted training was begun with.

    Raises
    ------
    TrainingError
        If its labels or choices cannot be read any more.

    """
    from napari_resonance.training.finetune import work_folder

    folder = work_folder(out)
    rows = load(folder / TABLE, progress, should_stop)
    try:
        stored = json.loads((folder / CHOICES).read_text("utf-8"))
        chosen = FinetuneOptions(**stored["options"])
        return Interrupted(rows, str(stored["pretrained"]), chosen)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            "it is not known any more how the interrupted training was begun",
            source=folder,
            remedy="Train anew, or into another folder",
        ) from error


def save(cases: Mapping[LabelRow, Case], path: Path) -> Path:
    """Write labels as the table that ``resonance finetune`` takes.

    Raises
    ------
    ResonanceError
        If no scan has a label, or the file cannot be written.

    """
    from napari_resonance.training.label_writer import write_labels

    return write_labels(path, labelled_set(list(cases.values())).cases)


def load(source: Path, progress: Progress, should_stop: ShouldStop) -> list[LabelRow]:
    """Read labels from a table, or from a folder with a folder for each class.

    Raises
    ------
    TrainingError
        If they cannot be read.

    """
    progress(0, 0, "Reading the labels")
    from napari_resonance.training.labels import read_labels

    return rows_of(read_labels(source, patients_per_class=0))


def _checked(order: FinetuneOrder) -> LabelledSet:
    from napari_resonance.training.labels import checked

    return checked(labelled_set(list(order.cases.values())), None)


def findings(found: LabelCheck) -> tuple[str, bool]:
    """Return what a check found, in lines, and whether a training can begin."""
    lines = [found.summary()]
    if found.leaks:
        lines.append("The same patient or picture is on two sides:")
        lines += _some(found.leaks)
        lines.append("Leave one of them out, or give both the same patient.")
    else:
        lines.append("No scan, patient or study is on two sides.")
    if found.left_out:
        lines.append("Left out:")
        lines += _some([f"{source}: {why}" for source, why in found.left_out])
    lines += [f"Note: {warning}." for warning in found.warnings]
    return "\n".join(lines), not found.leaks


def _some(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return [*(f"· {line}" for line in lines[:_MOST_LINES]), *more]
