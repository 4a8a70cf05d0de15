"""``resonance evaluate``: how good a model's answers to labelled scans are."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_resonance.cli.classify import progress_bar
from napari_resonance.cli.options import DEFAULT_MODEL, Device, Json, Model
from napari_resonance.cli.output import DONE, SOME_FAILED, Report, say, say_left_out
from napari_resonance.export.wording import chance, whose_figures

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.training.evaluation import Evaluation


def evaluate(  # noqa: PLR0913, PLR0917 - one parameter an option
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS", help="CSV with path and label, or a folder per class."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the report and its figures.")
    ],
    model: Model = DEFAULT_MODEL,
    compare: Annotated[
        str | None,
        typer.Option(metavar="M2", help="Another model, asked about the same scans."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an evaluation that is there.")
    ] = False,
    device: Annotated[Device, typer.Option(help="Where to run.")] = Device.auto,
    as_json: Json = False,
) -> Report:
    """Judge a model by labelled scans: figures with intervals, and a report.

    With a column "split", only the test cases are judged.
    """
    from napari_resonance.training.trial import evaluate as run

    with progress_bar() as progress:
        evaluation = run(
            labels,
            model,
            out=out,
            overwrite=overwrite,
            compare=compare,
            device=device.value,
            progress=progress(""),
        )
    document = evaluation.to_json()
    say_left_out([(e["source"], e["error"]) for e in document["left_out"]])
    if document["leaks"]:
        say(
            f"Warning: {len(document['leaks'])} of the scans were trained on, as the "
            "model's record of its training says."
        )
    compared = document["comparison"]
    if compared and compared["leaks"]:
        say(
            f"Warning: {len(compared['leaks'])} of the scans were trained on by "
            f"{compared['models'][1]}: the comparison flatters it."
        )
    for note in (*document["notes"], *document["cautions"]):
        say(f"Note: {note}.")
    code = SOME_FAILED if document["left_out"] else DONE
    return Report(document, partial(_show, evaluation), code)


def _show(evaluation: "Evaluation", console: "Console") -> None:
    from rich.table import Table

    from napari_resonance.export.wording import RESEARCH_USE
    from napari_resonance.training.report_words import probabilities_in_words

    console.print(
        f"{evaluation.n_cases} cases of {evaluation.n_patients} patients", markup=False
    )
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("Figure", "Value", "95 % interval"):
        table.add_column(column, no_wrap=True)
    for name, figure in evaluation.metrics.items():
        value, low, high = (figure[k] for k in ("value", "low", "high"))
        if value is None:
            continue
        known = low is not None and high is not None
        interval = f"{low:.3f} to {high:.3f}" if known else ""
        table.add_row(name.replace("_", " "), f"{value:.3f}", interval)
    console.print(table)
    console.print(f"{whose_figures(evaluation.labels)}.", markup=False, style="dim")
    said = probabilities_in_words(evaluation)
    console.print(said, markup=False, style="dim", soft_wrap=True)
    comparison = evaluation.details["comparison"]
    if comparison is not None:
        _show_comparison(comparison, console)
    console.print(f"Report: {evaluation.report}", markup=False, soft_wrap=True)
    console.print(f"\n{RESEARCH_USE}.", style="dim")


def _show_comparison(found: Mapping[str, Any], console: "Console") -> None:
    first, second = found["models"]
    lines = [f"\n{first} minus {second}:"]
    for name, title in (("accuracy", "accuracy"), ("auroc", "AUROC")):
        value, low, high = (found[name][k] for k in ("value", "low", "high"))
        if value is not None:
            known = low is not None and high is not None
            interval = f", 95 % interval {low:+.3f} to {high:+.3f}" if known else ""
            lines.append(f"  {title} {value:+.3f}{interval}")
    tested = found["mcnemar"]
    lines.append(
        f"  alone right: {tested['only_first']} and {tested['only_second']} times, "
        f"{chance(tested['p'])} (McNemar)"
    )
    lines += [
        f"  AUROC of {label}: {test['first']:.3f} and {test['second']:.3f}, "
        f"{chance(test['p'])} (DeLong)"
        for label, test in found["delong"].items()
    ]
    console.print("\n".join(lines), markup=False, soft_wrap=True)
