"""What runs the network: torch on a graphics card, OpenVINO or torch on the CPU."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier import openvino_engine
from napari_resonance.classifier.bundle_checks import not_finite
from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    from napari_resonance.classifier.bundle import Bundle
    from napari_resonance.classifier.network import Network

DEVICES = ("auto", "cpu", "cuda", "mps")

# What torch says of memory that it did not get.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")

PRECISIONS = ("auto", "32-true", "16-mixed")
"""Of the arithmetic, named as in training: all in float32, or float16 where it is safe;
"auto" is the fastest of these that a device has."""

# Where a driver that torch's CUDA or ROCm builds can use shows itself: NVIDIA on Linux,
# under Windows' Linux subsystem, and AMD.
_LINUX_DRIVERS = (
    "/dev/nvidiactl",
    "/proc/driver/nvidia/version",
    "/dev/dxg",
    "/dev/kfd",
)


class DeviceLimitError(Exception):
    """A graphics card cannot run this batch; the message says what it lacks."""


class DeviceMemoryError(DeviceLimitError):
    """A graphics card has too little memory for this batch; a smaller one may fit."""


class Engine(Protocol):
    """A network ready to run.

    ``name`` is "openvino", "torch cpu", "torch cuda" or "torch mps".
    """

    name: str

    def run(
        self, batch: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits ``(N, K)`` and features ``(N, F, *cells)``, both float32.

        Parameters
        ----------
        batch
            float32 ``(N, C, *spatial)``.

        Raises
        ------
        DeviceLimitError
            If a graphics card has too little memory, or lacks an operation.

        """


def make_engine(
    bundle: Bundle, device: str = "auto", precision: str = "auto"
) -> Engine:
    """Return the fastest engine of a device for a bundle's network.

    Parameters
    ----------
    bundle
        The classifier whose network is to run.
    device
        "cuda", "mps" or "cpu" (OpenVINO, or torch where OpenVINO is not installed);
        "auto" takes the first of these that is there.
    precision
        One of `PRECISIONS`.

    Raises
    ------
    ModelError
        If the device is unknown or not there, has no such precision, or the weights do
        not fit the network.

    """
    chosen = choose_device(device)
    check_precision(precision, chosen)
    if chosen != "cpu":
        return TorchEngine(bundle, chosen, precision)
    if openvino_engine.is_installed():
        return openvino_engine.load_engine(bundle)
    return TorchEngine(bundle, "cpu")


def choose_device(device: str) -> str:
    """Return "cuda", "mps" or "cpu" for a device that may be "auto".

    Does not import torch where there plainly is no graphics card for it.

    Raises
    ------
    ModelError
        If the device is unknown or not there.

    """
    if device not in DEVICES:
        raise ModelError(
            f"there is no device {device!r}", remedy=f"Use {', '.join(DEVICES)}"
        )
    if device == "auto":
        return next((d for d in ("cuda", "mps") if _is_there(d)), "cpu")
    if device != "cpu" and not _is_there(device):
        raise ModelError(
            f"this computer has no device {device!r} that torch can use",
            remedy="Use the device 'auto' or 'cpu'",
        )
    return device


def precisions_of(device: str) -> tuple[str, ...]:
    """Return what `PRECISIONS` a device has, which may not be "auto".

    16 bits pay on CUDA cards alone: OpenVINO is kept at 32 bits on processors, since
    theirs (bfloat16) leave two to three digits.
    """
    return PRECISIONS if device == "cuda" else ("auto", "32-true")


def check_precision(precision: str, device: str) -> None:
    """Refuse a precision that is unknown, or that a device does not have.

    Raises
    ------
    ModelError
        With the precisions that can be used.

    """
    known = precisions_of(device)
    if precision not in known:
        raise ModelError(
            f"the device {device!r} has no precision {precision!r}",
            remedy=f"Use {' or '.join(known)}",
        )


def _is_there(device: str) -> bool:
    if not (_may_have_cuda() if device == "cuda" else _may_have_mps()):
        return False
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_available())
    return bool(torch.backends.mps.is_available())


def _may_have_cuda() -> bool:
    """Look for a driver; importing torch to ask it takes seconds."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    try:
        if version("torch").endswith("+cpu"):
            return False
    except PackageNotFoundError:
        return False
    if sys.platform == "win32":
        root = os.environ.get("SYSTEMROOT", r"C:\Windows")
        return Path(root, "System32", "nvcuda.dll").exists()
    return any(Path(p).exists() for p in _LINUX_DRIVERS)


def _may_have_mps() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


def load_network(bundle: Bundle) -> Network:
    """Return a bundle's network with its weights, on the CPU, in evaluation mode.

    Raises
    ------
    ModelError
        If the weights do not fit the network definition, or are not finite.

    """
    from safetensors.torch import load_file

    from napari_resonance.classifier.network import build_network

    network = build_network(bundle.network_def)
    try:
        network.load_state_dict(load_file(bundle.weights_path))
    except RuntimeError as error:
        raise ModelError(
            f"the weights do not fit the network definition: {error}",
            source=bundle.weights_path,
            remedy="Get the model anew; its files do not belong together",
        ) from error
    # Some engines turn NaN into 0 on the way, and would answer as if all were well.
    if not all(
        bool(tensor.isfinite().all()) for tensor in network.state_dict().values()
    ):
        raise not_finite(bundle.weights_path)
    return network.eval()


class TorchEngine:
    """The network in torch on one device.

    Parameters
    ----------
    bundle
        The classifier whose network is to run.
    device
        "cpu", "cuda" or "mps".
    precision
        One of `PRECISIONS` that the device has; "auto" is mixed on CUDA.

    """

    def __init__(self, bundle: Bundle, device: str, precision: str = "auto") -> None:
        self.name = f"torch {device}"
        self.device = device
        self._mixed = device == "cuda" and precision != "32-true"
        self.network = _on_device(load_network(bundle), device)

    def run(
        self, batch: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits ``(N, K)`` and features ``(N, F, *cells)`` of a batch."""
        import torch

        try:
            logits, features = self._forward(batch, mixed=self._mixed)
            if self._mixed and not np.isfinite(logits).all():
                # float16 ends at 65504; some networks go beyond it on the way.
                logits, features = self._forward(batch, mixed=False)
        except NotImplementedError as error:
            # MPS has no kernels for some operations in 3D.
            raise DeviceLimitError("lacks an operation of the network") from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            torch.cuda.empty_cache()
            raise DeviceMemoryError("has too little memory") from error
        return logits, features

    def _forward(
        self, batch: NDArray[np.float32], *, mixed: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        with (
            torch.inference_mode(),
            torch.autocast(self.device, torch.float16, enabled=mixed),
            nullcontext() if mixed or self.device != "cuda" else _without_tf32(),
        ):
            images = torch.from_numpy(batch).to(self.device)
            outputs = self.network.logits_and_features(images)
        logits, features = (o.float().cpu().contiguous().numpy() for o in outputs)
        return logits, features


def _without_tf32() -> AbstractContextManager[None]:
    """Compute convolutions in 32 bits: cards round them to TF32's 10 bits otherwise.

    All other settings stay as they are (None), for a training beside this.
    """
    import torch

    kept = dict.fromkeys(("enabled", "benchmark", "benchmark_limit", "deterministic"))
    return torch.backends.cudnn.flags(**kept, allow_tf32=False)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether torch ran out of memory; only CUDA has an error class for that."""
    import torch

    text = str(error).lower()
    named = any(words in text for words in _OUT_OF_MEMORY)
    return named or isinstance(error, torch.OutOfMemoryError)


def _on_device(network: Network, device: str) -> Any:
    import torch

    if device == "mps":
        return network.to(device)
    # Convolutions run up to three times as fast with the channels last in memory.
    flat = next(network.parameters()).ndim == 4
    layout = torch.channels_last if flat else torch.channels_last_3d
    return network.to(device, memory_format=layout)  # type: ignore[call-overload]
