"""What is said and written of one result, for all commands that classify."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.saliency.question import ExplainOptions
    from napari_resonance.scan import Scan

# Bytes of a file's name before its ending: systems allow 255 with it.
_LONGEST = 180


def entry(prediction: Prediction, classifier: Classifier) -> dict[str, Any]:
    """Return one entry of ``results``."""
    document = prediction.to_json() | {"device": classifier.device}
    if prediction.saliency is not None:
        document["place"] = place(prediction, classifier)
        known = prediction.saliency.oriented and not prediction.saliency.is_empty
        document["peak_mm"] = list(prediction.saliency.peak_mm) if known else None
    return document


def place(prediction: Prediction, classifier: Classifier) -> str:
    """Say in words where the network looked."""
    from napari_resonance.saliency.place import describe_offset, describe_place

    if prediction.saliency is None:
        return ""
    if prediction.center_mm is not None:
        return describe_offset(prediction.saliency, prediction.center_mm)
    return describe_place(prediction.saliency, classifier.card.body_part)


def facts(prediction: Prediction, classifier: Classifier) -> dict[str, str | list[str]]:
    """Return what is printed below a single answer, by name."""
    from napari_resonance.export.wording import place_mm, title_of

    card = classifier.card
    named: dict[str, str | list[str]] = {"Scan": prediction.source}
    if prediction.channels:
        named["With"] = ", ".join(prediction.channels)
    if prediction.center_mm is not None:
        named["Region"] = f"around {place_mm(prediction.center_mm)}"
    named["Model"] = f"{card.name} {card.version}, {prediction.model_sha256[:12]}"
    named["Ran on"] = f"{classifier.device}, {prediction.seconds:.2f} s"
    saliency = prediction.saliency
    if saliency is not None:
        named["Looked at"] = place(prediction, classifier).removeprefix("at ")
        if saliency.oriented and not saliency.is_empty:
            position = place_mm(saliency.peak_mm)
            named[""] = f"{position} (peak of {title_of(saliency)})"
    titles = {"picture": "Picture", "saliency": "Saliency", "slices": "Slices"}
    titles |= {"page": "Page", "regions": "Regions"}
    return named | {titles[k]: str(path) for k, path in prediction.files.items()}


def stem_of_map(stem: Path, options: ExplainOptions, model_sha256: str = "") -> Path:
    """Return what the files of one map are called, without their endings.

    Another map of the same scan, or that of another model, has other names, so that
    none takes another's place.

    Parameters
    ----------
    stem
        What the scan is called.
    options
        What map was wanted.
    model_sha256
        Whose map it is; empty where there is only one model.

    """
    from napari_resonance.saliency.question import DEFAULT

    asked = [options.method, options.target, options.layer]
    asked += [f"not-{options.against}" if options.against else None]
    asked += [options.sign if options.sign != "for" else None]
    asked += [options.baseline if options.baseline != DEFAULT else None]
    asked += [f"window-{options.window_mm:g}" if options.window_mm else None]
    for name, point in (("at", options.center_mm), ("box", options.box_mm)):
        asked += ["-".join([name, *(f"{mm:g}" for mm in point)]) if point else None]
    asked += [model_sha256[:8]]
    words = [re.sub(r"[^\w.+-]+", "-", word) for word in asked if word]
    name = "_".join([stem.name, *words])
    if len(name.encode()) > _LONGEST:
        # Labels can be sentences; what is cut off still counts.
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name.encode()[: _LONGEST - 9].decode(errors='ignore')}_{digest}"
    return stem.with_name(name)


def write_files(scan: Scan, prediction: Prediction, stem: Path) -> Prediction:
    """Write picture and saliency map; return the prediction that names them.

    Parameters
    ----------
    scan, prediction
        The scan, and the answer with its map.
    stem
        What the files are called, without their endings (`stem_of_map`).

    Raises
    ------
    ExportError
        If a file cannot be written.

    """
    from napari_resonance.export.nifti import write_saliency
    from napari_resonance.export.picture import write_picture

    files = {"picture": stem.with_name(f"{stem.name}.png")}
    write_picture(scan, prediction, files["picture"])
    if prediction.saliency is not None:
        files["saliency"] = stem.with_name(f"{stem.name}.nii.gz")
        write_saliency(prediction.saliency, files["saliency"])
    return replace(prediction, files=files)
