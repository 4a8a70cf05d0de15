"""``resonance models export``, ``share``, ``verify``, ``show --summary``."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_resonance.cli.options import Json
from napari_resonance.cli.output import DONE, FAILED, Report

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.classifier.sharing import Shared
    from napari_resonance.classifier.summary import Summary
    from napari_resonance.classifier.verifying import Check
    from napari_resonance.preprocessing import Recipe


class Part(StrEnum):
    """From where on a network is trained."""

    all = "all"
    layer1 = "layer1"
    layer2 = "layer2"
    layer3 = "layer3"
    layer4 = "layer4"
    head = "head"


def export(
    model: Annotated[
        str, typer.Argument(metavar="M", help="Name of a model, or its folder.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the files.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx.")] = False,
    openvino: Annotated[
        bool, typer.Option("--openvino", help="Write model.xml and model.bin.")
    ] = False,
    as_json: Json = False,
) -> Report:
    """Write a classifier's network for other programs, and check what was written."""
    from napari_resonance.classifier.bundle import load_bundle
    from napari_resonance.classifier.exporting import export_network

    formats = [
        name for name, wanted in (("onnx", onnx), ("openvino", openvino)) if wanted
    ]
    if not formats:
        raise typer.BadParameter("say what to write: --onnx, --openvino or both")
    files = export_network(load_bundle(model), out, formats)
    document = {"model": model, "files": {n: str(path) for n, path in files.items()}}
    return Report(document, partial(_show_files, files))


def _show_files(files: Mapping[str, Path], console: "Console") -> None:
    for path in files.values():
        console.print(str(path), markup=False, soft_wrap=True)
    console.print("Outputs: logits, features. Same as the network to 1e-4.")


def share(
    model: Annotated[
        str, typer.Argument(metavar="M", help="Name of a model, or its folder.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the copy.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model that is there.")
    ] = False,
    as_json: Json = False,
) -> Report:
    """Copy a model for others, without the names and pictures of its training scans."""
    from napari_resonance.classifier.bundle import load_bundle
    from napari_resonance.classifier.sharing import share as copy

    shared = copy(load_bundle(model), out, overwrite=overwrite)
    document = {
        "model": str(shared.bundle.path),
        "files": list(shared.files),
        "left_out": list(shared.left_out),
    }
    return Report(document, partial(_show_shared, shared))


def _show_shared(shared: "Shared", console: "Console") -> None:
    from napari_resonance.export.wording import counted

    copied = counted(len(shared.files), "file")
    text = f"{copied} copied to {shared.bundle.path}"
    console.print(text, markup=False, soft_wrap=True)
    if shared.left_out:
        left = ", ".join(shared.left_out)
        console.print(f"Left out: {left}", markup=False, soft_wrap=True)


def verify(
    model: Annotated[
        str, typer.Argument(metavar="M", help="Name of a model, or its folder.")
    ],
    as_json: Json = False,
) -> Report:
    """Look whether a model's files are whole and belong together."""
    from napari_resonance.classifier.bundle import load_bundle
    from napari_resonance.classifier.verifying import verify as look

    checks = look(load_bundle(model))
    passed = all(check.passed for check in checks)
    document = {
        "model": model,
        "passed": passed,
        "checks": [check.to_json() for check in checks],
    }
    return Report(document, partial(_show_checks, checks), DONE if passed else FAILED)


def _show_checks(checks: Sequence["Check"], console: "Console") -> None:
    for check in checks:
        mark = "ok   " if check.passed else "WRONG"
        text = f"{mark}  {check.name}: {check.finding}"
        console.print(text, markup=False, soft_wrap=True)


def layers(
    name: str, definition: Mapping[str, Any], recipe: "Recipe | None", part: Part
) -> Report:
    """Return the layers of a network, and which are trained from a part on."""
    from napari_resonance.classifier.summary import input_size, summarize

    size = None if recipe is None else input_size(recipe)
    summary = summarize(definition, size, part.value)
    document = {"model": name, "unfreeze": part.value, "summary": summary.to_json()}
    return Report(document, partial(_show_layers, name, summary))


def _show_layers(name: str, summary: "Summary", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Layer", no_wrap=True)
    table.add_column("Kind", no_wrap=True)
    table.add_column("Output", no_wrap=True)
    table.add_column("Parameters", justify="right", no_wrap=True)
    table.add_column("Trainable", no_wrap=True)
    table.add_row("input", "", _times(summary.input), "", "")
    for layer in summary.layers:
        learns = ("yes" if layer.trainable else "no") if layer.parameters else ""
        count = f"{layer.parameters:,}" if layer.parameters else ""
        table.add_row(layer.name, layer.kind, _times(layer.output), count, learns)
    console.print(Text(name, style="bold"))
    console.print(table)
    if summary.members > 1:
        console.print(f"{summary.members} such networks answer together.")
    megabytes = summary.parameters * 4 / 1e6
    console.print(
        f"{summary.parameters:,} parameters ({megabytes:.1f} MB in float32), "
        f"{summary.trainable:,} trainable"
    )


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
