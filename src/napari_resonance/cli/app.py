"""The commands together, and the one place that turns errors into exit codes."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from napari_resonance.cli import (
    classify,
    demo,
    evaluate,
    explain,
    finetune,
    inspect,
    models,
    score,
    view,
)
from napari_resonance.cli.output import (
    FAILED,
    USAGE,
    Report,
    error_document,
    keep_stdout_clean,
    print_document,
    printable,
    say,
    sentence,
    terminal,
)
from napari_resonance.errors import ResonanceError

app = typer.Typer(
    name="resonance",
    help="Classify DICOM and NIfTI scans with ResNets, and see where they looked.",
    epilog="Research use only, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, and patients' names
)
app.command("demo")(demo.demo)
app.command("inspect")(inspect.inspect)
app.command("classify")(classify.classify)
app.command("explain")(explain.explain)
app.add_typer(models.app, name="models")
app.command("finetune")(finetune.finetune)
app.command("evaluate")(evaluate.evaluate)
app.command("score")(score.score)
app.command("view")(view.view)

# Typer does not export the bases of its usage errors, and newer versions bring them
# under another name.
_CommandLineError: type[Any] = typer.BadParameter.__mro__[2]

_INTERRUPTED = 130  # what shells expect: 128 + SIGINT


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("napari-resonance"))
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Take what comes before the command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Parameters
    ----------
    arguments
        What follows ``resonance``; those of the process if None.

    Raises
    ------
    SystemExit
        Always: 0 done, 1 failed, 2 wrong usage, 3 finished but some inputs failed.

    """
    printable(sys.stdout, sys.stderr)
    wants_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(arguments, wants_json)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left (`resonance inspect . | head`). What is still
        # to be flushed at the end has to go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        say("Interrupted.")
    raise SystemExit(code)


def _run(arguments: Sequence[str] | None, wants_json: bool) -> int:
    command = typer.main.get_command(app)
    try:
        with keep_stdout_clean(wants_json):
            result = command.main(
                arguments, prog_name="resonance", standalone_mode=False
            )
        if not isinstance(result, Report):
            return int(result or 0)
        if wants_json:
            print_document(result.document)
        else:
            result.show(terminal())
    except ResonanceError as error:
        return _failed(error_document(error), sentence(error), FAILED, wants_json)
    except _CommandLineError as error:
        return _misused(error, wants_json)
    return result.code


def _misused(error: Any, wants_json: bool) -> int:
    context = getattr(error, "ctx", None)
    path = "resonance" if context is None else context.command_path
    remedy = f"See '{path} --help'"
    message = error.format_message().rstrip(".")
    if not message and not wants_json:
        return USAGE  # no command at all: the help has been printed
    fields = {"type": "UsageError", "message": message or "no command", "source": None}
    document = {"error": fields | {"remedy": remedy}}
    stop = "" if message.endswith("?") else "."
    return _failed(document, f"{message}{stop} {remedy}.", USAGE, wants_json)


def _failed(document: dict[str, Any], text: str, code: int, wants_json: bool) -> int:
    if wants_json:
        print_document(document)
    say(f"Error: {text}")
    return code
