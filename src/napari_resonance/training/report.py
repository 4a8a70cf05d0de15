"""The report of an evaluation: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_resonance.export.scripts import is_drawable
from napari_resonance.export.templating import html_template, write_html
from napari_resonance.export.wording import (
    RESEARCH_USE,
    chance,
    counted,
    percent,
    whose_figures,
)
from napari_resonance.training.contact_sheet import numbered
from napari_resonance.training.evaluation import FEW_PATIENTS
from napari_resonance.training.report_figures import (
    curves_svg,
    figures_of,
    isolated,
)
from napari_resonance.training.report_words import in_words, rule_in_words

if TYPE_CHECKING:
    from napari_resonance.classifier.card import ModelCard
    from napari_resonance.training.evaluation import Evaluation

_PACKAGES = ("napari-resonance", "torch", "monai", "openvino", "numpy", "scikit-learn")
_NAMES = {
    "auroc": ("AUROC", "1 is perfect, 0.5 is guessing"),
    "auprc": ("AUPRC", "right alarms, over all thresholds; guessing reaches the share"),
    "accuracy": ("Accuracy", "share of cases whose likeliest label is right"),
    "accuracy_at_operating_point": ("Accuracy at the operating point", ""),
    "balanced_accuracy": ("Balanced accuracy", "each label counts the same"),
    "sensitivity": ("Sensitivity", "share found of those that have it"),
    "specificity": ("Specificity", "share left alone of those that do not"),
    "f1": ("F1", "between right alarms and found cases"),
    "ece": ("Calibration error", "mean gap between claimed and right; 0 is best"),
    "brier": ("Brier score", "squared error of probabilities; 0 is best, 2 worst"),
    "sure": ("Sure answers", "share of cases answered without reservation"),
    "accuracy_when_sure": ("Accuracy when sure", "of the sure answers alone"),
    "coverage": ("Coverage", "share of prediction sets that hold the true label"),
    "set_size": ("Labels in a set", "mean size of the prediction sets"),
    "out_of_distribution": ("Flagged", "share unlike the training data"),
}
_COLUMNS = ("auroc", "auprc", "sensitivity", "specificity", "precision", "f1")
_LEAKS = {
    "pixels": "the same picture is on two sides",
    "patient": "a patient is on two sides",
    "study": "a study is on two sides",
    "source": "a scan was trained on, by its place among the labels",
}


def write_report(  # noqa: PLR0913
    path: str | PathLike[str],
    *,
    title: str,
    evaluation: Evaluation,
    card: ModelCard | None = None,
    decisions: Iterable[Any] = (),
    curves: Sequence[Any] | None = None,
    split: Any = None,
    leaks: Sequence[Any] = (),
    left_out: Sequence[Any] = (),
    contact_sheet: str | PathLike[str] | None = None,
    comparison: Mapping[str, Any] | None = None,
) -> Path:
    """Write what an evaluation found as one HTML file; whole or not at all.

    No name of a scan or patient is in it: cases have numbers, those of the table.

    Parameters
    ----------
    path
        The file; an existing one is replaced.
    title
        Of the page.
    evaluation, card
        What was found, and of which classifier.
    decisions
        With ``name``, ``value`` and ``reason``, where it was trained here.
    curves
        Rows by epoch, or a list of such by fold.
    split
        Cases by side; a list of such with folds.
    leaks, left_out
        What is on two sides; cases that could not be used.
    contact_sheet
        Picture of what the network was shown.
    comparison
        As ``comparison.compare_answers`` returns it.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    runs = list(curves or ())
    runs = [runs] if runs and isinstance(runs[0], Mapping) else runs
    document = evaluation.to_json()
    key = _key(evaluation.labels)
    evaluation = _in_order(evaluation)
    template = html_template(
        "napari_resonance.training",
        "report.html",
        number=_number,
        interval=_interval,
        chance=chance,
        percent=percent,
    )
    text = template.render(
        title=title,
        notice=RESEARCH_USE,
        counted=counted,
        e=evaluation,
        document=document,
        card=card,
        words=in_words(evaluation),
        headline=_rows(evaluation),
        columns=[(c, _NAMES.get(c, (c.capitalize(), ""))[0]) for c in _COLUMNS],
        figures=figures_of(evaluation),
        training=curves_svg(runs),
        worst=[
            {**wrong.to_json(), "picture": _embedded(wrong.picture)}
            for wrong in evaluation.worst
        ],
        rule=rule_in_words(evaluation),
        few=FEW_PATIENTS,
        whose=whose_figures(evaluation.labels),
        decisions=[_fields(d, ("name", "value", "reason")) for d in decisions],
        sides=_sides(split),
        leaks=_counted(_LEAKS.get(_one(k, "kind"), _one(k, "kind")) for k in leaks),
        left_out=_counted(_reason(entry) for entry in left_out),
        sheet=_sheet(contact_sheet),
        key=key,
        comparison=comparison
        and {"leaks": [], **comparison, "delong": _tests(comparison)},
        provenance=_provenance(document),
    )
    write_html(path, text)
    return Path(path)


def _in_order(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation whose labels leave the order of the words beside them."""
    point = evaluation.operating_point
    return replace(
        evaluation,
        labels=tuple(isolated(label) for label in evaluation.labels),
        per_class={isolated(k): row for k, row in evaluation.per_class.items()},
        operating_point=point and {**point, "label": isolated(point["label"])},
        worst=tuple(
            replace(wrong, truth=isolated(wrong.truth), label=isolated(wrong.label))
            for wrong in evaluation.worst
        ),
    )


def _tests(comparison: Mapping[str, Any]) -> dict[str, Any]:
    return {isolated(label): test for label, test in comparison["delong"].items()}


def _key(labels: Sequence[str]) -> str:
    """Return which labels the contact sheet shows by their number."""
    return ", ".join(
        f"{numbered(k)} is {isolated(label)}"
        for k, label in enumerate(labels)
        if not is_drawable(label)
    )


def _number(value: object, digits: int = 3) -> str:
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def _interval(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None or figure["high"] is None:
        return "no interval"
    return f"{figure['low']:.3f} to {figure['high']:.3f}"


def _rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    rows = []
    for name, (title, meaning) in _NAMES.items():
        figure = evaluation.metrics.get(name)
        if figure is None or figure["value"] is None:
            continue
        scaled = name not in ("set_size", "brier")
        limit = figure.get("by_chance")
        said = "" if limit is None else f"; chance alone gives up to {limit:.3f}"
        rows.append(
            {
                "title": title,
                "meaning": meaning + said,
                "figure": figure,
                "scaled": scaled,
            }
        )
    return rows


def _sides(split: Any) -> list[dict[str, Any]]:
    parts = split if isinstance(split, list) else [split] if split else []
    return [
        {name: len(v) if isinstance(v, list | tuple) else v for name, v in part.items()}
        for part in parts
        if isinstance(part, Mapping)
    ]


def _one(entry: Any, name: str) -> str:
    value = entry.get(name) if isinstance(entry, Mapping) else getattr(entry, name, "")
    return "" if value is None else str(value)


def _fields(entry: Any, names: Sequence[str]) -> dict[str, str]:
    return {name: _one(entry, name) for name in names}


def _reason(entry: Any) -> str:
    """Return why a case was left out, without its name."""
    if isinstance(entry, Mapping):
        source = str(entry.get("source") or "")
        why = str(entry.get("error") or entry.get("reason") or "")
    else:
        source, why = (str(part) for part in entry)
    for name in (source, Path(source).name):
        why = why.replace(name, "the scan") if name else why
    return why


def _counted(sentences: Iterable[str]) -> list[tuple[str, int]]:
    return Counter(sentences).most_common()


def _embedded(picture: bytes | None) -> str:
    if picture is None:
        return ""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _sheet(path: str | PathLike[str] | None) -> str:
    if path is None or not Path(path).is_file():
        return ""
    return _embedded(Path(path).read_bytes())


def _provenance(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    names = {
        "model": "Model",
        "model_sha256": "Weights, sha256",
        "recipe_sha256": "Recipe, sha256",
        "labels_sha256": "Labels, sha256",
        "seed": "Seed",
        "device": "Ran on",
    }
    for key, title in names.items():
        if document.get(key) not in (None, ""):
            rows.append((title, Path(str(document[key])).name))
    for package in _PACKAGES:
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return rows
