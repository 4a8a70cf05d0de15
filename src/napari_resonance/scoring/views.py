"""What people open: CSV, Parquet and a record of the run, made from the journal."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_resonance.errors import ExportError
from napari_resonance.export.atomic import replacing
from napari_resonance.export.table import write_rows
from napari_resonance.scoring.journal import Journal
from napari_resonance.scoring.options import ScoreOptions
from napari_resonance.scoring.report import REPORT, write_report
from napari_resonance.scoring.studies import STUDIES, studies
from napari_resonance.scoring.studies import columns_of as studies_columns

TABLE, PARQUET, RECORD, KEY = (
    "scores.csv",
    "scores.parquet",
    "run.json",
    "identifiers.key",
)

_PLACE = ("center_x", "center_y", "center_z")
_FIRST = ("source", "study", "series", "model", "status", "label", "probability")
_LAST = (
    *("sure", "prediction_set", "out_of_distribution", "out_of_distribution_why"),
    *("warnings", "error", "error_type", "seconds", "duplicate_of"),
    *("model_sha256", "recipe_sha256", "content_sha256"),
    *_PLACE,
)
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
    rows = list(rows_of(journal, options, shown))
    write_rows(columns, rows, folder / TABLE)
    _write_parquet(columns, rows, folder / PARQUET)
    if options.study:
        joined = list(studies(rows, options.study))
        write_rows(studies_columns(columns), joined, folder / STUDIES)
    record = _record(journal, options)
    write_report(rows, record, folder / REPORT)
    if stages is None:
        return
    with replacing(folder / RECORD) as temporary:
        text = json.dumps(record | dict(stages), indent=2)
        temporary.write_text(text, encoding="utf-8")


def _record(journal: Journal, options: ScoreOptions) -> dict[str, Any]:
    plan = journal.plan()
    reasons: dict[str, int] = {}
    for _, reason in plan.left_out:
        reasons[reason] = reasons.get(reason, 0) + 1
    return {
        "version": _version(),
        "models": [
            {"name": name, "sha256": sha256, "labels": list(labels)}
            for sha256, (name, labels) in journal.models().items()
        ],
        "options": {
            "force": options.force,
            "series": journal.fact("series"),
            "sha256": options.sha256,
        },
        "scans": len(plan.items),
        "left_out": reasons,
    }


def columns_of(journal: Journal) -> list[str]:
    """Return the names of the table's columns."""
    labels = dict.fromkeys(
        label for _, labels in journal.models().values() for label in labels
    )
    return [*_FIRST, *(f"p_{label}" for label in labels), *_LAST]


class Shown:
    """How sources and identifiers appear: hashed with a key of the folder, or not.

    Parameters
    ----------
    folder
        Where the key lies, beside the journal.
    identifiers
        Whether they appear as they are.

    """

    def __init__(self, folder: Path, identifiers: bool) -> None:
        self._key = b"" if identifiers else _key_in(folder)

    def identifier(self, text: str) -> str:
        """Return an identifier, or the same 16 characters each time in its place."""
        if not text or not self._key:
            return text
        data = text.encode("utf-8", "surrogateescape")
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()[:16]


def rows_of(
    journal: Journal, options: ScoreOptions, shown: Shown
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table, as values."""
    names = journal.models()
    first: dict[tuple[str, str], str] = {}
    for item, model, status, answer, content in journal.rows(options.sha256):
        name, _ = names[model]
        before = first.setdefault((model, content), item.source) if content else ""
        odd = answer.get("out_of_distribution")
        row = {name: answer.get(name) for name in (*_FIRST, *_LAST)}
        row |= {f"p_{n}": p for n, p in answer.get("probabilities", {}).items()}
        yield row | {
            "source": item.source,
            "study": shown.identifier(item.study),
            "series": shown.identifier(item.series),
            "model": name,
            "status": status,
            "out_of_distribution": odd["score"] if odd else None,
            "out_of_distribution_why": odd["why"] if odd else None,
            "error_type": answer.get("type"),
            "duplicate_of": before if before != item.source else None,
            "model_sha256": answer.get("model_sha256"),
            "content_sha256": content or None,
            **dict(zip(_PLACE, item.center_mm or (None,) * 3, strict=True)),
        }


def _write_parquet(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], path: Path
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def kind(name: str) -> pa.DataType:
        if name in _NUMBERS or name.startswith("p_"):
            return pa.float64()
        return pa.bool_() if name == "sure" else pa.string()

    def value(name: str, value: Any) -> Any:
        return "; ".join(map(str, value)) if isinstance(value, list) else value

    arrays = [
        pa.array([value(name, row.get(name)) for row in rows], kind(name))
        for name in columns
    ]
    with replacing(path) as temporary:
        parquet.write_table(pa.table(arrays, list(columns)), temporary)


def _key_in(folder: Path) -> bytes:
    path = folder / KEY
    try:
        if not path.is_file():
            with replacing(path) as temporary:
                temporary.touch(mode=0o600)
                temporary.write_text(secrets.token_hex(32), encoding="ascii")
        return bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise ExportError(
            "the key that identifiers are hashed with cannot be used",
            source=path,
            remedy="Remove it to have another; identifiers then look different",
        ) from error


def _version() -> str:
    from importlib.metadata import version

    return version("napari-resonance")
