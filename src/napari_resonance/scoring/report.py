"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from napari_resonance.export.templating import html_template, write_html
from napari_resonance.export.wording import RESEARCH_USE, counted

REPORT = "report.html"

# Rows that a browser still sorts at once; the table beside the report holds all.
MOST_ROWS = 20_000
MOST_PICTURES = 2_000
_BINS = 20
_EXAMPLES = 3
_STATES = ("sure", "unsure", "odd")
_STATE_NAMES = {
    "sure": "sure",
    "unsure": "unsure",
    "odd": "unlike its training data",
}


@dataclass
class _Model:
    """What the answers of one model add up to."""

    name: str
    labels: Counter[str] = field(default_factory=Counter)
    # At the operating point; empty where the model has none.
    called: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    # Probability of the likeliest label, in 20 bins from 0 to 1.
    bins: dict[str, list[int]] = field(
        default_factory=lambda: {state: [0] * _BINS for state in _STATES}
    )

    def add(self, row: Mapping[str, Any]) -> None:
        state = state_of(row)
        self.labels[row["label"]] += 1
        if row.get("called"):
            self.called[row["called"]] += 1
        self.states[state] += 1
        self.bins[state][min(int(row["probability"] * _BINS), _BINS - 1)] += 1

    @property
    def counts(self) -> list[tuple[str, int, int]]:
        """How many scans most likely show a label, and how many are called so."""
        named = dict.fromkeys([*self.labels, *self.called])
        found = [(name, self.labels[name], self.called[name]) for name in named]
        return sorted(found, key=lambda counted: -counted[1])

    @property
    def tallest(self) -> int:
        columns = zip(*(self.bins[state] for state in _STATES), strict=True)
        return max(1, *map(sum, columns))


@dataclass
class _Cause:
    """Scans that ended for one reason."""

    reason: str
    count: int = 0
    sources: list[str] = field(default_factory=list)

    def add(self, source: str) -> None:
        self.count += 1
        if len(self.sources) < _EXAMPLES:
            self.sources.append(source)


def state_of(row: Mapping[str, Any]) -> str:
    """Return "sure", "unsure" or, where it is unlike the training data, "odd"."""
    score = row.get("out_of_distribution")
    if score is not None and score > 1:
        return "odd"
    return "sure" if row.get("sure") else "unsure"


def write_report(
    rows: Iterable[Mapping[str, Any]],
    record: Mapping[str, Any],
    path: str | PathLike[str],
) -> Path:
    """Write what came of a run as one HTML file that loads nothing; whole or not.

    What comes from files and headers is shown as text, whatever it holds.

    Parameters
    ----------
    rows
        Those of the table of scores, as values by column; ``picture`` is the place of
        a PNG file, relative to the folder of `path`.
    record
        What ``run.json`` holds: version, models, options, left_out.
    path
        The file; an existing one is replaced.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    final = Path(path)
    found = _Found(final.parent)
    for row in rows:
        found.add(row)
    template = html_template("napari_resonance.scoring", "report.html")
    text = template.render(
        notice=RESEARCH_USE,
        counted=counted,
        record=record,
        found=found,
        states=_STATE_NAMES,
        data=found.table(),
    )
    write_html(final, text)
    return final


class _Found:
    """Adds up the rows, and keeps those that the report lists."""

    def __init__(self, folder: Path) -> None:
        self.models: dict[str, _Model] = {}
        self.statuses: Counter[str] = Counter()
        self.causes: dict[tuple[str, str], _Cause] = {}
        self.duplicates = 0
        self.n_rows = 0
        self._folder = folder
        self._pictures: dict[int, str] = {}
        self._kept: list[list[Any]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        status = row["status"]
        self.n_rows += 1
        self.statuses[status] += 1
        self.duplicates += bool(row.get("duplicate_of"))
        if status == "scored":
            name = row["model"]
            self.models.setdefault(name, _Model(name)).add(row)
        else:
            reason = row.get("error") or "no reason is known"
            key = (status, reason)
            self.causes.setdefault(key, _Cause(reason)).add(row["source"])
        if len(self._kept) < MOST_ROWS:
            self._keep_picture(row.get("picture"))
            self._kept.append(self._listed(row))

    def of(self, status: str) -> list[_Cause]:
        """Return the causes of a status, the most frequent first."""
        causes = [c for (s, _), c in self.causes.items() if s == status]
        return sorted(causes, key=lambda cause: -cause.count)

    def table(self) -> Mapping[str, Any]:
        """Return what the page's script makes the table of."""
        return {"rows": self._kept, "pictures": self._pictures}

    def _listed(self, row: Mapping[str, Any]) -> list[Any]:
        """Return source, model, state, label, probability, called and remarks."""
        scored = row["status"] == "scored"
        remarks = [
            row.get("error"),
            row.get("out_of_distribution_why"),
            *_texts(row.get("warnings")),
        ]
        if row.get("duplicate_of"):
            remarks.append(f"the same picture as {row['duplicate_of']}")
        return [
            row["source"],
            row["model"],
            _STATE_NAMES[state_of(row)] if scored else row["status"],
            row.get("label") or "",
            row.get("probability") if scored else None,
            row.get("called") or "",
            " · ".join(str(remark) for remark in remarks if remark),
        ]

    def _keep_picture(self, picture: str | None) -> None:
        """Keep the picture of the row that comes next, by its number."""
        if not picture or len(self._pictures) >= MOST_PICTURES:
            return
        file = self._folder / picture
        if file.is_file():
            encoded = base64.b64encode(file.read_bytes()).decode("ascii")
            self._pictures[len(self._kept)] = encoded


def _texts(value: Sequence[str] | str | None) -> Sequence[str]:
    return [value] if isinstance(value, str) else value or []
