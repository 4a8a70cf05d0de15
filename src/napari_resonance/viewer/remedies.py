"""What can be done, in the words of the panels: errors tell it by commands and options.

The core does not know who reads an error. What a panel has a widget for is told by the
name of that widget; what only a terminal can do is told as such.
"""

from __future__ import annotations

import re

GO_ON = "Go on with the interrupted training"
RETRY = "Try again what failed"
ANYWAY = "Classify it all the same"
MADE_FROM = "Made from"
UNKNOWN = "Not known"

# A pattern of what the core says, and what a panel says instead.
_WORDS = (
    (r"with it \(--resume\), or begin anew \(--overwrite\)", f"with it ('{GO_ON}')"),
    (r"\(without --resume\)", f"(without '{GO_ON}')"),
    (r"go on with --resume", f"choose '{GO_ON}'"),
    (r"Go on from (.*) with --resume", rf"'{GO_ON}' begins at \1"),
    (r", or replace the model with --overwrite \(.*\)", ""),
    (r"another --out", "another folder ('Save as')"),
    (r"with --retry-failed", f"with '{RETRY}'"),
    (r"; if they are no copies, --allow-leaks goes on .*", ""),
    (r"a smaller input \(--shape\) or network", "a smaller network"),
    (r"--like (one of .*)", rf"Choose \1 as '{MADE_FROM}'"),
    (r"Leave --like away", f"Choose '{UNKNOWN}' as '{MADE_FROM}'"),
    (r"in this order: the first, then each --channel", "each in its row"),
    (r"Give it in RAS\+ mm: .* --center x,y,z", "Click a place or draw a box"),
    (r"Train one: resonance finetune .*", "Begin with it in the Fine-tune panel"),
    (r"train a new one: resonance finetune .*", "train a new one that begins with it"),
    (r"force the classification", f"tick '{ANYWAY}' in the Classify panel"),
    (r"Use it: resonance classify .*", "Choose it in the Classify panel"),
    (r"with 'resonance inspect'", "in the Series panel"),
)
# A command with all that follows it in its sentence.
_COMMAND = re.compile(r"\bresonance (models \w+)\b[^.;']*(?:\.\w[^.;']*)*")
_OPTION = re.compile(r"(?<![^\s('])--[a-z]")  # and not a part of a path


def in_window(text: str) -> str:
    """Return a text of the core for somebody who looks at a panel.

    Parameters
    ----------
    text
        Message and remedy of an error, or the reason why a scan was not scored.

    """
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    text = _COMMAND.sub(r"'resonance \1' in a terminal", text)
    if _OPTION.search(text):
        text = f"{text.rstrip('.')} (in a terminal)"
    return text
