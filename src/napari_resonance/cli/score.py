"""``resonance score``: many studies to one table, resumed wherever it ended."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_resonance.cli.classify import progress_bar
from napari_resonance.cli.options import DEFAULT_MODEL, Device, Json
from napari_resonance.cli.output import DONE, FAILED, SOME_FAILED, Report, plain, say
from napari_resonance.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.scoring.options import ScoreOptions
    from napari_resonance.scoring.summary import Forecast, Summary

_SECONDS = 10.0  # between lines, where there is no terminal
_LISTED = 20


class Way(StrEnum):
    """How the answers to the scans of a study become one."""

    max = "max"
    mean = "mean"
    first = "first"


def score(  # noqa: PLR0913, PLR0917 - one parameter an option
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for results; on a local disk.")
    ],
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STUDIES",
            help="Folders, files, archives, patterns, lists (.txt), tables (.csv).",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="M", help="Model; may be repeated."),
    ] = None,
    series: Annotated[
        str,
        typer.Option(metavar="RULE", help='As in "modality=MR and slices>=20".'),
    ] = "",
    study: Annotated[
        Way | None, typer.Option(help="One answer a study as well: studies.csv.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to run.")] = Device.auto,
    readers: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Processes that read, at most; 0 for none."
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Processes that read and score."),
    ] = 0,
    scheduler: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Of dask: its workers read and score."),
    ] = "",
    time_limit: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="For reading one scan.")
    ] = 600.0,
    force: Annotated[
        bool, typer.Option("--force", help="Take scans the model was not made for.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Score again what failed before.")
    ] = False,
    identifiers: Annotated[
        bool, typer.Option("--identifiers", help="Write names and ids as they are.")
    ] = False,
    maps: Annotated[
        bool, typer.Option("--maps", help="Write saliency maps and thumbnails too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Write table and report anew.")
    ] = False,
    reveal: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="Say what a code in the tables stands for."),
    ] = None,
    as_json: Json = False,
) -> Report:
    """Score every scan of many studies, each exactly once; run again to go on."""
    from napari_resonance.scoring import run
    from napari_resonance.scoring.options import ScoreOptions

    if rebuild:
        folder = run.rebuild(out, identifiers=identifiers)
        return Report({"out": str(folder)}, partial(_say_rebuilt, folder))
    if reveal:
        found = run.reveal(out, reveal)
        return Report({"revealed": found}, partial(_say_revealed, found))
    if workers and scheduler:
        raise typer.BadParameter("--workers starts workers, --scheduler has its own")
    if not studies:
        raise typer.BadParameter("name STUDIES, or --rebuild, or --reveal")
    chosen: dict[str, int] = {} if readers is None else {"readers": readers}
    options = ScoreOptions(
        force=force,
        device=device.value,
        time_limit=time_limit,
        retry_failed=retry_failed,
        identifiers=identifiers,
        maps=maps,
        series=series,
        workers=workers,
        scheduler=scheduler,
        study="" if study is None else study.value,
        **chosen,
    )
    models = model or [DEFAULT_MODEL]
    if dry_run:
        forecast = run.forecast(studies, models, out=out, options=options)
        return Report(forecast.to_json(), partial(_show_forecast, forecast))
    return _scored(studies, models, out, options)


def _scored(
    studies: list[str], models: list[str], out: Path, options: "ScoreOptions"
) -> Report:
    from napari_resonance.scoring.run import score as run

    with _told() as progress:
        summary = run(studies, models, out=out, options=options, progress=progress)
    say(f"Stages: {summary.stages}.")
    code = DONE
    if summary.failed:
        code = SOME_FAILED if summary.scored else FAILED
    return Report(summary.to_json(), partial(_show, summary), code)


@contextmanager
def _told() -> Iterator[Progress]:
    """Report with rate and time left: a bar on a terminal, else a line now and then."""
    pace = _Pace()
    with progress_bar() as bar:
        if sys.stderr.isatty():
            show = bar("")
            yield lambda done, total, text: show(
                done, total, pace.words(done, total, text)
            )
        else:
            yield pace.line


class _Pace:
    """How fast results come, from the first one of this run on."""

    def __init__(self) -> None:
        self._started: tuple[float, int] | None = None
        self._said = 0.0

    def words(self, done: int, total: int, text: str) -> str:
        """Return where a run is."""
        if not total:
            return text
        now = time.monotonic()
        if self._started is None:
            self._started = now, done
        began, before = self._started
        rate = (done - before) / max(now - began, 1e-9)
        words = f"{done} of {total}, {text}"
        if done == before:
            return words
        left = _duration((total - done) / rate)
        return f"{words}, {rate * 60:.0f} a minute, {left} left"

    def line(self, done: int, total: int, text: str) -> None:
        """Print where a run is, unless that was said a moment ago."""
        words = self.words(done, total, text)
        now = time.monotonic()
        if now - self._said >= _SECONDS or (total and done == total):
            self._said = now
            say(words)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _say_rebuilt(folder: Path, console: "Console") -> None:
    console.print(f"Written to {plain(str(folder))}", markup=False, soft_wrap=True)


def _say_revealed(found: dict[str, tuple[str, ...]], console: "Console") -> None:
    for code, names in found.items():
        for name in names:
            console.print(plain(f"{code}: {name}"), markup=False, soft_wrap=True)


def _show(summary: "Summary", console: "Console") -> None:
    console.print(plain(str(summary)), markup=False, soft_wrap=True)


def _show_forecast(forecast: "Forecast", console: "Console") -> None:
    items = forecast.plan.items
    for item in items[:_LISTED]:
        size = "×".join(map(str, item.shape))
        words = item.refused or f"{item.modality} {size} {item.description}"
        console.print(plain(f"{item.source}: {words}"), markup=False, soft_wrap=True)
    if len(items) > _LISTED:
        console.print(f"... and {len(items) - _LISTED} more")
    text = f"{forecast.pending} to score, {forecast.there} there already"
    text += f", {len(forecast.plan.left_out)} files left out"
    if forecast.seconds is not None:
        text += f"; about {_duration(forecast.seconds)}, "
        text += f"measured on {forecast.sampled} of them"
    console.print(f"{text}.", markup=False, soft_wrap=True)
