"""``resonance explain``: where the network looked, by a method of choice."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_resonance.cli.classify import progress_bar
from napari_resonance.cli.honesty import Checks, sentences, tables
from napari_resonance.cli.options import (
    DEFAULT_MODEL,
    Against,
    Baseline,
    Box,
    Center,
    Channels,
    Device,
    Faithfulness,
    Json,
    Method,
    Model,
    Sign,
    Target,
    point,
)
from napari_resonance.cli.output import Report, say
from napari_resonance.cli.results import entry, facts, stem_of_map, write_files
from napari_resonance.errors import ResonanceError

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.saliency.explain import Explanation
    from napari_resonance.scan import Scan

_OUT = Path("resonance-explain")


def explain(  # noqa: PLR0913, PLR0917 - one parameter an option
    scan: Annotated[
        Path, typer.Argument(metavar="SCAN", help="File or folder of one scan.")
    ],
    model: Model = DEFAULT_MODEL,
    method: Annotated[
        Method, typer.Option(help="How to find out where it looked.")
    ] = Method.gradcam,
    target: Target = None,
    against: Against = None,
    sign: Annotated[
        Sign, typer.Option(help="Show evidence for the label, against it, or both.")
    ] = Sign.for_,
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Look at this layer, not at the last."),
    ] = None,
    baseline: Annotated[
        Baseline, typer.Option(help="What covered parts are replaced with.")
    ] = Baseline.mean,
    window: Annotated[
        float | None,
        typer.Option(metavar="MM", help="Side of the window that occlusion covers."),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where map and picture are written.")
    ] = _OUT,
    center: Center = None,
    box: Box = None,
    channel: Channels = None,
    device: Annotated[Device, typer.Option(help="Where to run.")] = Device.auto,
    force: Annotated[
        bool, typer.Option("--force", help="Take a scan the model was not made for.")
    ] = False,
    faithfulness: Annotated[
        Faithfulness | None,
        typer.Option(help="Measure the map by deletion and insertion."),
    ] = None,
    sanity: Annotated[
        bool,
        typer.Option("--sanity", help="Make the network random and compare the maps."),
    ] = False,
    stability: Annotated[
        bool,
        typer.Option(
            "--stability", help="Change the scan a little, and compare methods."
        ),
    ] = False,
    residual: Annotated[
        bool, typer.Option("--residual", help="Say what each residual block did.")
    ] = False,
    as_json: Json = False,
) -> Report:
    """Map where the network looked in a scan, and write map and picture."""
    from napari_resonance.classifier.place import refuse_model
    from napari_resonance.classifier.predict import load_classifier
    from napari_resonance.cli.scans import code_of
    from napari_resonance.export.atomic import writable_folder
    from napari_resonance.export.nifti import write_saliency
    from napari_resonance.saliency.explain import ExplainOptions
    from napari_resonance.saliency.explain import explain as explain_scan

    options = ExplainOptions(
        method.value,
        target,
        against,
        sign.value,
        layer,
        baseline.value,
        window,
        point(center, "--center"),
        point(box, "--box"),
        force,
    )
    refuse_model(out)
    writable_folder(out)
    classifier = load_classifier(model, device.value)
    try:
        options.check(classifier.labels)
    except ResonanceError as error:
        raise typer.BadParameter(str(error)) from error
    with progress_bar() as progress:
        scans = _read([scan, *(channel or [])])
        found = explain_scan(classifier, scans, options, progress=progress(""))
        checks = Checks(faithfulness or "", sanity, stability, residual)
        found, entries, maps = checks.measured(classifier, found, progress)
    stem = out / code_of(scans[0], set())
    stem = stem_of_map(stem, options, found.prediction.model_sha256)
    files = {name: stem.with_name(f"{stem.name}_{name}.nii.gz") for name in maps}
    for name, one in maps.items():
        write_saliency(one, files[name])
    entries["maps"] = {name: str(path) for name, path in files.items()}
    return _report(scans[0], classifier, found, entries, stem)


def _read(paths: Sequence[Path]) -> list["Scan"]:
    from napari_resonance.reading import read_scan

    return [read_scan(path) for path in paths]


def _report(
    scan: "Scan",
    classifier: "Classifier",
    found: "Explanation",
    entries: dict[str, Any],
    stem: Path,
) -> Report:
    """Write the files and return what is said of them."""
    from napari_resonance.export.table import write_slices

    prediction = write_files(scan, found.prediction, stem)
    if prediction.per_slice is not None:
        path = stem.with_name(f"{stem.name}_slices.csv")
        write_slices(prediction, path)
        files = prediction.files | {"slices": path}
        prediction = replace(prediction, files=files)
    regions, files = _write_more(scan, prediction, classifier, stem)
    prediction = replace(prediction, files=prediction.files | files)
    document = entry(prediction, classifier) | _document(found) | entries
    document |= {"regions": regions, "page": str(files["page"])}
    if prediction.per_slice is not None:
        document["per_slice"] = prediction.per_slice

    def show(console: "Console") -> None:
        from napari_resonance.cli.show import show_details

        named = facts(prediction, classifier) | tables(entries)
        show_details(console, prediction, named)
        for line in sentences(entries):
            say(f"{line}.")
        for notice in found.notices:
            say(f"Note: {notice}.")

    return Report(document, show)


def _write_more(
    scan: "Scan", prediction: "Prediction", classifier: "Classifier", stem: Path
) -> tuple[list[dict[str, Any]], dict[str, Path]]:
    """Write the page and the regions; return the regions and the files by name."""
    from napari_resonance.export.page import write_page
    from napari_resonance.export.table import write_records
    from napari_resonance.saliency.regions import regions_of

    part = classifier.card.body_part
    found = regions_of(prediction.saliency, part) if prediction.saliency else []
    regions = [region.to_json() for region in found]
    files = {
        "page": stem.with_name(f"{stem.name}.html"),
        "regions": stem.with_name(f"{stem.name}_regions.csv"),
    }
    write_records(regions, files["regions"])
    write_page(scan, prediction, files["page"], regions)
    return regions, files


def _document(found: "Explanation") -> dict[str, Any]:
    options = found.options
    return {
        "method": options.method,
        "target": options.target,
        "against": options.against,
        "sign": options.sign,
        "layer": options.layer,
        "forwards": found.forwards,
        "notices": list(found.notices),
        "per_slice": None,
    }
