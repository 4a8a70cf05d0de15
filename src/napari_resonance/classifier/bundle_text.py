"""The README and LICENSE of a bundle, from its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_resonance.classifier.card import ModelCard


def readme(
    card: ModelCard, inference: Mapping[str, Any], *, color: bool = False
) -> str:
    """Return ``docs/README.md``: the card in words, and how to run the bundle.

    Parameters
    ----------
    card, inference
        Of the bundle.
    color
        Whether the network is given red, green and blue.

    """
    sections = [
        f"# {card.name} {card.version}",
        card.task,
        "For research use only; not a medical device.",
        f"Labels: {', '.join(card.labels)}. {_scans(card, color)}",
        _section("Intended use", card.intended_use),
        _section("Training data", card.training_data),
        _section("Performance", _figures(card.performance)),
        _section("Limits", _bullets(card.limits)),
        _section("Licence and credits", f"{card.licence}\n\n{_credits(card)}".strip()),
        _section("Run it", _usage(inference)),
    ]
    return "\n\n".join(s for s in sections if s) + "\n"


def licence(card: ModelCard) -> str:
    """Return the text of the ``LICENSE`` file."""
    name = card.licence or "not stated"
    return (
        f"Licence of the model {card.name}: {name}\n\n{_credits(card)}".strip() + "\n"
    )


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _scans(card: ModelCard, color: bool) -> str:
    kind = "/".join(card.modality) or "any modality"
    body = f", {card.body_part}" if card.body_part else ""
    seen = " that sees colour" if color else ""
    return f"Scans: {kind}{body}; a {card.dimensions}D network{seen}."


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _credits(card: ModelCard) -> str:
    return _bullets(card.attributions)


def _figures(performance: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {_figure(value)}" for name, value in performance.items()]
    return "\n".join(lines)


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if not isinstance(value, Mapping):
        return str(value)
    if not {"value", "low", "high"} <= value.keys():
        return ", ".join(f"{k} {_figure(v)}" for k, v in value.items())
    low, high = value["low"], value["high"]
    if low is None or high is None:
        return _figure(value["value"])
    return f"{_figure(value['value'])} ({_figure(low)} to {_figure(high)})"


def _usage(inference: Mapping[str, Any]) -> str:
    needs = "Needs" if "napari_resonance." in str(inference) else "Best run with"
    return (
        f'{needs} this package: `pip install "napari-resonance[monai]"`.\n\n'
        "```\n"
        "resonance classify SCAN --model BUNDLE\n"
        "python -m monai.bundle run --config_file BUNDLE/configs/inference.json \\\n"
        "  --weights_file BUNDLE/models/model.safetensors --scan SCAN\n"
        "```\n\n"
        "The second line writes `eval/predictions.csv`: the scan, then a probability "
        "for each label in the order above. Its device is the CPU; "
        "`--device::type cuda` takes a graphics card."
    )
