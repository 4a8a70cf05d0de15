"""``resonance models``: classifiers, and pretrained networks to begin with."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_resonance.cli import model_files, pretrained
from napari_resonance.cli.model_files import Part
from napari_resonance.cli.options import Json
from napari_resonance.cli.output import Report

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.classifier.bundle import Bundle

app = typer.Typer(
    help="List, show, fetch and import classifiers and pretrained networks.",
    no_args_is_help=True,
)
app.command("download")(pretrained.download)
app.command("import")(pretrained.import_model)
app.command("export")(model_files.export)
app.command("share")(model_files.share)
app.command("verify")(model_files.verify)


@app.command("list")
def list_all(as_json: Json = False) -> Report:
    """List the classifiers that come with the package, and pretrained networks."""
    from napari_resonance.classifier.bundle import list_models

    bundles = list_models()
    entries = pretrained.catalogue()
    models = [describe(bundle) for bundle in bundles]
    document = {"models": models, "pretrained": entries}
    return Report(document, partial(_show_list, bundles, entries))


@app.command("show")
def show(
    model: Annotated[
        str, typer.Argument(metavar="M", help="Name of a model, or its folder.")
    ],
    summary: Annotated[
        bool, typer.Option("--summary", help="Show its layers instead.")
    ] = False,
    unfreeze: Annotated[
        Part, typer.Option(help="Where training would begin, with --summary.")
    ] = Part.all,
    as_json: Json = False,
) -> Report:
    """Show a classifier's card: what it is for, what it was trained on, its limits."""
    from napari_resonance.classifier.bundle import load_bundle
    from napari_resonance.classifier.catalogue import CATALOGUE

    if model in CATALOGUE:
        known = CATALOGUE[model]
        if summary:
            return model_files.layers(model, known.definition(), None, unfreeze)
        entry = pretrained.describe_pretrained(known)
        return Report({"pretrained": entry}, partial(pretrained.show_entry, entry))
    bundle = load_bundle(model)
    if summary:
        name, recipe = bundle.card.name, bundle.recipe
        return model_files.layers(name, bundle.network_def, recipe, unfreeze)
    document = {"model": describe(bundle)}
    return Report(document, partial(_show_card, bundle))


def describe(bundle: "Bundle") -> dict[str, Any]:
    """Return the card of a model with what identifies it."""
    return bundle.card.to_json() | {
        "path": str(bundle.path),
        "model_sha256": bundle.weights_sha256,
        "recipe_sha256": bundle.recipe.sha256,
        "weights_bytes": bundle.weights_path.stat().st_size,
        "warnings": list(bundle.warnings),
    }


def _show_list(
    bundles: Sequence["Bundle"], entries: list[dict[str, Any]], console: "Console"
) -> None:
    from rich.table import Table
    from rich.text import Text

    from napari_resonance.classifier.card_facts import kind_of

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("Model", "Version", "Scans"):
        table.add_column(name, no_wrap=True)
    table.add_column("Labels", overflow="fold")
    for bundle in bundles:
        card = bundle.card
        title = Text(card.name, style="bold")
        table.add_row(
            title, card.version, kind_of(bundle), Text(", ".join(card.labels))
        )
    console.print(table)
    console.print()
    pretrained.show_catalogue(entries, console)


def _show_card(bundle: "Bundle", console: "Console") -> None:
    from rich.text import Text

    from napari_resonance.classifier.card_facts import card_facts
    from napari_resonance.cli.show import facts_table
    from napari_resonance.export.wording import RESEARCH_USE

    card = bundle.card
    console.print(Text(f"{card.name} {card.version}", style="bold"))
    console.print(facts_table(card_facts(bundle)))
    for warning in bundle.warnings:
        console.print(f"Note: {warning}", style="yellow", markup=False)
    console.print(f"\n{RESEARCH_USE}.", style="dim")
