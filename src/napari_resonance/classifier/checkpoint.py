"""Files of weights: tensors by name, without the wrappings that training adds."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    from os import PathLike

    import torch

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar")

# What torch.load raises on files that are cut, or are something else.
_DAMAGE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    struct.error,
)

# Of what lies beside them, the keys under which there are no weights.
_NO_WEIGHTS = re.compile(
    r".*optimizer|opt(im|_|$)|solver|sched|scaler|callback|loop|hyper"
)
_DEEPEST = 6  # dictionaries inside each other

# What other files of these names begin with.
_ZIP, _PICKLE, _POINTER = b"PK\x03\x04", b"\x80", b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html", b"<?xml", b'{"error')
_PROGRAMS = {
    # Version of the format, then the name of what wrote it.
    "an ONNX network": re.compile(rb"\x08[\x01-\x20]\x12.[\w.+ -]+", re.DOTALL),
    "an HDF5 file, as Keras writes them": re.compile(rb"\x89HDF\r\n"),
}
# What their names end with.
_ENDINGS = {
    ".onnx": "an ONNX network",
    ".ts": "a TorchScript program",
    ".pt2": "a program of torch.export",
    ".h5": "an HDF5 file, as Keras writes them",
    ".keras": "a network of Keras",
}


def read_checkpoint(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a ``.safetensors`` or ``.pth`` file, by name.

    A ``.pth`` is read with ``torch.load(weights_only=True)`` and no other way, so that
    a file from a stranger cannot run code. The content decides which of the two it is,
    whatever the name says.

    Raises
    ------
    ModelError
        If the file is missing, damaged, holds no tensors, or holds objects that would
        have to be unpickled.

    """
    file = Path(path)
    if file.is_dir():
        raise ModelError("this is a folder, not a file of weights", source=file)
    if not file.is_file():
        refuse_address(str(path))
        raise ModelError("there is no such file", source=file)
    if file.suffix in _ENDINGS:
        raise _no_weights(file, _ENDINGS[file.suffix])
    if file.suffix not in SUFFIXES:
        raise ModelError(
            "this is no file of weights",
            source=file,
            remedy=f"Give a file that ends in {', '.join(SUFFIXES)}",
        )
    if _is_safetensors(file):
        return unwrapped(_read_safetensors(file), file)
    # torch.load goes by the suffix where it is given a path.
    with file.open("rb") as opened:
        return unwrapped(_unpickled(opened, file), file)


# ``https://...``, also where a path was made of it.
_ADDRESS = re.compile(r"\w{2,}:/")


def refuse_address(name: str) -> None:
    """Refuse what is an address instead of a file.

    Raises
    ------
    ModelError
        If it is.

    """
    if _ADDRESS.match(name):
        raise ModelError(
            "an address is not fetched from here",
            source=name,
            remedy="Download the file, and give its path",
        )


def _is_safetensors(file: Path) -> bool:
    """Look at the first bytes; refuse what stands in the place of the weights."""
    start = start_of_weights(file)
    # Eight bytes of length, then JSON. The length may begin as pickles do: one in 32
    # does, for safetensors rounds it up to a multiple of 8.
    if start[8:9] == b"{":
        return True
    if start.startswith((_ZIP, _PICKLE)):
        return False
    if not start or file.suffix == ".safetensors":
        return file.suffix == ".safetensors"
    raise _unreadable(file, ValueError("torch.save did not write this"))


def start_of_weights(file: Path) -> bytes:
    """Return the first bytes of a file that may be weights.

    Raises
    ------
    ModelError
        If it plainly is something that a server or Git put in their place.

    """
    try:
        with file.open("rb") as opened:
            start = opened.read(64)
    except OSError as error:
        raise _unreadable(file, error) from error
    if start.startswith(_POINTER):
        raise ModelError(
            "this is a pointer of Git LFS, not the weights",
            source=file,
            remedy="Fetch the file itself: git lfs pull",
        )
    if start.lstrip().lower().startswith(_PAGES):
        raise ModelError(
            "this cannot be read as weights: it is a page or message of a server",
            source=file,
            remedy="Get the file anew; the server may want you to log in",
        )
    for kind, beginning in _PROGRAMS.items():
        if beginning.match(start):
            raise _no_weights(file, kind)
    return start


def _no_weights(file: Path | str, kind: str) -> ModelError:
    return ModelError(
        f"this is {kind}, not weights by name",
        source=file,
        remedy="Give the network's state_dict, as .safetensors or .pth",
    )


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unpickled(file: IO[bytes], source: Path | str) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            # Of pickle protocols; where they matter, the error says it.
            warnings.simplefilter("ignore", UserWarning)
            with torch.serialization.safe_globals([*_numbers(), Namespace]):
                return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = _GLOBAL.search(str(error))
        what = f"objects ({named[1].rstrip('.')})" if named else "objects"
        raise ModelError(
            "the file cannot be read as weights alone: it is damaged, or holds "
            f"{what} that would have to be unpickled, which can run code",
            source=source,
            remedy="Save its state_dict, best as .safetensors",
        ) from error
    except _DAMAGE as error:
        text = str(error)
        if "TorchScript" in text:
            raise _no_weights(source, _ENDINGS[".ts"]) from error
        if "data.pkl" in text:
            raise _no_weights(source, "an archive that torch.save did not write") from (
                error
            )
        raise _unreadable(source, error) from error


# How torch names what it does not unpickle.
_GLOBAL = re.compile(
    r"(?:Unsupported global: GLOBAL|Unsupported class|unsupported GLOBAL) ([\w.]+)"
)


def _numbers() -> list[Any]:
    """Return what NumPy's numbers are made of; training scripts store their best."""
    import numpy as np
    from numpy._core.multiarray import scalar

    kinds = [type(np.dtype(code)) for code in "?bhilqBHILQefd"]
    # Files of NumPy 1 know it by another name.
    old = (scalar, "numpy.core.multiarray.scalar")
    return [scalar, old, np.dtype, *dict.fromkeys(kinds)]


def read_pickled(file: IO[bytes], source: str) -> dict[str, torch.Tensor]:
    """Return the tensors of an open ``.pth``; `source` names it in errors."""
    return unwrapped(_unpickled(file, source), source)


def _unreadable(source: Path | str, error: Exception) -> ModelError:
    text = "it ends too early" if isinstance(error, EOFError) else str(error)
    if isinstance(error, LookupError):  # whose texts say what was looked up
        text = "it is damaged"
    first = (text.splitlines() or [type(error).__name__])[0]
    first = first.partition(". ")[0][:120].rstrip(".")
    return ModelError(
        f"the weights cannot be read: {first}",
        source=source,
        remedy="Get the file anew; it may have been cut short",
    )


def unwrapped(content: Any, source: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors that lie inside a checkpoint's dictionaries.

    Where weights lie in several of them, as those of a network and their average do, or
    backbone and head, the names begin with the keys of the dictionaries.

    Raises
    ------
    ModelError
        If there are none.

    """
    held = list(_held(content))
    if not held:
        raise ModelError(
            "the file holds no tensors by name",
            source=source,
            remedy="Save the network's state_dict",
        )
    layers = [(keys, t) for keys, t in held if any(x.ndim > 1 for x in t.values())]
    if len(layers) > 1:
        return {
            ".".join((*keys, name)): tensor
            for keys, tensors in layers
            for name, tensor in tensors.items()
        }
    return (layers or held)[0][1]


def _held(
    content: Any, keys: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, torch.Tensor]]]:
    """Give the dictionaries that hold tensors, with the keys that lead to them."""
    import torch

    if not isinstance(content, Mapping) or len(keys) > _DEEPEST:
        return
    tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
    if tensors:
        yield keys, tensors
    for key, value in content.items():
        if not _NO_WEIGHTS.match(str(key).lower()):
            yield from _held(value, (*keys, str(key)))


def split_part(source: str | PathLike[str]) -> tuple[Path, str]:
    """Return the file in ``FILE#PART`` and the part, which may be empty."""
    path, part = Path(source), ""
    if "#" in path.name and not path.exists():
        name, _, part = path.name.rpartition("#")
        path = path.with_name(name) if name else path
    return path, part
