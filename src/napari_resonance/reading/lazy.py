"""Volumes that are read plane by plane, when a plane is looked at."""

from __future__ import annotations

import math
import os
import threading
import uuid
from collections import OrderedDict
from concurrent.futures import Future
from itertools import groupby
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import DependencyError, ReadError, ResonanceError
from napari_resonance.progress import never
from napari_resonance.reading.decoder_pool import decoder_pool
from napari_resonance.reading.dicom_decoding import is_framed
from napari_resonance.reading.dicom_header import quiet
from napari_resonance.reading.volumes import Volumes

# What is read ahead of the plane that is looked at, and what is kept of planes read.
_AHEAD_BYTES, _MOST_AHEAD, _KEPT_BYTES = 1 << 23, 64, 1 << 26

Key = tuple[int, int]
"""Time point, and number of the block of planes."""

Reserved = tuple[Key, Future[NDArray[Any]]]
"""A block that somebody reads, and where it will be found."""


def lazy_array(volumes: Volumes) -> Any:
    """Return a dask array with the axes of a `Scan`, a plane to a chunk.

    The planes of a file that has to be decoded as a whole are one chunk.

    Raises
    ------
    DependencyError
        If dask is not installed.

    """
    try:
        import dask.array as da

        from napari_resonance.reading.lazy_view import LazyArray, View
    except ImportError as error:
        raise DependencyError(
            "cannot be read plane by plane without dask",
            source=volumes.first.path,
            remedy="Install it: pip install 'napari-resonance[gui]'",
        ) from error
    source = LazyPlanes(volumes.anchored())
    planes = da.from_array(  # type: ignore[no-untyped-call]
        source,
        chunks=(1, source.n_together, *source.shape[2:]),
        name=f"resonance-{uuid.uuid4().hex}",
        meta=np.empty((0,) * source.ndim, source.dtype),
        asarray=False,
        inline_array=True,
    )
    return arranged(LazyArray(planes, View.of(source)))


def arranged(planes: Any) -> Any:
    """Turn ``(time, plane, row, column[, 3])`` into the axes of a Scan, as a view.

    The pictures of a colour film have no place; only here they take the axis of depth.
    """
    if planes.ndim == 5:
        return planes.reshape(-1, *planes.shape[2:]).transpose(2, 1, 0, 3)
    return planes[0].T if len(planes) == 1 else planes.T


class LazyPlanes:
    """An array that reads a plane when it is indexed, and the next ones ahead.

    Who scrolls through a series so waits for hardly a plane, and all cores decode.
    What was read last is kept. A damaged plane raises `ReadError` whenever it is
    looked at; the others stay as they are.

    Parameters
    ----------
    volumes
        What there is to read.

    """

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self.shape = volumes.shape
        self.dtype = volumes.dtype
        self.ndim = len(self.shape)
        is_tiled = volumes.first.tile is not None
        self.n_together = self.shape[1] if is_tiled else 1
        self._n_blocks = -(-self.shape[1] // self.n_together)
        n_bytes = math.prod(self.shape[2:]) * self.n_together * self.dtype.itemsize
        least = 2 * decoder_pool.size if is_framed(volumes.first.encoding) else 1
        self._n_ahead = max(least, min(_MOST_AHEAD, _AHEAD_BYTES // n_bytes))
        self._most = max(2 * self._n_ahead + 1, _KEPT_BYTES // n_bytes)
        self.forget()
        _living.add(self)

    def forget(self) -> None:
        """Start anew, as after a fork, which leaves behind the threads that read."""
        self._lock = threading.Lock()
        self._blocks: OrderedDict[Key, Future[NDArray[Any]]] = OrderedDict()
        self._last: Key = (0, -1)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what there is to read, without what was read."""
        return type(self), (self._volumes,)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read the planes that a slice of the first two axes needs."""
        index = index if isinstance(index, tuple) else (index,)
        index = (*index, *(slice(None),) * (self.ndim - len(index)))
        times = range(self.shape[0])[index[0]]
        planes = range(self.shape[1])[index[1]]
        if isinstance(times, int):
            of_time: NDArray[Any] = self[(slice(times, times + 1), *index[1:])][0]
            return of_time
        if isinstance(planes, int):
            return self[(index[0], slice(planes, planes + 1), *index[2:])][:, 0]
        if len(times) == len(planes) == 1:
            lone: NDArray[Any] = self._plane(times[0], planes[0])[index[2:]]
            return lone[None, None]
        found = [[self._plane(t, k)[index[2:]] for k in planes] for t in times]
        return np.array(found, self.dtype)

    def read_all(self) -> NDArray[Any]:
        """Read everything at once, which is quicker than plane by plane."""
        return self._volumes.load(never)

    def _plane(self, time: int, k: int) -> NDArray[Any]:
        block, within = divmod(k, self.n_together)
        plane: NDArray[Any] = self._block((time, block))[within]
        return plane

    def _block(self, key: Key) -> NDArray[Any]:
        """Return a block of planes, and have the next ones read meanwhile."""
        with self._lock:
            wanted = [] if key in self._blocks else self._reserve([key])
            ahead = self._reserve(self._ahead_of(key))
            future = self._blocks[key]
            self._blocks.move_to_end(key)
            self._last = key
            while len(self._blocks) > self._most:
                self._blocks.popitem(last=False)
        if ahead:
            self._begin(ahead)
        if wanted:
            self._read(wanted)
        return future.result()

    def _begin(self, ahead: list[Reserved]) -> None:
        """Read blocks in a thread; without one to be had, not yet."""
        try:
            threading.Thread(target=self._read, args=(ahead,), daemon=True).start()
        except RuntimeError:
            self._give_up(ahead)

    def _give_up(self, reserved: list[Reserved]) -> None:
        """Tell those who wait for blocks that nobody reads; the next look does."""
        for key, future in reserved:
            if not future.done():
                self._drop(key, future)
                future.set_exception(self._error("could not be read"))

    def _reserve(self, keys: list[Key]) -> list[Reserved]:
        reserved = [(key, Future[NDArray[Any]]()) for key in keys]
        self._blocks.update(reserved)
        return reserved

    def _ahead_of(self, key: Key) -> list[Key]:
        """List the blocks to be read next, once half of those read ahead are used."""
        at = self._number(key)
        step = at - self._number(self._last)
        if abs(step) != 1:
            return []
        end = self.shape[0] * self._n_blocks if step == 1 else -1
        numbers = list(range(at + step, end, step))[: self._n_ahead]
        keys = [divmod(n, self._n_blocks) for n in numbers]
        missing = [k for k in keys if k not in self._blocks]
        return missing if 2 * len(missing) >= len(keys) else []

    def _number(self, key: Key) -> int:
        return key[0] * self._n_blocks + key[1]

    def _read(self, reserved: list[Reserved]) -> None:
        """Read blocks, and hand them or their errors to those who wait for them."""
        try:
            with quiet:
                for _, group in groupby(reserved, key=lambda r: r[0][0]):
                    self._read_run(list(group))
        finally:
            # There is something left if it was interrupted, or ran out of memory.
            self._give_up(reserved)

    def _read_run(self, run: list[Reserved]) -> None:
        """Read neighbouring blocks of one time point at once."""
        numbers = [block for (_, block), _ in run]
        time, first = run[0][0][0], min(numbers)
        try:
            found = self._load(time, first, max(numbers) + 1)
        except ResonanceError as error:
            if len(run) > 1:
                # The others are not to be blamed for one that is damaged.
                for one in run:
                    self._read_run([one])
                return
            key, future = run[0]
            self._drop(key, future)  # the next look reads it again
            future.set_exception(error)
            return
        n = self.n_together
        for (_, block), future in run:
            # A copy, for a part would keep all that was read with it.
            part = found[(block - first) * n : (block - first + 1) * n]
            future.set_result(part if len(run) == 1 else part.copy())

    def _drop(self, key: Key, future: Future[NDArray[Any]]) -> None:
        with self._lock:
            if self._blocks.get(key) is future:
                del self._blocks[key]

    def _load(self, time: int, first: int, end: int) -> NDArray[Any]:
        start, stop = first * self.n_together, end * self.n_together
        return self._volumes.load_planes(time, start, min(stop, self.shape[1]), never)

    def _error(self, message: str) -> ReadError:
        return ReadError(message, source=self._volumes.first.path)


_living: WeakSet[LazyPlanes] = WeakSet()


def _forget_all() -> None:
    for planes in _living:
        planes.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
