"""What an evaluation found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_resonance.export.wording import counted

if TYPE_CHECKING:
    from napari_resonance.training.evaluation import Evaluation


def in_words(evaluation: Evaluation) -> list[str]:
    """Return the answer to "how good is it?" in sentences."""
    found = evaluation.metrics
    patients = counted(evaluation.n_patients, "patient")
    cases = f"{counted(evaluation.n_cases, 'case')} of {patients}"
    labels = ", ".join(evaluation.labels[:-1]) + f" or {evaluation.labels[-1]}"
    sentences = [
        f"It was asked of {cases} whether they are {labels}, and "
        f"{_percent(found['accuracy'])} of its answers were right."
    ]
    if found["auroc"]["value"] is not None:
        sentences.append(
            "Shown one case that has a label and one that does not, it ranks the right "
            f"one higher in {_percent(found['auroc'])} of the pairs (AUROC)."
        )
    sure = found["sure"]["value"] or 0.0
    if sure:
        sentences.append(
            f"It was sure of {_percent(found['sure'])} of them, and then right in "
            f"{_percent(found['accuracy_when_sure'])}."
            + (" On the others it abstained." if sure < 1 else "")
        )
    else:
        sentences.append("It was sure of none of them.")
    sentences.append(probabilities_in_words(evaluation))
    sentences.append(
        "In brackets: 95 % intervals, for other patients of the same kind; scans of a "
        "patient count together. Figures that lie within each other's intervals need "
        "not differ."
    )
    sentences = [sentence for sentence in sentences if sentence]
    return sentences + [f"{c[:1].upper()}{c[1:]}." for c in evaluation.cautions]


def probabilities_in_words(evaluation: Evaluation) -> str:
    """Return whether probabilities may be taken at their word; empty if not known.

    Chance parts what is claimed from what is right in few cases, whatever the model.
    """
    figure = evaluation.metrics["ece"]
    off, by_chance = figure["value"], figure.get("by_chance")
    if off is None or by_chance is None:
        return ""
    said = (
        "Its probabilities were off by "
        f"{100 * off:.1f} percentage points on average (calibration error)"
    )
    exact = "a model whose probabilities are exactly right"
    if off <= by_chance:
        return (
            f"{said}. On as many cases {exact} would be off by up to "
            f"{100 * by_chance:.1f} by chance alone: these cases do not show that they "
            "are wrong."
        )
    answers = evaluation.answers
    claimed = float(answers.probabilities.max(axis=1).mean())
    right = float((answers.predicted == answers.targets).mean())
    way = "too high in some cases and too low in others"
    if abs(claimed - right) > off / 2:
        way = "too high" if claimed > right else "too low"
    return (
        f"{said}, more than the {100 * by_chance:.1f} that chance alone gives {exact}. "
        f"It claimed {100 * claimed:.1f} % on average and was right in "
        f"{100 * right:.1f} %: its probabilities are {way}."
    )


def _percent(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "an unknown share"
    text = f"{100 * figure['value']:.1f} %"
    if figure["low"] is None or figure["high"] is None:
        return text
    return f"{text} [{100 * figure['low']:.1f} to {100 * figure['high']:.1f}]"


def rule_in_words(evaluation: Evaluation) -> str:
    """Return when an answer is sure."""
    rule = evaluation.rule
    if rule["rule"] == "conformal":
        return (
            "An answer is sure if its prediction set holds one label. The sets were "
            f"made to hold the true one in {rule['coverage']:.0%} of cases."
        )
    if rule["probability"] >= 1:
        return (
            "No answer is sure: none of the probabilities that calibration cases were "
            "given was right often enough."
        )
    return f"An answer is sure from a probability of {rule['probability']:.3f} on."
