"""What the commands write: one JSON document or text on stdout, the rest on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_resonance.errors import ResonanceError

if TYPE_CHECKING:
    from rich.console import Console

DONE, FAILED, USAGE, SOME_FAILED = 0, 1, 2, 3
"""Exit codes of every command."""

_NAMED = 3  # files named of those that are left out for one reason


@dataclass(frozen=True)
class Report:
    """What a command found.

    Parameters
    ----------
    document
        For ``--json``.
    show
        Prints the same for people.
    code
        Exit code.

    """

    document: Mapping[str, Any]
    show: Callable[[Console], None]
    code: int = DONE


def terminal() -> Console:
    """Return the console of stdout."""
    from rich.console import Console

    return Console(highlight=False, emoji=False)


def messages() -> Console:
    """Return the console of stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def say(text: str) -> None:
    """Print a message for people on stderr, as it is: no markup, no line breaks."""
    messages().print(plain(text), markup=False, soft_wrap=True)


def plain(text: str) -> str:
    """Return text without control characters, which a header or a name may hold."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def say_left_out(skipped: Sequence[tuple[str, str]]) -> None:
    """Name on stderr what was left out; files of one folder and reason in one line."""
    groups: dict[tuple[str, str], list[str]] = {}
    for source, reason in skipped:
        folder, name = os.path.split(source)
        groups.setdefault((folder, reason.rstrip(".")), []).append(name)
    for (folder, reason), names in groups.items():
        if len(names) == 1:
            say(f"Left out: {os.path.join(folder, names[0])}: {reason}.")
            continue
        shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        say(f"Left out: {len(names)} files in {folder} ({shown}): {reason}.")


def sentence(error: ResonanceError) -> str:
    """Return an error as source, message and remedy, ending with a full stop."""
    return f"{str(error).rstrip('.')}."


def error_document(error: ResonanceError) -> dict[str, Any]:
    """Return the JSON document of a command that failed as a whole."""
    return {"error": error.to_json()}


def print_document(document: Mapping[str, Any]) -> None:
    """Print one strict JSON document on stdout: ASCII, null where a number is NaN."""
    text = json.dumps(strict(document), indent=2, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def strict(value: Any) -> Any:
    """Return the value as JSON has it: NaN and infinity None, NumPy numbers plain."""
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return strict(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def printable(*streams: Any) -> None:
    """Let characters that a stream cannot encode become question marks."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


@contextmanager
def keep_stdout_clean(wanted: bool) -> Iterator[None]:
    """Send to stderr what libraries, C code included, print on stdout meanwhile."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    saved = None
    with suppress(OSError):  # a process without the two has nothing to redirect
        saved = os.dup(1)
        os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if saved is not None:
            os.dup2(saved, 1)
            os.close(saved)
