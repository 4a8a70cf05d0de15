"""From a scan and the panel's choices to a result that can be shown, without Qt."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_resonance.errors import CancelledError, ResonanceError
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.saliency.question import ExplainOptions
from napari_resonance.scan import Scan
from napari_resonance.viewer.devices import DeviceChoice, find_devices
from napari_resonance.viewer.kept_classifiers import kept_classifier
from napari_resonance.viewer.layers import LayerData, saliency_layer, scan_layer

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle
    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.classifier.stages import Answer, PreparedCase

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Asked:
    """What a network was asked of a scan and what it answered, for further maps.

    Parameters
    ----------
    key
        Hash of the model, device, precision, region and channels: with others the
        answer is another.
    stages
        The prepared case, the raw answer, and the prediction without a map.

    """

    key: tuple[object, ...]
    stages: tuple[PreparedCase, Answer, Prediction]


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
    precision
        "auto", "32-true" or "16-mixed".
    explain
        Which map is wanted, of which region, and whether a scan of the wrong kind is
        taken too.
    channels
        Further scans that are input channels, in the model's order.
    asked
        An earlier answer for the scan, from which another map can be made.

    """

    scan: Callable[[], Scan]
    scan_is_new: bool
    model: Path
    device: str = "auto"
    precision: str = "auto"
    explain: ExplainOptions = field(default_factory=ExplainOptions)
    channels: tuple[Scan, ...] = ()
    asked: Asked | None = None

    def key(self, model_sha256: str) -> tuple[object, ...]:
        """Return what decides the answer, the map aside."""
        wanted = self.explain
        where = (wanted.center_mm, wanted.box_mm, wanted.force)
        engine = model_sha256, self.device, self.precision
        return engine, where, tuple(id(c) for c in self.channels)


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
    asked
        From which further maps can be made; None where the answer came from elsewhere.

    """

    scan: Scan
    prediction: Prediction
    saliency: LayerData | None
    scan_layer: LayerData | None
    place: str
    asked: Asked | None = None


def classify(
    options: ClassifyOptions, progress: Progress, should_stop: ShouldStop
) -> Classified:
    """Classify a scan and explain the answer.

    Raises
    ------
    ResonanceError
        Whatever is wrong with scan, model or device.

    """
    from napari_resonance.classifier.stages import Steps
    from napari_resonance.saliency.explain import with_map

    started = time.perf_counter()
    progress(0, 0, "Loading the model")
    scan = options.scan()
    classifier = kept_classifier(options.model, options.device, options.precision)
    wanted = options.explain
    wanted.check(classifier.labels)
    steps = Steps(3, progress, should_stop)
    asked, key = options.asked, options.key(classifier.sha256)
    if asked is None or asked.key != key:
        stages = classifier.ask(
            [scan, *options.channels] if options.channels else scan,
            center_mm=wanted.center_mm,
            box_mm=wanted.box_mm,
            force=wanted.force,
            steps=steps,
        )
        asked = Asked(key, stages)
    prediction = with_map(classifier, asked.stages, wanted, steps)
    prediction = replace(prediction, seconds=time.perf_counter() - started)
    shown = classified(
        scan,
        prediction,
        is_new=options.scan_is_new,
        body_part=classifier.card.body_part,
    )
    return replace(shown, asked=asked)


def classified(
    scan: Scan,
    prediction: Prediction,
    *,
    is_new: bool = False,
    body_part: str = "",
    place: str = "",
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
    place
        Where the map is highest, in words, where that is known already.

    """
    from napari_resonance.saliency.place import describe_offset, describe_place

    saliency = prediction.saliency
    has_peak = saliency is not None and not saliency.is_empty
    if not place and saliency is not None and has_peak and scan.oriented:
        place = describe_place(saliency, body_part)
        if prediction.center_mm is not None:
            place = describe_offset(saliency, prediction.center_mm)
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
        What a network can run on, "auto" first.

    """

    models: tuple[Bundle, ...]
    devices: tuple[DeviceChoice, ...]


def classify_or_say(
    options: ClassifyOptions, progress: Progress, should_stop: ShouldStop
) -> Classified | ResonanceError:
    """Do as `classify` does, but return the error of a scan that cannot be classified.

    Raises
    ------
    CancelledError
        If `should_stop` said so.

    """
    try:
        return classify(options, progress, should_stop)
    except CancelledError:
        raise
    except ResonanceError as error:
        return error


def find_choices(
    progress: Progress, should_stop: ShouldStop, *, imported: Sequence[Path] = ()
) -> Choices:
    """Look for models and graphics cards.

    Parameters
    ----------
    progress, should_stop
        As for all work in a thread.
    imported
        Folders of the user's own models; those that are gone are left out.

    """
    models = find_models(progress, should_stop, imported=imported)
    return Choices(models, find_devices())


def find_models(
    progress: Progress, should_stop: ShouldStop, *, imported: Sequence[Path] = ()
) -> tuple[Bundle, ...]:
    """Look for models as `find_choices` does, not for graphics cards."""
    progress(0, 0, "Looking for models")
    from napari_resonance.classifier.bundle import list_models

    own = (_model_or_none(folder) for folder in imported)
    return (*list_models(), *(model for model in own if model is not None))


def _model_or_none(folder: Path) -> Bundle | None:
    try:
        return read_model(folder)
    except ResonanceError as error:
        # It may lie on a disk that is not there today.
        _LOG.info("a model of earlier windows is not offered: %s", error)
        return None


def read_model(folder: Path) -> Bundle:
    """Return the model in a folder.

    Raises
    ------
    ModelError
        If it is not a complete model.

    """
    from napari_resonance.classifier.bundle import load_bundle

    return load_bundle(folder)
