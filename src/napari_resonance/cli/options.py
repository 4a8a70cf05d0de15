"""Options that several commands share, with their help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_MODEL = "mr-sequence"


class Method(StrEnum):
    """Saliency methods."""

    gradcam = "gradcam"


class Device(StrEnum):
    """Where the network may run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH", help="Files and folders; folders are searched in depth."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document, and nothing else.")
]
Model = Annotated[
    str,
    typer.Option("--model", "-m", metavar="M", help="Name of a model, or its folder."),
]
