"""OpenVINO on the CPU: the same network, several times faster, without torch.

A bundle may ship the converted network; otherwise it is converted once (this needs
torch) and kept in the user's cache folder, named after what it was converted from.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.bundle_checks import check_finite
from napari_resonance.classifier.files import cache_folder, file_sha256
from napari_resonance.cores import n_cores

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle

logger = logging.getLogger(__name__)

MODEL_FILES = ("model.xml", "model.bin")


def is_installed() -> bool:
    """Tell whether OpenVINO can be imported, without importing it."""
    return "openvino" in sys.modules or find_spec("openvino") is not None


def import_openvino() -> Any:
    """Import OpenVINO with its telemetry off.

    ``import openvino`` loads ``openvino_telemetry``, which writes an identifier into
    the home folder and reports usage. With None in its place OpenVINO falls back on a
    stub of its own that does nothing. No other code of this package imports OpenVINO.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


class OpenVinoEngine:
    """A converted network on the CPU, in float32.

    Parameters
    ----------
    model
        A loaded ``openvino.Model`` with outputs logits and features.

    """

    name = "openvino"

    def __init__(self, model: Any) -> None:
        self._compiled = compiled(model)

    def run(
        self, batch: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits ``(N, K)`` and features ``(N, F, *cells)`` of a batch."""
        result = self._compiled([np.ascontiguousarray(batch, np.float32)])
        return np.array(result[0]), np.array(result[1])


def compiled(model: Any) -> Any:
    """Return a model, or a part of one, that runs on the CPU in float32."""
    # Newer CPUs would otherwise choose bfloat16, with two to three digits.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    # Several processes would all tie their threads to the same first cores.
    settings["ENABLE_CPU_PINNING"] = False
    if os.environ.get("OMP_NUM_THREADS"):
        settings["INFERENCE_NUM_THREADS"] = n_cores()
    return import_openvino().Core().compile_model(model, "CPU", settings)


def load_engine(bundle: Bundle) -> OpenVinoEngine:
    """Return the engine of a bundle."""
    return OpenVinoEngine(load_model(bundle))


def load_model(bundle: Bundle) -> Any:
    """Return a bundle's converted network: shipped with it, cached, or made now.

    Raises
    ------
    ModelError
        If the weights do not fit the network definition, or are not finite: of a
        network that was converted before, only the weights can tell.

    """
    check_finite(bundle.weights_path)
    shipped = shipped_model(bundle)
    if shipped is not None:
        return shipped
    cached = cache_folder() / "openvino" / conversion_key(bundle)
    if (cached / MODEL_FILES[0]).is_file():
        try:
            return _read(cached)
        except RuntimeError as error:
            logger.warning("the cached conversion cannot be read: %s", error)
    model = convert(bundle)
    _keep(model, cached)
    return model


def shipped_model(bundle: Bundle) -> Any | None:
    """Return the conversion that came with a bundle, None if there is none of it."""
    folder = bundle.path / "models" / "openvino"
    return _read(folder) if _is_as_shipped(folder, bundle) else None


def convert(bundle: Bundle) -> Any:
    """Convert a bundle's network; batch and image size stay free.

    Returns
    -------
    openvino.Model
        Outputs: logits, last feature map.

    """
    openvino = import_openvino()
    import torch

    from napari_resonance.classifier.engines import load_network
    from napari_resonance.classifier.network import LogitsAndFeatures

    network = LogitsAndFeatures(load_network(bundle)).eval()
    dimensions = bundle.card.dimensions
    channels = int(bundle.network_def.get("n_input_channels", 3))
    # The size of the example leaves no trace: a ResNet of any depth takes 64 voxels.
    example = torch.zeros((2, channels, *[64] * dimensions))
    free = openvino.PartialShape([-1, channels, *[-1] * dimensions])
    with torch.no_grad(), warnings.catch_warnings():
        # OpenVINO traces the network with torch.jit.trace, which torch 2.13 calls
        # outdated and still has.
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        return openvino.convert_model(network, example_input=example, input=[free])


def save_converted(model: Any, folder: Path) -> dict[str, str]:
    """Write ``model.xml`` and ``model.bin`` in float32; return their sha256 by name."""
    folder.mkdir(parents=True, exist_ok=True)
    xml = folder / MODEL_FILES[0]
    import_openvino().save_model(model, str(xml), compress_to_fp16=False)
    return {name: file_sha256(folder / name) for name in MODEL_FILES}


def conversion_key(bundle: Bundle) -> str:
    """Name what a conversion depends on: the weights and the network definition."""
    definition = json.dumps(bundle.network_def, sort_keys=True)
    digest = hashlib.sha256(f"{bundle.weights_sha256}\n{definition}".encode())
    return digest.hexdigest()[:32]


def _is_as_shipped(folder: Path, bundle: Bundle) -> bool:
    """Tell whether the converted files belong to the bundle and are unchanged."""
    if bundle.converted.get("made_from") != conversion_key(bundle):
        return False
    files = [folder / name for name in MODEL_FILES]
    return all(
        file.is_file() and file_sha256(file) == bundle.converted.get(file.name)
        for file in files
    )


def _read(folder: Path) -> Any:
    return import_openvino().Core().read_model(str(folder / MODEL_FILES[0]))


def _keep(model: Any, folder: Path) -> None:
    """Put a conversion into the cache; do without one where that is not possible."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="new-", dir=folder.parent))
    except OSError as error:
        logger.warning("the converted network is not kept: %s", error)
        return
    try:
        save_converted(model, draft)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except (OSError, RuntimeError) as error:
        # Another process may have put the same conversion there first.
        logger.warning("the converted network is not kept: %s", error)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
