"""Files of weights: tensors by name, without the wrappings that training adds."""

from __future__ import annotations

import pickle
import struct
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    import torch

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar")

# What training scripts call the weights inside a checkpoint.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")

# What torch.load raises on files that are cut, or are something else.
_DAMAGE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
)

# Only ResNets have a tensor of this name, at any depth of wrapping.
_LANDMARK = "layer1.0.conv1.weight"
_STEM = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.", "fc.")
_OTHER_HEADS = ("classifier.", "last_linear.", "head.", "fc.0.", "fc.1.", "fc.2.")


def read_checkpoint(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a ``.safetensors`` or ``.pth`` file, by name.

    A ``.pth`` is read with ``torch.load(weights_only=True)`` and no other way, so that
    a file from a stranger cannot run code.

    Raises
    ------
    ModelError
        If the file is missing, damaged, holds no tensors, or holds objects that would
        have to be unpickled.

    """
    file = Path(path)
    if not file.is_file():
        raise ModelError("there is no such file", source=file)
    if file.suffix not in SUFFIXES:
        raise ModelError(
            "this is no file of weights",
            source=file,
            remedy=f"Give a file that ends in {', '.join(SUFFIXES)}",
        )
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    return unwrapped(_unpickled(file, file), file)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unpickled(file: Path | IO[bytes], source: Path | str) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            # Of pickle protocols; where they matter, the error says it.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            "the file cannot be read as weights alone: it is damaged, or holds objects "
            "that would have to be unpickled, which can run code",
            source=source,
            remedy="Save its state_dict, best as .safetensors",
        ) from error
    except _DAMAGE as error:
        raise _unreadable(source, error) from error


def read_pickled(file: IO[bytes], source: str) -> dict[str, torch.Tensor]:
    """Return the tensors of an open ``.pth``; `source` names it in errors."""
    return unwrapped(_unpickled(file, source), source)


def _unreadable(source: Path | str, error: Exception) -> ModelError:
    first = (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(".")
    return ModelError(
        f"the weights cannot be read: {first}",
        source=source,
        remedy="Get the file anew; it may have been cut short",
    )


def unwrapped(content: Any, source: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors that lie inside a checkpoint's dictionaries.

    Raises
    ------
    ModelError
        If there are none.

    """
    import torch

    found = content
    while isinstance(found, Mapping):
        tensors = {str(k): v for k, v in found.items() if isinstance(v, torch.Tensor)}
        inner = [found[k] for k in _WRAPPERS if isinstance(found.get(k), Mapping)]
        if tensors or not inner:
            break
        found = inner[0]
    else:
        tensors = {}
    if tensors:
        return tensors
    raise ModelError(
        "the file holds no tensors by name",
        source=source,
        remedy="Save the network's state_dict",
    )


def resnet_tensors(
    tensors: Mapping[str, torch.Tensor], source: str | Path
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Return a ResNet's tensors under MONAI's names, and the names of all others.

    Whatever stands in front of ``layer1.0.conv1.weight`` (``module.``, ``backbone.``,
    ...) is cut; tensors that do not begin with it belong to other networks. The layouts
    of torchvision, timm and MedicalNet then have MONAI's names already, but for the
    last layer, which goes by several.

    Raises
    ------
    ModelError
        If the file holds several ResNets.

    """
    prefixes = sorted(
        name.removesuffix(_LANDMARK) for name in tensors if name.endswith(_LANDMARK)
    )
    if len(prefixes) > 1:
        raise ModelError(
            f"the file holds {len(prefixes)} ResNets, under {', '.join(prefixes)}",
            source=source,
            remedy="Save the one that you want under a name of its own",
        )
    prefix = prefixes[0] if prefixes else _common_prefix(tensors)
    kept: dict[str, torch.Tensor] = {}
    others: list[str] = []
    for name, tensor in tensors.items():
        inner = _common_head(name.removeprefix(prefix))
        if name.startswith(prefix) and inner.startswith(_STEM) and inner not in kept:
            kept[inner] = tensor
        else:
            others.append(name)
    return kept, others


def _common_prefix(tensors: Mapping[str, object]) -> str:
    """Return ``module.`` where all names begin with it."""
    firsts = Counter(name.split(".")[0] for name in tensors)
    (first, count), *_ = firsts.most_common(1)
    return f"{first}." if first == "module" and count == len(tensors) else ""


def _common_head(name: str) -> str:
    for head in _OTHER_HEADS:
        rest = name.removeprefix(head)
        if rest in ("weight", "bias") and rest != name:
            return f"fc.{rest}"
    return name
