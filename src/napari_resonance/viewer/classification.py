"""From a scan and the panel's choices to a result that can be shown, without Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_resonance.errors import ModelError
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.scan import Scan
from napari_resonance.viewer.layers import LayerData, saliency_layer, scan_layer

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle
    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.classifier.prediction import Prediction

METHOD = "gradcam"


@dataclass(frozen=True, eq=False)
class ClassifyOptions:
    """What to classify, with what.

    Parameters
    ----------
    scan
        Gives the scan; called in the worker, since a plain image has to be turned
        into one.
    scan_is_new
        Whether the scan still needs a layer of its own.
    model
        Folder of the model.
    device
        "auto", "cpu", "cuda" or "mps".
    target
        Label to explain; None for the most probable one.

    """

    scan: Callable[[], Scan]
    scan_is_new: bool
    model: Path
    device: str = "auto"
    target: str | None = None


@dataclass(frozen=True, eq=False)
class Classified:
    """An answer, and the layers that show it.

    Parameters
    ----------
    scan
        What was classified.
    prediction
        The answer.
    saliency
        Layer of the map; None without a map, or where nothing speaks for its class.
    scan_layer
        Layer of the scan, where it had none.
    place
        Where the map is highest, in words; empty where that cannot be said.

    """

    scan: Scan
    prediction: Prediction
    saliency: LayerData | None
    scan_layer: LayerData | None
    place: str


def classify(
    options: ClassifyOptions, progress: Progress, should_stop: ShouldStop
) -> Classified:
    """Classify a scan and explain the answer.

    Raises
    ------
    ResonanceError
        Whatever is wrong with scan, model or device.

    """
    progress(0, 0, "Loading the model")
    scan = options.scan()
    classifier = _classifier(options.model, options.device)
    prediction = classifier.classify(
        scan,
        saliency=METHOD,
        target=options.target,
        progress=progress,
        should_stop=should_stop,
    )
    return classified(
        scan,
        prediction,
        is_new=options.scan_is_new,
        body_part=classifier.card.body_part,
    )


def classified(
    scan: Scan, prediction: Prediction, *, is_new: bool = False, body_part: str = ""
) -> Classified:
    """Prepare an answer for the viewer.

    Parameters
    ----------
    scan
        What was classified.
    prediction
        The answer, with or without a map.
    is_new
        Whether the scan needs a layer of its own.
    body_part
        What the model was made for, for the words.

    """
    from napari_resonance.saliency.place import describe_place

    saliency = prediction.saliency
    has_peak = saliency is not None and not saliency.is_empty
    place = ""
    if saliency is not None and has_peak and scan.oriented:
        place = describe_place(saliency, body_part)
    return Classified(
        scan,
        prediction,
        saliency_layer(scan, prediction) if has_peak else None,
        scan_layer(scan) if is_new else None,
        place,
    )


@dataclass(frozen=True, eq=False)
class Choices:
    """What this installation offers.

    Parameters
    ----------
    models
        The models that come with the package.
    devices
        Names that a classifier takes, "auto" first.

    """

    models: tuple[Bundle, ...]
    devices: tuple[str, ...]


def find_choices(progress: Progress, should_stop: ShouldStop) -> Choices:
    """Look for models and graphics cards."""
    progress(0, 0, "Looking for models")
    from napari_resonance.classifier.bundle import list_models
    from napari_resonance.classifier.engines import DEVICES

    devices = tuple(d for d in DEVICES if d == "auto" or _is_there(d))
    return Choices(tuple(list_models()), devices)


def read_model(folder: Path) -> Bundle:
    """Return the model in a folder.

    Raises
    ------
    ModelError
        If it is not a complete model.

    """
    from napari_resonance.classifier.bundle import load_bundle

    return load_bundle(folder)


def _is_there(device: str) -> bool:
    from napari_resonance.classifier.engines import choose_device

    try:
        choose_device(device)
    except ModelError:
        return False
    return True


@lru_cache(maxsize=2)
def _classifier(model: Path, device: str) -> Classifier:
    # Kept, so that the second scan does not wait for the engine to be made again.
    from napari_resonance.classifier.predict import load_classifier

    return load_classifier(model, device)
