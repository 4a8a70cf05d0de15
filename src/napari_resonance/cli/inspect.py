"""``resonance inspect``: what is in files and folders, and what was left out."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_resonance.cli.options import Json, Paths
from napari_resonance.cli.output import DONE, FAILED, SOME_FAILED, Report, say_left_out
from napari_resonance.errors import ResonanceError, without_source

if TYPE_CHECKING:
    from rich.console import Console

    from napari_resonance.reading.outline import Outline


def inspect(paths: Paths, as_json: Json = False) -> Report:
    """List the scans in files and folders: one row a series."""
    from napari_resonance.cli.scans import outlines_at

    series: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    errors: list[ResonanceError] = []
    for path in paths:
        try:
            series += [describe(scan) for scan in outlines_at(path, skipped)]
        except ResonanceError as error:
            error.source = error.source or str(path)
            errors.append(error)
            skipped.append((error.source, without_source(error)))
    left_out = [{"source": source, "reason": reason} for source, reason in skipped]
    document: dict[str, Any] = {"series": series, "skipped": left_out}
    code = DONE
    if errors:
        code = SOME_FAILED if series else FAILED
    if code == FAILED:
        document["error"] = errors[0].to_json()
    return Report(document, partial(_show, series, skipped), code)


def describe(scan: "Outline") -> dict[str, Any]:
    """Return one entry of ``series``."""
    from napari_resonance.cli.scans import description_of, format_of
    from napari_resonance.scan import source_of

    return {
        "source": source_of(scan),
        "format": format_of(scan),
        "modality": scan.modality,
        "shape": list(scan.shape),
        "spacing": list(scan.spacing),
        "orientation": scan.orientation,
        "files": len(scan.sources),
        "description": description_of(scan),
        "warnings": list(scan.warnings),
    }


def _show(
    series: Sequence[Mapping[str, Any]],
    skipped: Sequence[tuple[str, str]],
    console: "Console",
) -> None:
    if series:
        _show_series(series, console)
    for row in series:
        for warning in row["warnings"]:
            text = f"Note: {warning} ({_name(row['source'])})"
            console.print(text, style="yellow", markup=False)
    say_left_out(skipped)


def _show_series(series: Sequence[Mapping[str, Any]], console: "Console") -> None:
    from napari_resonance.cli.scans import told_apart
    from napari_resonance.cli.show import sources_table

    scans = told_apart([(row["source"], row["description"]) for row in series])
    rows = [
        (
            scan,
            f"{row['format']} {row['modality']}".strip(),
            "×".join(str(n) for n in row["shape"]),
            "×".join(f"{mm:.3g}" for mm in row["spacing"]),
            row["orientation"] or "-",
            str(row["files"]),
        )
        for scan, row in zip(scans, series, strict=True)
    ]
    names = ("Kind", "Size", "Spacing (mm)", "Axes", ">Files")
    console.print(sources_table(console, names, rows))


def _name(source: str) -> str:
    return Path(source).name or source
