"""``resonance models download`` and ``import``, and how pretrained networks look."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_resonance.classifier.catalogue import CATALOGUE, Pretrained
from napari_resonance.cli.options import Json
from napari_resonance.cli.output import Report, say

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.classifier.bundle import Bundle
    from napari_resonance.classifier.download import Stored
    from napari_resonance.classifier.pretrained import LoadReport


def download(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a pretrained network.")
    ],
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take this file instead of fetching it."),
    ] = None,
    as_json: Json = False,
) -> Report:
    """Fetch pretrained weights, or put a file where their name finds it."""
    from napari_resonance.classifier.catalogue import pretrained_entry

    entry = pretrained_entry(name)
    if entry.package:
        return _packaged(entry)
    stored = _stored(entry, file)
    document = {
        "name": name,
        "path": str(stored.path),
        "bytes": stored.path.stat().st_size,
        "sha256": stored.sha256,
        "verified": stored.verified,
    }
    return Report(document, partial(_show_stored, entry, stored))


def _stored(entry: Pretrained, file: Path | None) -> "Stored":
    from napari_resonance.classifier import download as downloading
    from napari_resonance.cli.classify import progress_bar

    if file is not None:
        from napari_resonance.classifier.pretrained import check_is

        check_is(entry, file)
        return downloading.install_file(entry, file)
    known = downloading.stored_file(entry)
    if known is not None:
        return known
    with progress_bar() as progress:
        return downloading.download(entry, progress=progress(""))


def _packaged(entry: Pretrained) -> Report:
    """Read the weights once: that says whether they are whole."""
    from napari_resonance.classifier.download import fetched_tensors

    tensors = fetched_tensors(entry)
    document = {"name": entry.name, "path": None, "package": entry.package}
    text = f"{entry.name} is installed: {len(tensors)} tensors, sha256 as stated"
    return Report(
        document | {"verified": True}, lambda console: console.print(text, markup=False)
    )


def _show_stored(entry: Pretrained, stored: "Stored", console: "Console") -> None:
    megabytes = stored.path.stat().st_size / 1e6
    text = f"{entry.name}: {megabytes:.1f} MB, {entry.licence}"
    console.print(text, markup=False)
    console.print(str(stored.path), markup=False, soft_wrap=True)
    if not stored.verified:
        say("Note: no server has vouched for this file's sha256.")


def import_model(  # noqa: PLR0913, PLR0917 - one parameter an option
    weights: Annotated[
        str,  # a Path would take the second slash out of an address
        typer.Argument(
            metavar="WEIGHTS", help="A .safetensors or .pth file, or a MONAI bundle."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the bundle.")],
    labels: Annotated[
        str, typer.Option(metavar="A,B,...", help="What the outputs mean, in order.")
    ] = "",
    recipe: Annotated[
        str, typer.Option(metavar="FILE|M", help="Recipe, or a model that has it.")
    ] = "",
    network: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Definition of the network.")
    ] = None,
    like: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Pretrained network that it began from: strides and dilations.",
        ),
    ] = "",
    stride: Annotated[
        str, typer.Option(metavar="N|X,Y,Z", help="Of the first convolution.")
    ] = "",
    pool: Annotated[
        bool | None,
        typer.Option(
            "--pool/--no-pool",
            help="Is there pooling after it?",
            show_default="there is",
        ),
    ] = None,
    between: Annotated[
        str | None,
        typer.Option(
            metavar="ACT|none",
            help="Between the layers of a head: relu, leakyrelu, gelu, silu, tanh.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model.")] = "",
    modality: Annotated[
        str, typer.Option(metavar="CODE,...", help="DICOM codes of its scans.")
    ] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model that is there.")
    ] = False,
    as_json: Json = False,
) -> Report:
    """Make a model folder from weights that were trained elsewhere."""
    from napari_resonance.classifier.importing import (
        ImportOptions,
        import_weights,
        read_network,
        read_recipe,
    )

    settings: dict[str, Any] = {}
    if stride:
        settings["conv1_t_stride"] = _stride(stride)
    if pool is not None:
        settings["no_max_pool"] = not pool
    options = ImportOptions(
        labels=_split(labels),
        recipe=read_recipe(recipe) if recipe else None,
        definition=None if network is None else read_network(network),
        settings=settings,
        like=like,
        between=between,
        name=name,
        modality=_split(modality),
        licence=licence,
    )
    bundle, report = import_weights(weights, out, options, overwrite=overwrite)
    from napari_resonance.cli.models import describe

    document = {"model": describe(bundle), "report": report.to_json()}
    return Report(document, partial(_show_import, bundle, report))


def _stride(text: str) -> int | list[int]:
    """Return one number, or one for each axis."""
    parts = _split(text)
    if len(parts) in (1, 2, 3) and all(part in ("1", "2", "3", "4") for part in parts):
        numbers = [int(part) for part in parts]
        return numbers[0] if len(numbers) == 1 else numbers
    raise typer.BadParameter(
        f"{text!r} is no stride: give 1 to 4, or one of these for each axis",
        param_hint="--stride",
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _show_import(bundle: "Bundle", report: "LoadReport", console: "Console") -> None:
    console.print(f"{bundle.card.name}: {report.summary()}", markup=False)
    console.print(f"Written to {bundle.path}", markup=False, soft_wrap=True)


def describe_pretrained(entry: Pretrained) -> dict[str, Any]:
    """Return an entry of the catalogue, and whether it is on disk."""
    from napari_resonance.classifier.download import is_on_disk

    return entry.to_json() | {"on_disk": is_on_disk(entry)}


def show_catalogue(entries: Sequence[dict[str, Any]], console: "Console") -> None:
    """Print the networks that a classifier can begin with."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("Pretrained", "Input", "Size", "Licence", "On disk"):
        side: Any = "right" if column == "Size" else "left"
        table.add_column(column, no_wrap=True, justify=side)
    table.add_column("Trained on", overflow="fold")
    for entry in entries:
        table.add_row(
            Text(entry["name"], style="bold"),
            f"{entry['dimensions']}D, {entry['channels']} ch.",
            f"{entry['megabytes']} MB",
            entry["licence"],
            "yes" if entry["on_disk"] else "no",
            Text(entry["corpus"]),
        )
    console.print(table)


def show_entry(entry: dict[str, Any], console: "Console") -> None:
    """Print all that is known of one of them."""
    from rich.text import Text

    from napari_resonance.cli.show import facts_table

    channels = "channel" if entry["channels"] == 1 else "channels"
    facts = {
        "Network": f"ResNet-{entry['depth']}, {entry['dimensions']}D, "
        f"{entry['channels']} {channels}",
        "Trained on": entry["training_data"],
        "Its input": entry["input"],
        "Size": f"{entry['megabytes']} MB",
        "Licence": entry["licence"],
        "Credits": entry["attribution"],
        "Source": entry["source"],
        "On disk": "yes" if entry["on_disk"] else "no",
    }
    console.print(Text(entry["name"], style="bold"))
    console.print(facts_table(facts))


def catalogue() -> list[dict[str, Any]]:
    """Return all pretrained networks as ``--json`` prints them."""
    return [describe_pretrained(entry) for entry in CATALOGUE.values()]
