"""A classifier's network for other programs: ONNX and OpenVINO.

Both have one input, ``image`` (float32, prepared as the recipe says), and two outputs,
``logits`` and ``features`` (the last feature map). Number and size of the images stay
free. What was written is run once and compared with the network before it is kept.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier import openvino_engine
from napari_resonance.classifier.bundle import Bundle
from napari_resonance.classifier.engines import load_network
from napari_resonance.classifier.summary import input_size
from napari_resonance.errors import DependencyError, ExportError

if TYPE_CHECKING:
    from os import PathLike

FORMATS = ("onnx", "openvino")
TOLERANCE = 1e-4
"""How much a probability may differ between the network and what was written, and a
feature, as a share of the largest."""

_OPSET = 17  # of 2022: all runtimes in use have it
_SIZE = 64  # voxels of the image that the network is traced and compared with

Outputs = Sequence[NDArray[np.float32]]


def export_network(
    bundle: Bundle, folder: str | PathLike[str], formats: Sequence[str]
) -> dict[str, Path]:
    """Write a classifier's network as ``model.onnx``, or ``model.xml`` and ``.bin``.

    ``model.json`` beside it says what goes in and what comes out: the recipe, the
    labels, the temperature by which logits are divided before softmax, and the
    probability from which on a scan is called the second of two labels.

    Parameters
    ----------
    bundle
        The classifier.
    folder
        Made where it is not there; files of these names are replaced.
    formats
        ``"onnx"``, ``"openvino"``.

    Returns
    -------
    dict
        The file to open, by format; ``"description"`` is ``model.json``.

    Raises
    ------
    DependencyError
        If a package is missing that writes the format.
    ExportError
        If a file cannot be written, or computes something else than the network.

    """
    writers = {"onnx": _write_onnx, "openvino": _write_openvino}
    for name in formats:
        if name not in writers:
            raise ExportError(
                f"there is no format {name!r}", remedy=f"Use {' or '.join(FORMATS)}"
            )
    _check_installed(formats)
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        written = {name: writers[name](bundle, target) for name in formats}
        description = target / "model.json"
        description.write_text(json.dumps(_description(bundle), indent=2), "utf-8")
    except OSError as error:
        raise ExportError(
            f"the network cannot be written here: {error.strerror or error}",
            source=target,
            remedy="Choose another folder",
        ) from error
    return written | {"description": description}


def _check_installed(formats: Sequence[str]) -> None:
    if "onnx" in formats and find_spec("onnx") is None:
        raise DependencyError(
            "the package onnx is needed to write ONNX",
            remedy='Install it with: python -m pip install "napari-resonance[onnx]"',
        )
    if not openvino_engine.is_installed():
        raise DependencyError(
            "OpenVINO is needed to write a network and to check what was written",
            remedy="Install it with: python -m pip install openvino",
        )


def _write_openvino(bundle: Bundle, folder: Path) -> Path:
    model = openvino_engine.convert(bundle)
    for port, name in zip(model.outputs, ("logits", "features"), strict=True):
        port.tensor.set_names({name})
    model.inputs[0].tensor.set_names({"image"})
    openvino_engine.save_converted(model, folder)
    path = folder / openvino_engine.MODEL_FILES[0]
    _check(bundle, path)
    return path


def _write_onnx(bundle: Bundle, folder: Path) -> Path:
    import torch

    from napari_resonance.classifier.network import LogitsAndFeatures

    path = folder / "model.onnx"
    network = LogitsAndFeatures(load_network(bundle)).eval()
    cells = {2 + n: axis for n, axis in enumerate("xyz"[: bundle.card.dimensions])}
    free = {0: "n", **cells}
    axes = {"image": free, "logits": {0: "n"}, "features": free}
    with warnings.catch_warnings():
        # The newer exporter needs a second package, and fixes the sizes of a pooling.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.from_numpy(_example(bundle)),),
            str(path),
            input_names=["image"],
            output_names=["logits", "features"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
    _check(bundle, path)
    return path


def _example(bundle: Bundle) -> NDArray[np.float32]:
    """Return a batch of two images of noise, of the size the network is given."""
    sizes = input_size(bundle.recipe)
    spatial = [n if isinstance(n, int) else _SIZE for n in sizes]
    channels = int(bundle.network_def.get("n_input_channels", 3))
    noise = np.random.default_rng(0).standard_normal((2, channels, *spatial))
    return noise.astype(np.float32)


def _check(bundle: Bundle, path: Path) -> None:
    """Refuse a file that does not give the outputs of the network."""
    apart = differences(bundle, reopened(path))
    if not apart.are_small:
        path.unlink()
        raise ExportError(
            f"what was written answers differently: {apart}",
            source=path,
            remedy="Try the other format, or other versions of torch and onnx",
        )


class Differences(NamedTuple):
    """How far two networks are apart.

    Parameters
    ----------
    probabilities
        The largest difference.
    features
        The same, as a share of the largest feature.

    """

    probabilities: float
    features: float

    @property
    def are_small(self) -> bool:
        """Whether both are within the tolerance; NaN is not."""
        return all(difference <= TOLERANCE for difference in self)

    def __str__(self) -> str:
        """Return the differences in words."""
        return (
            f"probabilities {self.probabilities:.2g} apart, features "
            f"{self.features:.2g} of the largest"
        )


def differences(
    bundle: Bundle, run: Callable[[NDArray[np.float32]], Outputs]
) -> Differences:
    """Compare a converted network with that of a bundle, on two images of noise.

    Parameters
    ----------
    bundle
        The classifier.
    run
        Returns logits and features of images.

    """
    import torch

    images = _example(bundle)
    with torch.inference_mode():
        outputs = load_network(bundle).logits_and_features(torch.from_numpy(images))
    logits, features = (output.numpy() for output in outputs)
    found_logits, found_features = run(images)
    softmax = bundle.calibration.probabilities
    apart = np.abs(softmax(found_logits) - softmax(logits)).max()
    if found_features.shape != features.shape:
        return Differences(float(apart), float("inf"))
    largest = float(np.abs(features).max()) or 1.0
    share = float(np.abs(found_features - features).max()) / largest
    return Differences(float(apart), share)


def reopened(path: Path) -> Callable[[NDArray[np.float32]], Outputs]:
    """Return a function that runs a file of either format: logits, features."""
    core = openvino_engine.import_openvino().Core()
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(str(path), "CPU", precision)

    def run(images: NDArray[np.float32]) -> Outputs:
        result = compiled([np.ascontiguousarray(images, np.float32)])
        return np.array(result["logits"]), np.array(result["features"])

    return run


def _description(bundle: Bundle) -> dict[str, Any]:
    flat = bundle.card.dimensions == 2
    channels = int(bundle.network_def.get("n_input_channels", 3))
    axes = ["row", "column"] if flat else ["x", "y", "z"]
    return {
        "name": bundle.card.name,
        "version": bundle.card.version,
        "licence": bundle.card.licence,
        "labels": list(bundle.card.labels),
        "temperature": bundle.calibration.temperature,
        "operating_point": bundle.calibration.operating_point,
        "input": {
            "name": "image",
            "axes": ["image", "channel", *axes],
            "channels": channels,
            "size": input_size(bundle.recipe),
        },
        "outputs": ["logits", "features"],
        "recipe": bundle.recipe.to_json(),
        "recipe_sha256": bundle.recipe.sha256,
        "weights_sha256": bundle.weights_sha256,
    }
