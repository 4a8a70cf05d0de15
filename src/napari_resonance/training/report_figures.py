"""Pictures of the report, as SVG: ROC, precision and recall, reliability, confusion."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.export.scripts import FONT, any_script, is_leftward

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_resonance.training.evaluation import Evaluation

# Okabe & Ito's colours, which colour-blind readers tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_LINES = ("-", "--", "-.", ":")
_MOST_CURVES = 12
_MOST_BESIDE = 5  # labels whose names can be read in half a page
_MOST_INSIDE = 4  # whose names hide no curve
_LETTERS = 24  # that have room side by side below the confusion matrix
_ISOLATE, _POP = "\u2068", "\u2069"  # signs without a look
_STYLE: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#667",
    # As text, for the reader's fonts to draw: ours has no Chinese nor joins Arabic.
    "svg.fonttype": "none",
    "svg.hashsalt": "napari-resonance",
}


def figures_of(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return title, caption, SVG and whether it is broad of each picture."""
    labels, answers = evaluation.labels, evaluation.answers
    present = [k for k in range(len(labels)) if _both(answers.targets == k)]
    shown = present[1:] if len(labels) == 2 and len(present) == 2 else present
    drawn = []
    if shown:
        left = len(shown) - _MOST_CURVES
        some = f" The first {_MOST_CURVES} labels are drawn." if left > 0 else ""
        drawn += [
            _entry(
                "ROC curve",
                "Of the cases that have a label, the share found, against the false "
                f"alarms among the others. A coin lies on the diagonal.{some}",
                _curves(evaluation, shown[:_MOST_CURVES], _roc),
            ),
            _entry(
                "Precision and recall",
                "How many alarms are right, as more of the cases are found. The "
                f"dotted line is what guessing reaches.{some}",
                _curves(evaluation, shown[:_MOST_CURVES], _precision),
            ),
        ]
    return [
        *drawn,
        _entry(
            "Reliability",
            "What was claimed, against how often it was right. On the diagonal, "
            "probabilities may be taken at their word. Bars count the cases.",
            _reliability(evaluation),
        ),
        _entry(
            "Confusion",
            "A row for each true label: what the cases were called.",
            _confusion(evaluation),
            is_broad=len(labels) > _MOST_BESIDE,
        ),
    ]


def _both(truth: Any) -> bool:
    return bool(truth.any() and not truth.all())


def _entry(
    title: str, caption: str, svg: str, *, is_broad: bool = False
) -> dict[str, Any]:
    named = _named(svg, f"{title}. {caption}")
    return {"title": title, "caption": caption, "svg": named, "is_broad": is_broad}


def _named(svg: str, what: str) -> str:
    """Return a picture that says what it shows to whom reads by ear."""
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(what)}" ', 1)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    # The browser has what the font that measures lacks.
    with any_script():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _new(width: float = 4.2, height: float = 3.7) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _curves(evaluation: Evaluation, shown: Sequence[int], draw: Any) -> str:
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure, axes = _new()
        for n, k in enumerate(shown):
            style: dict[str, Any] = {"color": COLOURS[n % len(COLOURS)], "lw": 1.8}
            draw(axes, evaluation, k, style | {"ls": _LINES[n // len(COLOURS)]})
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        if len(shown) > _MOST_INSIDE:
            figure.set_figheight(3.7 + 0.17 * ((len(shown) + 1) // 2))
            figure.legend(
                frameon=False, fontsize=8, loc="outside lower center", ncols=2
            )
        else:
            axes.legend(frameon=False, fontsize=8, loc="lower center")
        return _svg(figure)


def _roc(axes: Axes, evaluation: Evaluation, k: int, style: Mapping[str, Any]) -> None:
    from sklearn.metrics import roc_curve

    answers = evaluation.answers
    truth = answers.targets == k
    false, true, _ = roc_curve(truth, answers.probabilities[:, k])
    area = evaluation.per_class[evaluation.labels[k]]["auroc"]["value"]
    name = f"{short_labels(evaluation.labels)[k]}: {area:.3f}"
    axes.plot(false, true, label=name, **style)
    axes.plot([0, 1], [0, 1], color="#99a", lw=0.8, ls=":")
    if len(evaluation.labels) == 2:
        called = answers.called == k
        place = called[~truth].mean(), called[truth].mean()
        axes.plot(*place, "o", color="#222", ms=6, label="operating point")
    axes.set(xlabel="false alarms (1 - specificity)", ylabel="found (sensitivity)")


def _precision(
    axes: Axes, evaluation: Evaluation, k: int, style: Mapping[str, Any]
) -> None:
    from sklearn.metrics import precision_recall_curve

    truth = evaluation.answers.targets == k
    scores = evaluation.answers.probabilities[:, k]
    precision, recall, _ = precision_recall_curve(truth, scores)
    area = evaluation.per_class[evaluation.labels[k]]["auprc"]["value"]
    name = f"{short_labels(evaluation.labels)[k]}: {area:.3f}"
    axes.step(recall, precision, where="post", label=name, **style)
    axes.axhline(truth.mean(), color=style["color"], lw=0.8, ls=":")
    axes.set(xlabel="found (recall)", ylabel="right alarms (precision)")


def _reliability(evaluation: Evaluation) -> str:
    import matplotlib as mpl

    rows = [row for row in evaluation.reliability if row["cases"]]
    with mpl.rc_context(_STYLE):
        figure, axes = _new()
        most = max(row["cases"] for row in rows)
        for row in rows:
            height = 0.18 * row["cases"] / most
            axes.bar(
                (row["from"] + row["to"]) / 2, height, 0.092, color="#d5dbe3", zorder=0
            )
        axes.plot([0, 1], [0, 1], color="#99a", lw=0.8, ls=":")
        claimed, right = [r["claimed"] for r in rows], [r["right"] for r in rows]
        axes.plot(claimed, right, color=COLOURS[0], lw=1.2)
        sizes = [18 + 90 * r["cases"] / most for r in rows]
        axes.scatter(claimed, right, s=sizes, color=COLOURS[0], zorder=3)
        axes.set(xlabel="claimed probability", ylabel="share that was right")
        axes.set(xlim=(-0.02, 1.04), ylim=(-0.02, 1.06), aspect="equal")
        return _svg(figure)


def _confusion(evaluation: Evaluation) -> str:
    import matplotlib as mpl

    counts = evaluation.confusion
    names = short_labels(evaluation.labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(3.7, 1.6 + 0.5 * len(names))
    with mpl.rc_context(_STYLE):
        figure, axes = _new(side + 0.5, side)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            dark = shares[row, column] > 0.5
            axes.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                color="white" if dark else "#223",
            )
        ticks = range(len(names))
        axes.set_xticks(ticks, names)
        if len(names) > 3 or max(map(len, names)) * len(names) > _LETTERS:
            for name in axes.get_xticklabels():
                name.set(rotation=30, ha="right", rotation_mode="anchor")
        axes.set_yticks(ticks, names)
        axes.set(xlabel="called", ylabel="true label")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return _svg(figure)


def curves_svg(curves: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Return the losses and other figures of trainings by epoch; empty without any."""
    import matplotlib as mpl

    runs = [list(run) for run in curves if run]
    names = [
        name
        for name, value in (runs[0][-1].items() if runs else ())
        if name != "epoch" and isinstance(value, int | float)
    ]
    by_kind = {
        "loss": [n for n in names if "loss" in n.lower()],
        "validation cases": [
            n for n in names if "loss" not in n.lower() and "rate" not in n.lower()
        ],
    }
    groups = {what: group[: len(COLOURS)] for what, group in by_kind.items() if group}
    if not groups:
        return ""
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        size = (4.4 * len(groups), 2.9)
        figure = Figure(figsize=size, layout="constrained")
        places = figure.subplots(1, len(groups), squeeze=False)[0]
        for axes, (what, group) in zip(places, groups.items(), strict=True):
            for n, name in enumerate(group):
                _by_epoch(axes, runs, name, COLOURS[n])
            axes.set(xlabel="epoch", ylabel=what)
            axes.legend(frameon=False, fontsize=8)
        return _named(_svg(figure), "Losses and figures by epoch")


def _by_epoch(
    axes: Axes, runs: Sequence[Sequence[Mapping[str, Any]]], name: str, colour: str
) -> None:
    for n, run in enumerate(runs):
        values = [row.get(name) for row in run]
        numbers = [v if isinstance(v, int | float) else np.nan for v in values]
        epochs = [row.get("epoch", place) for place, row in enumerate(run)]
        title = name.replace("_", " ") if n == 0 else None
        axes.plot(epochs, numbers, color=colour, lw=1.3, alpha=0.85, label=title)


def short_labels(labels: Sequence[str], most: int = 18) -> list[str]:
    """Return labels for a picture: cut, still told apart, and without mathematics.

    Where several begin alike, their ends are kept; numbers tell apart what is left.
    """
    plain = [label.strip(_ISOLATE + _POP) for label in labels]
    names = [_cut(label, most, end=0) for label in plain]
    for n in _alike(names):
        names[n] = _cut(plain[n], most, end=most // 2 - 1)
    for n in _alike(names):
        names[n] = f"{n + 1}: {names[n]}"
    # What stands between two dollars would be set as a formula.
    return [isolated(name.replace("$", r"\$")) for name in names]


def _alike(names: Sequence[str]) -> list[int]:
    counts = Counter(names)
    return [n for n, name in enumerate(names) if counts[name] > 1]


def _cut(label: str, most: int, *, end: int) -> str:
    if len(label) <= most:
        return label
    return f"{label[: most - 1 - end]}…{label[len(label) - end :]}"


def isolated(label: str) -> str:
    """Return a label that leaves the order of what stands beside it.

    Numbers after Arabic or Hebrew would stand before it, and seem to be another's.
    """
    return f"{_ISOLATE}{label}{_POP}" if is_leftward(label) else label
