"""What errors of the core tell to do, as a panel says it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_resonance
from napari_resonance.errors import ModelError, TrainingError
from napari_resonance.training.callbacks import stopped
from napari_resonance.viewer.remedies import ANYWAY, GO_ON, RETRY, in_window
from napari_resonance.viewer.worker import sentence_of

PACKAGE = Path(napari_resonance.__file__).parent
# What speaks to a terminal, to the reader of a file, or to a shell.
_ELSEWHERE = ("cli", "training/mr_sequence", "training/synthetic", "viewer")
_OPTION = re.compile(r"(?<!\w)--[a-z]|\bresonance (?:[a-z]+ [A-Z]|models|inspect)")


def written(tree: ast.AST) -> Iterator[str]:
    """Yield the texts of a module, f-strings with X for their values."""
    parts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= set(node.values)
            values = [
                v.value if isinstance(v, ast.Constant) else "X" for v in node.values
            ]
            yield "".join(map(str, values))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.add(node.value)  # a docstring
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node not in parts
        ):
            yield node.value


def of_the_command_line() -> list[tuple[str, str]]:
    """Return file and text where the core names an option or a command."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(_ELSEWHERE):
            texts = written(ast.parse(path.read_text("utf-8")))
            found += [(name, text) for text in texts if _OPTION.search(text)]
    return found


@pytest.mark.parametrize(("file", "text"), of_the_command_line())
def test_no_panel_speaks_of_options(file: str, text: str) -> None:
    said = in_window(text)
    assert not _OPTION.search(said) or "in a terminal" in said


def test_there_are_such_texts() -> None:
    files = {file for file, _ in of_the_command_line()}
    assert {"training/finetune.py", "classifier/place.py", "scoring/work.py"} <= files


def test_what_a_panel_has_a_widget_for_is_told_by_its_name() -> None:
    assert f"'{GO_ON}'" in sentence_of(stopped())
    assert in_window("Try again with --retry-failed.") == f"Try again with '{RETRY}'."
    unfit = "The scan is flat. Choose another model, or force the classification."
    assert f"tick '{ANYWAY}' in the Classify panel." in in_window(unfit)
    leaky = TrainingError(
        "x",
        remedy="Leave them out; if they are no copies, "
        "--allow-leaks goes on and the report names them",
    )
    assert sentence_of(leaky) == "x. Leave them out."


def test_commands_without_a_panel_are_told_as_such() -> None:
    error = ModelError(
        "this is a file, not a model",
        source="/data/m.v2.pth",
        remedy="Make one: resonance models import /data/m.v2.pth --out DIR",
    )
    assert sentence_of(error) == (
        "/data/m.v2.pth: this is a file, not a model. Make one: 'resonance models "
        "import' in a terminal."
    )


def test_names_of_folders_are_left_alone() -> None:
    error = ModelError("it is damaged", source="/data/a--b/--c/m", remedy="Mend it")
    assert sentence_of(error) == "/data/a--b/--c/m: it is damaged. Mend it."
