"""Where prepared cases are kept: in memory, or in a folder that appears whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import TrainingError
from napari_resonance.preprocessing import Recipe
from napari_resonance.training.cases import Case, LabelledSet
from napari_resonance.training.fingerprints import stacked
from napari_resonance.training.one_case import LeftOut, OneCase

_FORMAT = 3  # Raised where what is stored, or how it is made, changes.
_INPUTS, _ARRAYS, _FACTS = "inputs.float32", "arrays.npz", "facts.json"


@dataclass(frozen=True, eq=False)
class Stored:
    """Prepared cases without names and labels.

    `kept` are their indices among the cases, `left_out` indices and reasons of the
    others; the rest is as in `PreparedSet`.
    """

    kept: tuple[int, ...]
    left_out: tuple[tuple[int, str], ...]
    inputs: NDArray[np.float32]
    affines: NDArray[np.float64]
    fingerprints: NDArray[np.int8]
    studies: tuple[str, ...]
    facts: tuple[Mapping[str, str], ...]
    warnings: tuple[str, ...]


def folder_for(cache: Path, labelled: LabelledSet, recipe: Recipe) -> Path:
    """Return where the cases would be kept: it changes with every file and step."""
    digest = hashlib.sha256(f"{_FORMAT} {recipe.sha256}\n".encode())
    for case in labelled.cases:
        for line in _state(case):
            digest.update(line.encode("utf-8", "surrogateescape"))
    return Path(cache) / f"prepared-{digest.hexdigest()[:32]}"


def _state(case: Case) -> Iterator[str]:
    yield f"{case.center_mm}\n"
    for n, path in enumerate(case.paths):
        files = case.files if n == 0 and case.files else _files(path)
        for file in files:
            try:
                found = os.stat(file)
                yield f"{n} {file} {found.st_size} {found.st_mtime_ns}\n"
            except OSError:
                yield f"{n} {file} missing\n"


def _files(path: Path) -> list[Path]:
    path = path.resolve()
    if path.suffix.lower() in (".hdr", ".img"):
        return [path.with_suffix(ending) for ending in (".hdr", ".img")]
    if not path.is_dir():
        return [path]
    return sorted(
        Path(folder, name) for folder, _, names in os.walk(path) for name in names
    )


def load_stored(place: Path | None) -> Stored | None:
    """Return what a folder holds; None if there is none, or it is damaged."""
    if place is None or not (place / _FACTS).is_file():
        return None
    try:
        facts = json.loads((place / _FACTS).read_text("utf-8"))
        # numpy leaves a file open that it cannot read.
        with (place / _ARRAYS).open("rb") as stream, np.load(stream) as arrays:
            affines, fingerprints = arrays["affines"], arrays["fingerprints"]
        return _stored(facts, _mapped(place, facts["shape"]), affines, fingerprints)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        # It can be made again.
        shutil.rmtree(place, ignore_errors=True)
        return None


def _mapped(place: Path, shape: list[int]) -> NDArray[np.float32]:
    if 0 in shape:
        return np.zeros(shape, np.float32)
    path = place / _INPUTS
    if path.stat().st_size != 4 * int(np.prod(shape)):
        raise ValueError("the file is cut")
    mapped: NDArray[np.float32] = np.memmap(path, "<f4", "r", shape=tuple(shape))
    return mapped


def _stored(
    facts: dict[str, Any],
    inputs: NDArray[np.float32],
    affines: NDArray[np.float64],
    fingerprints: NDArray[np.int8],
) -> Stored:
    return Stored(
        kept=tuple(facts["kept"]),
        left_out=tuple((n, why) for n, why in facts["left_out"]),
        inputs=inputs,
        affines=affines,
        fingerprints=fingerprints,
        studies=tuple(facts["studies"]),
        facts=tuple(facts["facts"]),
        warnings=tuple(facts["warnings"]),
    )


@dataclass(eq=False)
class Store:
    """Takes prepared cases one after the other.

    Parameters
    ----------
    place
        The folder in the end; None for memory.
    draft
        The folder while it is filled.

    """

    place: Path | None
    draft: Path | None
    shape: tuple[int, ...] | None = None
    _stream: BinaryIO | None = None
    _inputs: list[NDArray[np.float32]] = field(default_factory=list)
    _affines: list[NDArray[np.float64]] = field(default_factory=list)
    _fingerprints: list[NDArray[np.int8]] = field(default_factory=list)
    _facts: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: [] for name in ("kept", "left_out", "studies", "facts", "warnings")
        }
    )

    def add(self, n: int, result: OneCase | LeftOut) -> None:
        """Take case number `n`; all arrays must have the shape of the first."""
        if isinstance(result, LeftOut):
            self._facts["left_out"].append([n, result.reason])
            return
        self.shape = result.array.shape
        if self.draft is None:
            self._inputs.append(result.array)
        else:
            if self._stream is None:
                self._stream = (self.draft / _INPUTS).open("wb")
            self._stream.write(np.ascontiguousarray(result.array, "<f4").tobytes())
        self._affines.append(result.affine)
        self._fingerprints.append(result.fingerprints)
        self._facts["kept"].append(n)
        self._facts["studies"].append(result.study)
        self._facts["facts"].append(dict(result.facts))
        self._facts["warnings"] += result.warnings

    def close(self) -> Stored:
        """Return all that was taken; where there is a folder, it appears now."""
        n = len(self._affines)
        affines = np.array(self._affines, np.float64).reshape(n, 4, 4)
        fingerprints = stacked(self._fingerprints)
        shape = [n, *(self.shape or ())]
        # What nothing is left of is not worth keeping.
        if self.place is None or self.draft is None or n == 0:
            inputs = np.array(self._inputs, np.float32).reshape(shape)
            return _stored(self._facts, inputs, affines, fingerprints)
        self.release()
        with (self.draft / _ARRAYS).open("wb") as stream:
            np.savez(stream, affines=affines, fingerprints=fingerprints)
        text = json.dumps({"shape": shape, **self._facts})
        (self.draft / _FACTS).write_text(text, "utf-8")
        # Another process may have been first; then its folder is as good.
        with suppress(FileExistsError):
            _rename(self.draft, self.place)
        inputs = _mapped(self.place, shape)
        return _stored(self._facts, inputs, affines, fingerprints)

    def release(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _rename(draft: Path, place: Path) -> None:
    try:
        draft.rename(place)
    except OSError as error:
        if (place / _FACTS).is_file():
            raise FileExistsError(place) from error
        raise


@contextmanager
def open_store(place: Path | None) -> Iterator[Store]:
    """Yield a store; its draft is removed where the work ends early.

    Raises
    ------
    TrainingError
        If the folder cannot be written.

    """
    draft = None
    if place is not None:
        draft = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
    store = Store(place, draft)
    try:
        if draft is not None:
            draft.mkdir(parents=True)
        yield store
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise TrainingError(
            f"the prepared scans could not be kept: {why}",
            source=place,
            remedy="Choose a cache folder you may write to, with free space",
        ) from error
    finally:
        with suppress(OSError):
            store.release()
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
