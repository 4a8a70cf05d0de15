"""``resonance finetune``: from labelled scans to a classifier."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_resonance.cli.options import Device, Json
from napari_resonance.cli.output import (
    DONE,
    SOME_FAILED,
    Report,
    messages,
    say,
    say_left_out,
)
from napari_resonance.progress import Progress, no_progress

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.training.epochs import OnEpoch
    from napari_resonance.training.finetune import FinetuneResult


class Preset(StrEnum):
    """How much to spend."""

    quick = "quick"
    standard = "standard"
    thorough = "thorough"


class Unfreeze(StrEnum):
    """What learns: the named stage and all that follows it."""

    auto = "auto"
    head = "head"
    layer4 = "layer4"
    layer3 = "layer3"
    layer2 = "layer2"
    layer1 = "layer1"
    all = "all"


class Head(StrEnum):
    """What makes logits of the pooled features."""

    linear = "linear"
    hidden = "hidden"


class Color(StrEnum):
    """What becomes of colour scans."""

    auto = "auto"
    keep = "keep"
    brightness = "brightness"


class Balance(StrEnum):
    """What is done about labels that are rare."""

    auto = "auto"
    none = "none"
    weights = "weights"
    sampling = "sampling"


class Precision(StrEnum):
    """Of the arithmetic, by pytorch-lightning's names."""

    auto = "auto"
    full = "32-true"
    bfloat = "bf16-mixed"
    half = "16-mixed"


def finetune(  # noqa: PLR0913, PLR0917 - one parameter an option
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS", help="CSV with path and label, or a folder per class."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="Folder of the model.")],
    pretrained: Annotated[
        str,
        typer.Option(
            "--pretrained",
            "-p",
            metavar="P",
            help="Name of a pretrained network, a model, FILE or FILE#PART of weights, "
            "none, or auto: drawn pictures for small inputs, else none.",
        ),
    ] = "auto",
    like: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Pretrained network that FILE began from: strides and dilations.",
        ),
    ] = "",
    preset: Annotated[Preset, typer.Option(help="Size and time.")] = Preset.standard,
    unfreeze: Annotated[
        Unfreeze, typer.Option(help="First stage of the network that learns.")
    ] = Unfreeze.auto,
    head: Annotated[
        Head, typer.Option(help="Last layer; hidden: with 256 units before it.")
    ] = Head.linear,
    gradual: Annotated[
        bool,
        typer.Option("--gradual", help="Let stages join one after the other."),
    ] = False,
    folds: Annotated[
        int, typer.Option(min=0, metavar="N", help="Cross-validate with N folds.")
    ] = 0,
    keep_folds: Annotated[
        bool,
        typer.Option(
            "--keep-folds",
            help="Let the networks of the folds answer together, and train no other.",
        ),
    ] = False,
    members: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Networks that answer together; 0: as it suits."
        ),
    ] = 0,
    flip: Annotated[
        str,
        typer.Option(
            metavar="AXES", help="Axes (of 'xyz') whose direction means nothing."
        ),
    ] = "",
    color: Annotated[
        Color, typer.Option(help="Of colour scans: kept, or brightness only.")
    ] = Color.auto,
    shape: Annotated[
        str, typer.Option(metavar="X,Y[,Z]", help="Voxels of the network's input.")
    ] = "",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Times that all scans are shown.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Scans of a step.")] = None,
    rate: Annotated[
        float | None, typer.Option(help="Peak learning rate of the head.")
    ] = None,
    balance: Annotated[
        Balance, typer.Option(help="What is done about rare labels.")
    ] = Balance.auto,
    patience: Annotated[
        int | None,
        typer.Option(min=0, help="Epochs without progress until it ends; 0: never."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to run.")] = Device.auto,
    devices: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    precision: Annotated[
        Precision, typer.Option(help="Of the arithmetic; auto: the fastest safe one.")
    ] = Precision.auto,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Repeat exactly, on a GPU too; slower."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted training.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the model, or the interrupted training, that is there.",
        ),
    ] = False,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write curves for TensorBoard to DIR."),
    ] = None,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Go on though the split leaks.")
    ] = False,
    task: Annotated[str, typer.Option(help="The question, for the card.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the model.")] = "",
    as_json: Json = False,
) -> Report:
    """Train a classifier on labelled scans, judge it, and store it as a model folder.

    Whatever is interrupted goes on with --resume; one epoch is lost at most.
    """
    from napari_resonance.export.wording import counted
    from napari_resonance.training.finetune import finetune as run
    from napari_resonance.training.options import FinetuneOptions

    options = FinetuneOptions(
        preset=preset.value,
        unfreeze=unfreeze.value,
        head=head.value,
        gradual=gradual,
        epochs=epochs,
        batch=batch,
        rate=rate,
        flip=flip,
        color=color.value,
        shape=_shape(shape),
        folds=folds,
        keep_folds=keep_folds,
        members=members,
        like=like,
        seed=seed,
        balance=balance.value,
        patience=patience,
        device=device.value,
        devices=devices,
        precision=precision.value,
        deterministic=deterministic,
        task=task,
        licence=licence,
        allow_leaks=allow_leaks,
    )
    with _progress_bar() as progress, _curves(tensorboard) as on_epoch:
        result = run(
            labels,
            out,
            pretrained=pretrained,
            options=options,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
            on_epoch=on_epoch,
        )
    say_left_out([(e["source"], e["error"]) for e in result.left_out])
    if result.leaks:
        what = counted(len(result.leaks), "leak")
        say(
            f"Warning: {what} between the sides of the split: what was judged was also "
            f"trained on. The first: {result.leaks[0]['sentence'].rstrip('.')}."
        )
    for note in result.notes:
        say(f"Note: {note}.")
    code = SOME_FAILED if result.left_out else DONE
    return Report(result.to_json(), partial(_show, result), code)


def _shape(text: str) -> tuple[int, ...] | None:
    if not text.strip():
        return None
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise typer.BadParameter(f"--shape takes 2 or 3 numbers, not {text!r}")
    return shape


@contextmanager
def _curves(folder: Path | None) -> "Iterator[OnEpoch]":
    """Write figures of each epoch where that is wanted."""
    from napari_resonance.training.epochs import no_epoch

    if folder is None:
        yield no_epoch
        return
    from napari_resonance.training.tensorboard import TensorBoard

    with closing(TensorBoard(folder)) as board:
        yield board


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """Show a bar with the time that is left on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=messages(), transient=True) as bar:
        kinds: dict[str, Any] = {}

        def update(done: int, total: int, text: str) -> None:
            # Each kind of work has a pace, and so a time left, of its own.
            kind = text.split(",", maxsplit=1)[0].rstrip("0123456789 of")
            kind = f"{kind} {total}"
            if kind not in kinds:
                for shown in kinds.values():
                    bar.update(shown, visible=False)
                kinds[kind] = bar.add_task("", total=total or None)
            words = escape(text)
            bar.update(kinds[kind], completed=done, description=words)

        yield update


def _show(result: "FinetuneResult", console: "Console") -> None:
    from rich.table import Table

    from napari_resonance.export.wording import RESEARCH_USE, whose_figures

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("Figure", "Value", "95 % interval"):
        table.add_column(column, no_wrap=True)
    for name, entry in result.metrics.items():
        if isinstance(entry, dict) and entry.get("value") is not None:
            low, high = entry.get("low"), entry.get("high")
            known = low is not None and high is not None
            interval = f"{low:.3f} to {high:.3f}" if known else ""
            table.add_row(name, f"{entry['value']:.3f}", interval)
    for decision in result.decisions:
        text = f"{decision.name}: {decision.value} ({decision.reason})"
        console.print(text, markup=False, style="dim")
    console.print(table)
    whose = whose_figures(result.bundle.card.labels)
    console.print(f"{whose}.", markup=False, style="dim")
    console.print(f"Model: {result.bundle.path}", markup=False, soft_wrap=True)
    if result.report is not None:
        console.print(f"Report: {result.report}", markup=False, soft_wrap=True)
    console.print(f"\n{RESEARCH_USE}.", style="dim")
