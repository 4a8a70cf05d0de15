"""Results on a terminal of 80 columns or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_resonance.cli.output import plain
from napari_resonance.cli.scans import shortened, told_apart
from napari_resonance.export.wording import (
    RESEARCH_USE,
    certainty,
    percent,
    why_unsure,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from napari_resonance.classifier.prediction import Prediction

_MOST_LABELS = 10
_LAST_COLUMN = 28  # characters


def show_details(
    console: Console, prediction: Prediction, facts: Mapping[str, str | list[str]]
) -> None:
    """Print one result: the answer, bars of probabilities, then named facts."""
    console.print()
    console.print(_answer(prediction))
    console.print()
    console.print(_bars(prediction, console.width))
    console.print()
    console.print(facts_table(facts))
    _close(console, [prediction])


def show_table(
    console: Console, predictions: Sequence[Prediction], descriptions: Sequence[str]
) -> None:
    """Print a row a result; descriptions tell the series of one folder apart."""
    sources = [prediction.source for prediction in predictions]
    scans = told_apart(list(zip(sources, descriptions, strict=True)))
    # What models with an operating point say, of which the label is only the likelier.
    called = ["Called"] if any(p.called for p in predictions) else []
    rows = [
        (scan, *_cells(prediction, with_called=bool(called)))
        for scan, prediction in zip(scans, predictions, strict=True)
    ]
    names = ("Label", ">Probability", *called, "Certainty")
    console.print(sources_table(console, names, rows))
    _close(console, predictions)


def _cells(prediction: Prediction, *, with_called: bool) -> tuple[Any, ...]:
    from rich.text import Text

    label = Text(prediction.label, style="bold")
    called = [prediction.called or ""] if with_called else []
    certainty = _certainty_with_reason(prediction)
    return (label, percent(prediction.probability), *called, certainty)


def sources_table(
    console: Console, names: Sequence[str], rows: Sequence[tuple[str, *tuple[Any, ...]]]
) -> Table:
    """Return rows that begin with the scan, whose path loses its beginning to fit.

    The last of the other columns may wrap, the rest are kept whole; those whose name
    begins with ``>`` are set to the right.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Scan", no_wrap=True)
    for name in names:
        side: Any = "right" if name.startswith(">") else "left"
        wraps = name == names[-1]
        table.add_column(name.lstrip(">"), justify=side, no_wrap=not wraps)
    columns = list(zip(*rows, strict=True))[1:]
    taken = [
        max(len(name.lstrip(">")), *(len(str(cell)) for cell in column)) + 2
        for name, column in zip(names, columns, strict=True)
    ]
    taken[-1] = min(taken[-1], _LAST_COLUMN)
    widest = max(24, console.width - sum(taken) - 2)
    for source, *cells in rows:
        shown = [plain(c) if isinstance(c, str) else c for c in cells]
        table.add_row(Text(plain(shortened(source, widest))), *shown)
    return table


def facts_table(facts: Mapping[str, str | list[str]]) -> Table:
    """Return names and values in two columns; several values one below another."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        lines = [value] if isinstance(value, str) else value
        table.add_row(name, Text("\n".join(map(plain, lines))))
    return table


def _answer(prediction: Prediction) -> Text:
    from rich.text import Text

    text = Text(prediction.label, style="bold")
    text.append(f"  {percent(prediction.probability)}  ", style="not bold")
    text.append_text(_certainty(prediction))
    reason = why_unsure(prediction)
    return text.append(f": {reason}" if reason else "", style="not bold")


def _certainty(prediction: Prediction) -> Text:
    from rich.text import Text

    style = "green" if prediction.sure else "yellow"
    return Text(certainty(prediction), style=f"bold {style}")


def _certainty_with_reason(prediction: Prediction) -> Text:
    """Return the certainty, and the reason where the scan itself is the reason."""
    text = _certainty(prediction)
    odd = prediction.out_of_distribution
    if odd is not None and odd.flag and not prediction.sure:
        text.append(f": {odd.why}", style="not bold default")
    return text


def _bars(prediction: Prediction, width: int) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    ranked = list(prediction.probabilities.items())
    if len(ranked) > _MOST_LABELS:
        ranked = sorted(ranked, key=lambda item: -item[1])[:_MOST_LABELS]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, max_width=24)
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    length = min(40, width - 40)
    for label, probability in ranked:
        bar = ProgressBar(
            total=1,
            completed=probability,
            width=length,
            style="bright_black",
            complete_style="cyan",
            finished_style="cyan",
        )
        table.add_row(Text(label), bar, percent(probability))
    hidden = len(prediction.probabilities) - len(ranked)
    if hidden:
        table.add_row(f"{hidden} more labels", "", "", style="dim")
    return table


def _close(console: Console, predictions: Sequence[Prediction]) -> None:
    """Print what was odd, each sentence once, and what the result is not for."""
    warnings: dict[str, list[str]] = {}
    for prediction in predictions:
        for warning in prediction.warnings:
            warnings.setdefault(warning, []).append(prediction.source)
    console.print()
    for warning, sources in warnings.items():
        where = "" if len(predictions) == 1 else _where(sources)
        console.print(f"Note: {warning}{where}", style="yellow", markup=False)
    console.print(f"{RESEARCH_USE}.", style="dim")


def _where(sources: Sequence[str]) -> str:
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    return f" ({shortened(sources[0], 40)}{more})"
