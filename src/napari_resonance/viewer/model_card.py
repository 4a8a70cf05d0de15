"""The card of a model, to read before one believes it."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtWidgets import QWidget

from napari_resonance.viewer.fold import Fold, text_label

_TITLE = "About this model"


class ModelCard(Fold):
    """Facts of a model under a heading that unfolds them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self.label = text_label()
        super().__init__(_TITLE, self.label, parent)
        self.show_facts({})

    def show_facts(self, facts: Mapping[str, str | list[str]]) -> None:
        """Show facts by name; none hide the heading too.

        A name that begins with a space is that of a figure of performance.
        """
        self.label.setText("\n\n".join(card_paragraphs(facts)))
        self.setVisible(bool(facts))


def card_paragraphs(facts: Mapping[str, str | list[str]]) -> list[str]:
    """Return facts as paragraphs; figures follow one another in one of their own."""
    figures = [f"{_words(n)}: {v}" for n, v in facts.items() if n.startswith(" ")]
    paragraphs = []
    for name, value in facts.items():
        if isinstance(value, list):
            paragraphs.append("\n".join([name, *(f"– {line}" for line in value)]))
        elif not name.startswith(" "):
            paragraphs.append(f"{name}: {value}")
        elif figures:
            paragraphs.append("\n".join(["Performance (and its interval)", *figures]))
            figures = []
    return paragraphs


def _words(name: str) -> str:
    text = name.strip().replace("_", " ")
    return text[:1].upper() + text[1:]
