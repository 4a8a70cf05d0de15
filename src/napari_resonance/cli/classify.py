"""``resonance classify``: what each scan is, how sure that is, where it shows."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_resonance.cli.options import (
    DEFAULT_MODEL,
    Against,
    Box,
    Center,
    Channels,
    Device,
    Json,
    Method,
    Model,
    Paths,
    Target,
    point,
)
from napari_resonance.cli.output import (
    DONE,
    FAILED,
    SOME_FAILED,
    Report,
    messages,
    say,
    say_left_out,
    sentence,
)
from napari_resonance.cli.results import entry, facts, stem_of_map, write_files
from napari_resonance.errors import ResonanceError, without_source
from napari_resonance.progress import Progress, no_progress

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.scan import Scan


def classify(  # noqa: PLR0913, PLR0917 - one parameter an option
    paths: Paths,
    model: Model = DEFAULT_MODEL,
    saliency: Annotated[
        Method | None, typer.Option(help="Show where the network looked.")
    ] = None,
    target: Target = None,
    against: Against = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write a table, and pictures and maps of saliency."
        ),
    ] = None,
    center: Center = None,
    box: Box = None,
    channel: Channels = None,
    device: Annotated[Device, typer.Option(help="Where to run.")] = Device.auto,
    force: Annotated[
        bool, typer.Option("--force", help="Take scans the model was not made for.")
    ] = False,
    as_json: Json = False,
) -> Report:
    """Classify scans: every scan in the files and folders named."""
    from napari_resonance.classifier.predict import load_classifier

    if saliency is None and (target is not None or against is not None):
        asked = "--target" if target is not None else "--against"
        raise typer.BadParameter(f"{asked} needs --saliency")
    if target is not None and target == against:
        raise typer.BadParameter("--target and --against are the same label")
    if channel and len(paths) > 1:
        raise typer.BadParameter("--channel needs one PATH: the patient's first scan")
    where = Where(point(center, "--center"), point(box, "--box"), channel or [])
    classifier = load_classifier(model, device.value)
    for label in (target, against):
        if label is not None and label not in classifier.labels:
            known = ", ".join(classifier.labels)
            raise typer.BadParameter(f"the model has no label {label!r}, only {known}")
    job = Job(classifier, saliency, target, against, force, out, where)
    job.run(paths)
    return job.report()


@dataclass(frozen=True)
class Where:
    """Which region of each scan is looked at, and what else is seen with it."""

    center_mm: tuple[float, float, float] | None = None
    box_mm: tuple[float, float, float] | None = None
    channels: Sequence[Path] = ()


@dataclass(eq=False)
class Job:
    """One classifier, the same request to every scan, and what came of it."""

    classifier: "Classifier"
    saliency: str | None = None
    target: str | None = None
    against: str | None = None
    force: bool = False
    out: Path | None = None
    where: Where = field(default_factory=Where)
    results: list["Prediction"] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    errors: list[ResonanceError] = field(default_factory=list)
    _codes: set[str] = field(default_factory=set)

    def run(self, paths: list[Path]) -> None:
        """Classify all scans; what fails is kept in `errors`, the rest goes on."""
        from napari_resonance.cli.scans import scans_at

        if self.out is not None:
            from napari_resonance.classifier.place import refuse_model
            from napari_resonance.export.atomic import writable_folder

            refuse_model(self.out)
            writable_folder(self.out)
        for path in paths:
            skipped: list[tuple[str, str]] = []
            with progress_bar() as progress:
                progress("")(0, 0, f"Reading {path.name}")
                try:
                    scans = scans_at(path, skipped)
                    if self.where.channels:
                        scans = [self._only(scans, path)]
                except ResonanceError as error:
                    error.source = error.source or str(path)
                    self.errors.append(error)
                    scans = []
                for number, scan in enumerate(scans, 1):
                    self._one(scan, progress(f"Scan {number} of {len(scans)}: "))
            say_left_out(skipped)
        if self.out is not None:
            self._write_table(self.out / "results.csv")

    def _only(self, scans: list["Scan"], path: Path) -> "Scan":
        if len(scans) == 1:
            return scans[0]
        raise ResonanceError(
            f"{len(scans)} scans are here, and one is needed as the first channel",
            source=path,
            remedy="Name the file or the folder of one series",
        )

    def _case(self, scan: "Scan") -> list["Scan"]:
        """Return the scan with those that are its further channels."""
        from napari_resonance.reading import read_scan

        return [scan, *(read_scan(path) for path in self.where.channels)]

    def _write_table(self, path: Path) -> None:
        from napari_resonance.export.table import write_predictions

        if not self.results:
            # A table of an earlier run would pass for this one's.
            path.unlink(missing_ok=True)
            return
        try:
            write_predictions(self.results, path)
        except ResonanceError as error:
            self.errors.append(error)

    def _one(self, scan: "Scan", progress: Progress) -> None:
        from napari_resonance.cli.scans import code_of, description_of
        from napari_resonance.saliency.question import ExplainOptions

        try:
            prediction = self.classifier.classify(
                self._case(scan),
                saliency=self.saliency,
                target=self.target,
                against=self.against,
                center_mm=self.where.center_mm,
                box_mm=self.where.box_mm,
                force=self.force,
                progress=progress,
            )
        except ResonanceError as error:
            self.errors.append(error)
            return
        except MemoryError as error:
            self.errors.append(_too_large(scan, error))
            return
        if self.out is not None and prediction.saliency is not None:
            asked = ExplainOptions(
                str(self.saliency),
                self.target,
                self.against,
                center_mm=self.where.center_mm,
                box_mm=self.where.box_mm,
            )
            stem = self.out / code_of(scan, self._codes)
            stem = stem_of_map(stem, asked, prediction.model_sha256)
            try:
                prediction = write_files(scan, prediction, stem)
            except ResonanceError as error:
                # The answer is there; only its files are not.
                self.errors.append(error)
        self.results.append(prediction)
        self.descriptions.append(description_of(scan))

    def report(self) -> Report:
        """Return results and failures, with the exit code they call for."""
        entries = [
            entry(prediction, self.classifier) | {"description": description}
            for prediction, description in zip(
                self.results, self.descriptions, strict=True
            )
        ]
        failed = [
            {"source": e.source, "error": without_source(e), "type": type(e).__name__}
            for e in self.errors
        ]
        document: dict[str, Any] = {"results": entries, "failed": failed}
        code = DONE
        if self.errors:
            code = SOME_FAILED if self.results else FAILED
        if code == FAILED:
            document["error"] = _all_failed(self.errors).to_json()
        return Report(document, self._show, code)

    def _show(self, console: "Console") -> None:
        from napari_resonance.cli.show import show_details, show_table

        if len(self.results) == 1:
            prediction = self.results[0]
            show_details(console, prediction, facts(prediction, self.classifier))
        elif self.results:
            show_table(console, self.results, self.descriptions)
        if self.out is not None and self.results:
            say(f"Written to {self.out}")
        for error in self.errors:
            say(f"Error: {sentence(error)}")


def _too_large(scan: "Scan", error: MemoryError) -> ResonanceError:
    return ResonanceError(
        f"there is not enough memory for it: {error}",
        source=scan.sources[0] if scan.sources else None,
        remedy="Check its voxel size and shape, or use a machine with more memory",
    )


@contextmanager
def progress_bar() -> Iterator[Callable[[str], Progress]]:
    """Show a bar on stderr, if that is a terminal, while scans are classified."""
    if not sys.stderr.isatty():
        yield lambda title: no_progress
        return
    from rich.markup import escape
    from rich.progress import Progress as Bar

    with Bar(console=messages(), transient=True) as bar:
        task = bar.add_task("", total=None)

        def scan_progress(title: str) -> Progress:
            def update(done: int, total: int, text: str) -> None:
                words = escape(f"{title}{text}")
                steps = total or None
                bar.update(task, completed=done, total=steps, description=words)

            return update

        yield scan_progress


def _all_failed(errors: list[ResonanceError]) -> ResonanceError:
    if len(errors) == 1:
        return errors[0]
    return ResonanceError(
        f"none of the {len(errors)} inputs could be classified",
        remedy="Each is named in 'failed' with its reason",
    )
