"""Whether a classifier was trained on the scans that it is judged by.

Beside its weights a classifier keeps the names of its cases (``split.json``) and small
pictures of them by which copies are recognised, see `fingerprints`. A fingerprint holds
16 voxels along each axis (64 of an image), without what is smooth: no name, no date,
and too coarse for a face.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.sharing import FINGERPRINTS
from napari_resonance.errors import ModelError
from napari_resonance.export.atomic import replacing
from napari_resonance.training.fingerprints import LENGTH, stacked
from napari_resonance.training.leaks import copies

SPLIT = "training/split.json"
"""File of a bundle."""

Fingerprints = NDArray[np.int8]


def write_fingerprints(bundle: Path, trained_on: Fingerprints) -> None:
    """Keep the fingerprints of the cases that a classifier learned from.

    Parameters
    ----------
    bundle
        Folder of the classifier.
    trained_on
        int8 ``(n, r, 4097)`` or ``(n, 4097)``, of training and validation.

    """
    from safetensors.numpy import save

    rows = trained_on.reshape(-1, LENGTH + 1)
    shown = np.ascontiguousarray(rows[rows[:, 0] > 0])
    with replacing(bundle / FINGERPRINTS) as draft:
        draft.write_bytes(save({"fingerprints": shown}))


def read_fingerprints(bundle: Path) -> Fingerprints | None:
    """Return int8 ``(m, 4097)`` that `write_fingerprints` wrote, None without.

    Of a case there may be several, and none where nothing is shown.

    Raises
    ------
    ModelError
        If the file is damaged.

    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = bundle / FINGERPRINTS
    if not path.is_file():
        return None
    try:
        found: Fingerprints = load(path.read_bytes())["fingerprints"]
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"the file is damaged: {error}", source=path) from error
    if found.dtype != np.int8 or found.ndim != 2 or found.shape[1] != LENGTH + 1:
        raise ModelError("the file holds no fingerprints", source=path)
    return found


def seen_before(
    bundle: Path, sources: Sequence[str], shown: Sequence[Fingerprints]
) -> list[dict[str, str]] | None:
    """Return the cases that a classifier was trained on, under this or another name.

    Pictures decide where both sides have them, names where they do not.

    Parameters
    ----------
    bundle
        Folder of the classifier.
    sources
        What the cases are called.
    shown
        Fingerprints int8 ``(r, 4097)`` of each case; empty where none were made.

    Returns
    -------
    list of dict or None
        ``kind`` (``"source"`` or ``"pixels"``), ``first``, ``second`` and
        ``sentence``; None where the classifier keeps no record of what it was
        trained on.

    """
    names = _names(bundle)
    known = read_fingerprints(bundle)
    if names is None and known is None:
        return None
    if known is None or not len(known) or not len(shown):
        return [_same_name(s) for s in sources if s in (names or ())]
    # Names alone tell nothing else: every hospital has a "001/t1.nii.gz".
    blank = (s for s, f in zip(sources, shown, strict=True) if not f.any())
    found = [_same_name(s) for s in blank if s in (names or ())]
    together = stacked([*known, *shown])
    rows = range(len(known), len(together))
    best: dict[int, float] = {}
    for _, n, likeness in copies(together, range(len(known)), rows):
        best[n] = max(likeness, best.get(n, 0.0))
    for n, likeness in sorted(best.items()):
        source = sources[n - len(known)]
        named = source in (names or ())
        found.append(_same_name(source) if named else _same_picture(source, likeness))
    return found


def _names(bundle: Path) -> set[str] | None:
    """Return the sources of the cases that were trained on."""
    try:
        stored = json.loads((bundle / SPLIT).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    # With folds, the network that is stored was trained on all of them.
    parts: list[Any] = stored if isinstance(stored, list) else [stored]
    sides = ("train", "validation", "test") if isinstance(stored, list) else ("train",)
    return {
        str(source)
        for part in parts
        if isinstance(part, Mapping)
        for side in sides
        for source in part.get(side, ())
    }


def _same_name(source: str) -> dict[str, str]:
    sentence = "the model's own record names this scan as trained on"
    return {"kind": "source", "first": source, "second": source, "sentence": sentence}


def _same_picture(source: str, likeness: float) -> dict[str, str]:
    sentence = (
        "the model was trained on, or its epoch chosen by, a scan that shows the same "
        f"picture under another name (likeness {likeness:.2f})"
    )
    return {"kind": "pixels", "first": source, "second": "", "sentence": sentence}
