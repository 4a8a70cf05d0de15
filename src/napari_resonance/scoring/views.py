"""What people open: CSV, Parquet and a record of the run, made from the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from napari_resonance.export.atomic import replacing
from napari_resonance.export.table import write_rows
from napari_resonance.scoring.journal import Journal
from napari_resonance.scoring.names import Shown
from napari_resonance.scoring.options import ScoreOptions
from napari_resonance.scoring.plan import Item
from napari_resonance.scoring.report import REPORT, write_report
from napari_resonance.scoring.studies import STUDIES, studies
from napari_resonance.scoring.studies import columns_of as studies_columns

TABLE, PARQUET, RECORD = "scores.csv", "scores.parquet", "run.json"

_PLACE = ("center_x", "center_y", "center_z")
_FIRST = ("source", "study", "series", "model", "status", "label", "probability")
_LAST = (
    *(
        "called",
        "sure",
        "prediction_set",
        "out_of_distribution",
        "out_of_distribution_why",
    ),
    *(
        "saliency",
        "picture",
        "warnings",
        "error",
        "error_type",
        "seconds",
        "duplicate_of",
    ),
    *("model_sha256", "recipe_sha256", "content_sha256"),
    *_PLACE,
)
_GROUP = 10_000  # rows of a Parquet file that are in memory at a time
_NUMBERS = {"probability", "out_of_distribution", "seconds", *_PLACE}


def write_all(
    journal: Journal,
    folder: Path,
    options: ScoreOptions,
    stages: Mapping[str, Any] | None,
) -> None:
    """Write the table twice, and what the run was.

    Parameters
    ----------
    journal
        Of the results.
    folder
        Where to.
    options
        Of the results that count.
    stages
        How busy the stages were; None where nothing was run.

    Raises
    ------
    ExportError
        If a file cannot be written.

    """
    columns = columns_of(journal)
    shown = Shown(folder, options.identifiers)

    def rows(by_study: bool = False) -> Iterator[dict[str, Any]]:
        # Made anew each time: a million rows do not lie in memory.
        return rows_of(journal, options, shown, by_study=by_study)

    write_rows(columns, rows(), folder / TABLE)
    _write_parquet(columns, rows(), folder / PARQUET)
    if options.study:
        joined = studies(rows(by_study=True), options.study)
        write_rows(studies_columns(columns), joined, folder / STUDIES)
    record = _record(journal, options, shown)
    write_report(rows(), record, folder / REPORT)
    if stages is None:
        return
    with replacing(folder / RECORD) as temporary:
        text = json.dumps(record | dict(stages), indent=2)
        temporary.write_text(text, encoding="utf-8")


def _record(journal: Journal, options: ScoreOptions, shown: Shown) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    for source, reason in journal.left_out():
        told = shown.text(reason, source)
        reasons[told] = reasons.get(told, 0) + 1
    return {
        "version": _version(),
        "models": [
            {"name": name, "sha256": sha256, "labels": list(labels)}
            for sha256, (name, labels) in journal.models().items()
        ],
        "options": {
            "force": options.force,
            "identifiers": options.identifiers,
            "series": shown.rule(journal.fact("series")),
            "sha256": options.sha256,
        },
        "scans": journal.n_planned(),
        "left_out": reasons,
    }


def columns_of(journal: Journal) -> list[str]:
    """Return the names of the table's columns."""
    labels = dict.fromkeys(
        label for _, labels in journal.models().values() for label in labels
    )
    return [*_FIRST, *(f"p_{label}" for label in labels), *_LAST]


def rows_of(
    journal: Journal, options: ScoreOptions, shown: Shown, *, by_study: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table, as values, one after the other.

    Parameters
    ----------
    journal, options
        Of the results.
    shown
        How names appear.
    by_study
        Put those of a study next to each other, instead of the order of the plan.

    """
    names = journal.models()
    first = journal.copied(options.sha256)
    for item, model, status, answer, content in journal.rows(
        options.sha256, by_study=by_study
    ):
        before = first.get((model, content), item.source)
        odd = answer.get("out_of_distribution")
        row = {name: answer.get(name) for name in (*_FIRST, *_LAST)}
        # No column: with it, the answers of a study can be called as one.
        row["threshold"] = answer.get("threshold")
        row |= {f"p_{n}": p for n, p in answer.get("probabilities", {}).items()}

        def told(text: str, item: Item = item) -> str:
            return shown.text(text, item.source, (item.study, item.series))

        error = answer.get("error")
        yield row | {
            "source": shown.source(item.source),
            "study": shown.identifier(item.study),
            "series": shown.identifier(item.series),
            "model": names[model][0],
            "status": status,
            "out_of_distribution": odd["score"] if odd else None,
            "out_of_distribution_why": odd["why"] if odd else None,
            "warnings": [told(text) for text in answer.get("warnings") or ()],
            "error": told(error) if error else None,
            "error_type": answer.get("type"),
            "duplicate_of": shown.source(before) if before != item.source else None,
            "model_sha256": answer.get("model_sha256"),
            "content_sha256": content or None,
            **dict(zip(_PLACE, item.center_mm or (None,) * 3, strict=True)),
        }


def _write_parquet(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], path: Path
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def kind(name: str) -> pa.DataType:
        if name in _NUMBERS or name.startswith("p_"):
            return pa.float64()
        return pa.bool_() if name == "sure" else pa.string()

    def value(value: Any) -> Any:
        return "; ".join(map(str, value)) if isinstance(value, list) else value

    schema = pa.schema([(name, kind(name)) for name in columns])
    left = iter(rows)
    with (
        replacing(path) as temporary,
        parquet.ParquetWriter(temporary, schema) as writer,
    ):
        while part := list(islice(left, _GROUP)):
            arrays = [
                pa.array([value(row.get(name)) for row in part], kind(name))
                for name in columns
            ]
            writer.write_table(pa.table(arrays, schema=schema))


def _version() -> str:
    from importlib.metadata import version

    return version("napari-resonance")
