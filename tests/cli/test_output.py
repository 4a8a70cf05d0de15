"""JSON on stdout and nothing else; help, version and wrong usage."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console
from support.results import prediction

from napari_resonance.cli.options import Device, Method
from napari_resonance.cli.output import keep_stdout_clean, sentence, strict
from napari_resonance.cli.show import show_table
from napari_resonance.errors import ReadError


def test_documents_are_strict_json():
    odd = {
        "nan": float("nan"),
        "inf": [np.float32("inf"), np.float64(0.25)],
        "count": np.int64(3),
        "flag": np.bool_(True),
        "array": np.eye(2),
        1: (None, "text"),
    }
    text = json.dumps(strict(odd), allow_nan=False)
    assert json.loads(text) == {
        "nan": None,
        "inf": [None, 0.25],
        "count": 3,
        "flag": True,
        "array": [[1, 0], [0, 1]],
        "1": [None, "text"],
    }


def test_what_libraries_print_goes_to_stderr(capfd):
    with keep_stdout_clean(True):
        sys.stdout.write("from Python\n")
        os.write(1, b"from C\n")
    sys.stdout.write("document\n")
    out, err = capfd.readouterr()
    assert out == "document\n"
    assert "from Python" in err
    assert "from C" in err


def test_an_error_is_one_text_with_a_full_stop():
    error = ReadError("it is empty", source="a.nii", remedy="Copy it again.")
    assert sentence(error) == "a.nii: it is empty. Copy it again."


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify", "--nope", "x"],
        ["classify"],
        ["inspect"],
        ["view"],
        ["classify", "x", "--saliency", "guess"],
        ["classify", "x", "--device", "abacus"],
        ["classify", "x", "--target", "T1w"],
        ["guess"],
        ["models", "guess"],
        ["demo", "too", "many"],
    ],
)
def test_wrong_usage_is_exit_code_2_and_a_sentence(resonance, arguments):
    ran = resonance(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("Error: ")
    assert "--help'." in ran.err
    assert "Traceback" not in ran.err
    error = resonance(*arguments, "--json").document["error"]
    assert error["type"] == "UsageError"
    assert set(error) == {"type", "message", "source", "remedy"}


@pytest.mark.parametrize("arguments", [[], ["models"]])
def test_no_command_shows_the_help(resonance, arguments):
    ran = resonance(*arguments)
    assert ran.code in (0, 2)  # Typer before 0.21 takes it for a question
    assert "Usage: resonance" in ran.out
    assert ran.err == ""


@pytest.mark.parametrize(
    "arguments",
    [[], ["demo"], ["inspect"], ["classify"], ["models"], ["models", "list"],
     ["models", "show"], ["view"]],
)  # fmt: skip
def test_every_command_has_help_that_fits_80_columns(resonance, arguments):
    ran = resonance(*arguments, "--help")
    assert ran.code == 0
    assert f"Usage: {' '.join(['resonance', *arguments])}" in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 80


def test_the_version_is_that_of_the_package(resonance):
    from importlib.metadata import version

    assert resonance("--version").out.strip() == version("napari-resonance")


def test_choices_are_those_of_the_classifier():
    from napari_resonance.classifier.engines import DEVICES
    from napari_resonance.export.wording import METHOD_NAMES
    from napari_resonance.saliency.methods import METHODS

    assert tuple(Device) == DEVICES
    assert list(Method) == list(METHODS) == list(METHOD_NAMES)


def test_help_and_wrong_usage_load_nothing_heavy():
    code = """
import sys
from napari_resonance.cli import main
for arguments in (["--help"], ["classify", "--help"], ["demo", "--no"], ["--version"]):
    try:
        main(arguments)
    except SystemExit:
        pass
heavy = {"torch", "monai", "sklearn", "pandas", "scipy", "nibabel", "pydicom", "napari",
         "qtpy", "PyQt6", "matplotlib", "openvino", "numpy"}
sys.exit(", ".join(sorted(heavy & set(sys.modules))) or 0)
"""
    command = [sys.executable, "-c", code]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr


def test_the_installed_script_and_the_module_are_the_same():
    script = [os.path.join(os.path.dirname(sys.executable), "resonance")]
    module = [sys.executable, "-m", "napari_resonance"]
    texts = [
        subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
        for command in (script, module)
    ]
    assert texts[0].stdout == texts[1].stdout
    assert "classify" in texts[0].stdout


@pytest.mark.skipif(os.name == "nt", reason="pipes end differently on Windows")
@pytest.mark.parametrize("arguments", ["--help", "models list --json", "models list"])
def test_a_reader_that_left_is_no_traceback(arguments):
    command = f"'{sys.executable}' -m napari_resonance {arguments} | true"
    child = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False
    )
    assert child.stderr == ""


@pytest.mark.parametrize("stage", ["describe", "_show_list"])
def test_an_interruption_is_one_word_and_code_130(
    resonance, embedded, monkeypatch, stage
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"napari_resonance.cli.models.{stage}", interrupt)
    ran = resonance("models", "list")
    assert (ran.code, ran.out, ran.err) == (130, "", "Interrupted.\n")


def test_an_error_while_showing_is_a_sentence_too(resonance, embedded, monkeypatch):
    def fail(*_):
        raise ReadError("the window broke")

    monkeypatch.setattr("napari_resonance.cli.models._show_list", fail)
    ran = resonance("models", "list")
    assert (ran.code, ran.err) == (1, "Error: the window broke.\n")


@pytest.mark.parametrize(
    ("threshold", "columns"),
    [(None, ["Label", "Probability"]), (0.3, ["Label", "Probability", "Called"])],
)
def test_the_table_says_what_scans_are_called(threshold, columns):
    answers = [
        prediction(label="a", probabilities={"a": p, "b": 1 - p}, threshold=threshold)
        for p in (0.9, 0.6)
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    show_table(console, answers, ["", ""])
    head, *rows = console.export_text().splitlines()
    assert head.split() == ["Scan", *columns, "Certainty"]
    called = [row.split()[-2] for row in rows[:2]]
    assert (called == ["a", "b"]) == (threshold is not None)
