"""Options that several commands share, with their help."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_MODEL = "mr-sequence"


class Method(StrEnum):
    """Saliency methods."""

    gradcam = "gradcam"
    gradcam_plus = "gradcam++"
    hirescam = "hirescam"
    fused_cam = "fused-cam"
    occlusion = "occlusion"
    integrated_gradients = "integrated-gradients"
    smoothgrad = "smoothgrad"
    gradient_x_input = "gradient-x-input"


class Sign(StrEnum):
    """Which evidence is shown."""

    for_ = "for"
    against = "against"
    both = "both"


class Baseline(StrEnum):
    """What covered parts of a scan are replaced with."""

    mean = "mean"
    lowest = "lowest"
    blur = "blur"


class Faithfulness(StrEnum):
    """How thoroughly a map is measured."""

    quick = "quick"
    full = "full"


class Device(StrEnum):
    """Where the network may run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


def point(text: str | None, option: str) -> tuple[float, float, float] | None:
    """Return three numbers that were written ``x,y,z``; None where there is no text.

    Raises
    ------
    typer.BadParameter
        If they are not three finite numbers.

    """
    if text is None:
        return None
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        x = y = z = math.nan
    if not all(map(math.isfinite, (x, y, z))):
        raise typer.BadParameter(
            f"{option} takes three numbers with commas between them, as in "
            f"{option} -12.5,30,8; this is {text!r}"
        )
    return x, y, z


Target = Annotated[
    str | None,
    typer.Option(metavar="LABEL", help="Label to explain, not the likeliest one."),
]
Against = Annotated[
    str | None,
    typer.Option(metavar="LABEL", help="Explain why it is not this label."),
]
Center = Annotated[
    str | None,
    typer.Option(
        metavar="X,Y,Z",
        help="Classify the region around this place: RAS+ mm (right, front, up).",
    ),
]
Box = Annotated[
    str | None,
    typer.Option(metavar="X,Y,Z", help="Size of the region in mm, if not the model's."),
]
Channels = Annotated[
    list[Path] | None,
    typer.Option(
        "--channel",
        metavar="PATH",
        help="A further scan of the same patient, for models that take several.",
    ),
]
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
