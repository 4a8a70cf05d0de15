"""Classifiers that were used last, so that the next scan does not wait for them."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_resonance.classifier.predict import Classifier

# An engine takes seconds to make, and the memory of its weights while it is kept.
_MOST = 2

_KEPT: OrderedDict[tuple[str, str, str], Classifier] = OrderedDict()
_LOCK = Lock()


def kept_classifier(folder: Path, device: str, precision: str = "auto") -> Classifier:
    """Return the classifier that a folder holds now, whatever it held before.

    Kept by the hash of all that its answers depend on: a model may be trained again
    into the same folder.

    Parameters
    ----------
    folder
        Of the model.
    device
        "auto", "cpu", "cuda" or "mps".
    precision
        "auto", "32-true" or "16-mixed".

    Raises
    ------
    ModelError
        If the model cannot be read, or the device is not there.

    """
    from napari_resonance.classifier.bundle import load_bundle
    from napari_resonance.classifier.predict import Classifier

    bundle = load_bundle(folder)
    key = bundle.sha256, device, precision
    with _LOCK:
        if key not in _KEPT:
            _KEPT[key] = Classifier(bundle, device, precision)
        _KEPT.move_to_end(key)
        while len(_KEPT) > _MOST:
            _KEPT.popitem(last=False)
        return _KEPT[key]
