"""A model card as named facts: the same words in the terminal and in the window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle


def card_facts(bundle: Bundle) -> dict[str, str | list[str]]:
    """Return what the card of a model says, by name; what it leaves out is left out.

    Several sentences are a list. Figures follow "Training data", each under its own
    name with two spaces in front.
    """
    card = bundle.card
    megabytes = bundle.weights_path.stat().st_size / 1e6
    facts: dict[str, str | list[str]] = {
        "Task": card.task,
        "Labels": ", ".join(card.labels),
        "Scans": kind_of(bundle) + (f", {card.body_part}" if card.body_part else ""),
        "Intended use": card.intended_use,
        "Training data": card.training_data,
        **{f"  {name}": _figure(value) for name, value in card.performance.items()},
        "Operating point": _operating_point(bundle),
        "Limits": list(card.limits),
        "Licence": card.licence,
        "Credits": list(card.attributions),
        "Weights": f"{megabytes:.1f} MB, sha256 {bundle.weights_sha256[:16]}",
        "Recipe": f"sha256 {bundle.recipe.sha256[:16]}",
        "Folder": str(bundle.path),
    }
    return {name: text for name, text in facts.items() if text}


def _operating_point(bundle: Bundle) -> str:
    least = bundle.calibration.operating_point
    return "" if least is None else f"{bundle.card.labels[1]} from {least:.3g} on"


def kind_of(bundle: Bundle) -> str:
    """Return which scans a model takes: ``"3D, MR"``, ``"2D, US, in colour"``."""
    modality = " or ".join(bundle.card.modality) or "any modality"
    color = ", in colour" if bundle.recipe.color else ""
    return f"{bundle.card.dimensions}D, {modality}{color}"


def _figure(value: Any) -> str:
    """Return a figure with its interval: ``"0.96 (0.91 to 0.98)"``."""
    if isinstance(value, Mapping) and "value" in value:
        text = _number(value["value"])
        if value.get("low") is not None and value.get("high") is not None:
            text += f" ({_number(value['low'])} to {_number(value['high'])})"
        return text
    return _number(value)


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
