"""A model folder for others: what answers need, and nothing of whom it learned from.

The record of a training names scans as the labels did, and shows pictures of them.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from napari_resonance.classifier.bundle import KNOWN_FILES, Bundle, load_bundle
from napari_resonance.classifier.place import check_place
from napari_resonance.errors import ModelError

FINGERPRINTS = "training/fingerprints.safetensors"
"""File of a bundle by which copies of its training scans are known; without names."""


@dataclass(frozen=True, eq=False)
class Shared:
    """A copy of a model that can be passed on.

    Parameters
    ----------
    bundle
        The copy.
    files, left_out
        What was copied and what was not, relative to the folder.

    """

    bundle: Bundle
    files: tuple[str, ...]
    left_out: tuple[str, ...]


def share(
    bundle: Bundle, out: str | PathLike[str], *, overwrite: bool = False
) -> Shared:
    """Copy a model without the record of its training; whole or not at all.

    What is copied: card, network, weights, recipe, statistics, conversion, and the
    fingerprints of its training scans, by which an evaluation knows them again. They
    hold no names, and are too coarse for a face.

    Parameters
    ----------
    bundle
        The model.
    out
        Folder of the copy.
    overwrite
        Replace a model that is there.

    Raises
    ------
    ModelError
        If something is at `out` that may not be replaced, or it cannot be written.

    """
    target = Path(out)
    if target.resolve() == bundle.path.resolve():
        raise ModelError(
            "a model is not copied onto itself",
            source=target,
            remedy="Choose another folder",
        )
    check_place(target, overwrite=overwrite)
    found = sorted(
        path.relative_to(bundle.path).as_posix()
        for path in bundle.path.rglob("*")
        if path.is_file()
    )
    kept = tuple(name for name in found if name in {*KNOWN_FILES, FINGERPRINTS})
    try:
        _copy(bundle.path, kept, target)
    except OSError as error:
        raise ModelError(
            f"the model cannot be written here: {error.strerror or error}",
            source=target,
            remedy="Choose another folder, or make room",
        ) from error
    left_out = tuple(name for name in found if name not in kept)
    return Shared(load_bundle(target), kept, left_out)


def _copy(model: Path, names: tuple[str, ...], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=f".{target.name}-"
    ) as drafts:
        draft = Path(drafts, "draft")
        for name in names:
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(model / name, draft / name)
        if target.exists():
            target.rename(Path(drafts, "replaced"))
        draft.rename(target)
