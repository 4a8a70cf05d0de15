"""Answers that are kept beside a saved scan, and come back when it is opened.

``head.nii.gz`` gets ``head.nii.gz.answers.json``: it names no patient and no path, and
belongs to the very file that it was saved with, by its hash.
"""

from __future__ import annotations

import base64
import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.files import file_sha256
from napari_resonance.classifier.prediction import (
    OutOfDistribution,
    Prediction,
    Saliency,
)
from napari_resonance.errors import ReadError
from napari_resonance.export.atomic import replacing
from napari_resonance.scan import Scan
from napari_resonance.viewer.records import LayerRecord, Run

FORMAT = "napari-resonance answers 1"
_ENDING = ".answers.json"
_LOG = logging.getLogger(__name__)

# No map of ours is larger; a file that says so is damaged, or made to fill the memory.
_MOST_VALUES = 1 << 28

# Names of files are left out: the folders in them often name a patient.
_PLAIN = (
    "label",
    "probability",
    "probabilities",
    "logits",
    "sure",
    "prediction_set",
    "warnings",
    "seconds",
    "model",
    "model_sha256",
    "recipe_sha256",
    "center_mm",
    "box_mm",
)
_LATER = "threshold"  # which answers of before did not have
_TUPLES = ("logits", "prediction_set", "warnings", "center_mm", "box_mm")


def answers_path(scan: Path) -> Path:
    """Return where the answers for a scan's file are kept."""
    return scan.with_name(scan.name + _ENDING)


def save_answers(runs: Sequence[Run], scan: Path) -> Path | None:
    """Write answers beside the file of their scan; None where there are none.

    Parameters
    ----------
    runs
        The answers, the latest last.
    scan
        The file, as it was just written.

    Raises
    ------
    ExportError
        If they cannot be written.

    """
    path = answers_path(scan)
    if not runs:
        path.unlink(missing_ok=True)
        return None
    document = {
        "format": FORMAT,
        "scan_sha256": file_sha256(scan),
        "answers": [_run_to_json(run) for run in runs],
    }
    with replacing(path) as draft:
        draft.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    return path


def load_answers(scan: Path) -> tuple[Run, ...]:
    """Return the answers that were kept beside a scan's file, the latest last.

    Raises
    ------
    ReadError
        If the file of answers is damaged, or belongs to another scan.

    """
    path = answers_path(scan)
    if not path.is_file():
        return ()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"it is written as {document['format']!r}")
        if document["scan_sha256"] != file_sha256(scan):
            raise ReadError(
                "these answers belong to another scan, or the scan was changed",
                source=path,
                remedy="Delete it, and classify the scan anew",
            )
        return tuple(_run_from_json(entry) for entry in document["answers"])
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise ReadError(
            f"the answers beside the scan cannot be read ({error})",
            source=path,
            remedy="Delete it, and classify the scan anew",
        ) from error


def with_kept_answers(record: LayerRecord) -> LayerRecord:
    """Return the record of a scan that was opened with the answers kept beside it."""
    file = _only_file(record.scan)
    if file is None:
        return record
    try:
        runs = load_answers(file)
    except ReadError as error:
        # The scan was asked for, and can be shown without them.
        _LOG.warning("%s", error)
        return record
    if not runs:
        return record
    last = runs[-1]
    return replace(record, prediction=last.prediction, place=last.place, runs=runs)


def _only_file(scan: Scan) -> Path | None:
    files = [Path(source) for source in scan.sources]
    return files[0] if len(files) == 1 and files[0].is_file() else None


def _run_to_json(run: Run) -> dict[str, Any]:
    answer, odd = run.prediction, run.prediction.out_of_distribution
    slices, saliency = answer.per_slice, answer.saliency
    return {
        "ended": run.ended,
        "place": run.place,
        "residual": list(run.residual),
        "prediction": {n: getattr(answer, n) for n in (*_PLAIN, _LATER)},
        "out_of_distribution": None if odd is None else odd.to_json(),
        "per_slice": None if slices is None else _array_to_json(slices),
        "saliency": None if saliency is None else _saliency_to_json(saliency),
    }


def _run_from_json(entry: Mapping[str, Any]) -> Run:
    given = {name: entry["prediction"][name] for name in _PLAIN}
    for name in _TUPLES:
        given[name] = None if given[name] is None else tuple(given[name])
    given[_LATER] = entry["prediction"].get(_LATER)
    odd, slices = entry["out_of_distribution"], entry["per_slice"]
    answer = Prediction(
        **given,
        source="",
        out_of_distribution=None if odd is None else OutOfDistribution(**odd),
        per_slice=None if slices is None else _array_from_json(slices),
        saliency=_saliency_from_json(entry["saliency"]),
    )
    return Run(answer, entry["place"], entry["ended"], tuple(entry["residual"]))


def _saliency_to_json(saliency: Saliency) -> dict[str, Any]:
    shape, affine = saliency.extent
    plain = {
        field.name: getattr(saliency, field.name)
        for field in fields(Saliency)
        if field.name not in ("values", "affine", "extent")
    }
    return plain | {
        "values": _array_to_json(saliency.values),
        "affine": saliency.affine.tolist(),
        "extent": [list(shape), affine.tolist()],
    }


def _saliency_from_json(entry: Mapping[str, Any] | None) -> Saliency | None:
    if entry is None:
        return None
    shape, affine = entry["extent"]
    i, j, k = (int(n) for n in shape)
    made = {
        "values": _array_from_json(entry["values"]),
        "affine": np.array(entry["affine"], np.float64).reshape(4, 4),
        "extent": ((i, j, k), np.array(affine, np.float64).reshape(4, 4)),
    }
    return Saliency(**dict(entry) | made)


def _array_to_json(array: NDArray[np.float32]) -> dict[str, Any]:
    packed = zlib.compress(np.ascontiguousarray(array, "<f4").tobytes())
    return {"shape": list(array.shape), "float32": base64.b64encode(packed).decode()}


def _array_from_json(entry: Mapping[str, Any]) -> NDArray[np.float32]:
    shape = tuple(int(n) for n in entry["shape"])
    count = int(np.prod(shape, dtype=object))
    if not 0 <= count <= _MOST_VALUES:
        raise ValueError(f"an array of shape {shape} is too large")
    packed = base64.b64decode(entry["float32"], validate=True)
    values = zlib.decompressobj().decompress(packed, 4 * count + 1)
    return np.frombuffer(values, "<f4").reshape(shape)
