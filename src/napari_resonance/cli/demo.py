"""``resonance demo``: a real scan, classified and explained, in seconds."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_resonance.cli.classify import progress_bar
from napari_resonance.cli.options import DEFAULT_MODEL, Json, Method
from napari_resonance.cli.output import Report, say
from napari_resonance.cli.results import entry, facts, stem_of_map, write_files

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.scan import Scan

_SAMPLE = "icbm-t1"
_TITLE = "ICBM 2009a T1-weighted average brain (a sample scan)"


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where picture and map are written.")
    ] = Path("resonance-demo"),
    no_view: Annotated[
        bool, typer.Option("--no-view", help="Do not open the viewer.")
    ] = False,
    as_json: Json = False,
) -> Report:
    """Classify the scan that comes with the package and show where it looked.

    Needs no network and no display. Where there is a display, napari opens.
    """
    from napari_resonance.classifier.place import refuse_model
    from napari_resonance.classifier.predict import load_classifier
    from napari_resonance.export.atomic import writable_folder
    from napari_resonance.reading import read_scan
    from napari_resonance.saliency.question import ExplainOptions
    from napari_resonance.samples import sample_path

    refuse_model(out)
    writable_folder(out)
    classifier = load_classifier(DEFAULT_MODEL)
    scan = read_scan(sample_path(_SAMPLE))
    with progress_bar() as progress:
        prediction = classifier.classify(
            scan, saliency=Method.gradcam, progress=progress("")
        )
    prediction = write_files(
        scan, prediction, stem_of_map(out / _SAMPLE, ExplainOptions())
    )
    document = {"results": [entry(prediction, classifier)], "failed": []}
    return Report(document, partial(_show, scan, prediction, classifier, not no_view))


def _show(
    scan: "Scan",
    prediction: "Prediction",
    classifier: "Classifier",
    wants_viewer: bool,
    console: "Console",
) -> None:
    from napari_resonance.cli.show import show_details

    named = facts(prediction, classifier)
    show_details(console, prediction, named | {"Scan": _TITLE})
    if wants_viewer:
        _open(scan, prediction)


def _open(scan: "Scan", prediction: "Prediction") -> None:
    """Open the viewer, or say in one sentence why it stays closed."""
    from napari_resonance.cli.output import sentence
    from napari_resonance.cli.window import why_no_window

    obstacle = why_no_window()
    if obstacle is not None:
        say(f"Not opened in napari: {sentence(obstacle)}")
        return
    from napari_resonance.viewer.open import open_result

    say("Opening napari; close its window to end.")
    open_result(scan, prediction)
