"""Helper processes that decode frames, one for each core, for any number of threads."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from napari_resonance.cores import n_cores
from napari_resonance.reading.isolated import IsolatedDecoder


class DecoderPool:
    """Isolated decoders, each started when a frame finds all others at work.

    Parameters
    ----------
    size
        The most helpers at a time; one for each core if None.
    seconds, command
        As of `IsolatedDecoder`.

    """

    def __init__(self, size: int | None = None, **options: Any) -> None:
        self._size = size
        self._options = options
        self._made: list[IsolatedDecoder] = []
        self._idle: list[IsolatedDecoder] = []
        self._changed = threading.Condition()

    @property
    def size(self) -> int:
        """How many frames it decodes at a time."""
        return self._size or n_cores()

    @property
    def is_running(self) -> bool:
        """Whether a helper was started, so that the next frame need not wait for it."""
        return bool(self._made)

    def decode(
        self,
        request: dict[str, Any],
        data: bytes = b"",
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the decoded image, as `IsolatedDecoder.decode` does."""
        with self._one() as decoder:
            return decoder.decode(request, data, out)

    def warm(self, n: int = 1) -> None:
        """Start helpers before there is a frame for them."""
        with self._changed:
            while len(self._made) < min(n, self.size):
                self._idle.append(self._make())
            waiting = self._idle[:n]
            for decoder in waiting:
                decoder.start()

    def close(self) -> None:
        """End all helpers that are not at work; later frames start others."""
        with self._changed:
            for decoder in self._idle:
                decoder.close()

    def forget(self) -> None:
        """Leave all helpers to the process that started them, after a fork."""
        for decoder in self._made:
            decoder.forget()
        # A lock that another thread held before the fork would stay held.
        self._changed = threading.Condition()
        self._made, self._idle = [], []

    def _make(self) -> IsolatedDecoder:
        self._made.append(IsolatedDecoder(**self._options))
        return self._made[-1]

    @contextmanager
    def _one(self) -> Iterator[IsolatedDecoder]:
        with self._changed:
            while not self._idle and len(self._made) >= self.size:
                self._changed.wait()
            # The one that was used last is the one that runs already.
            decoder = self._idle.pop() if self._idle else self._make()
        try:
            yield decoder
        finally:
            with self._changed:
                self._idle.append(decoder)
                self._changed.notify()


decoder_pool = DecoderPool()
atexit.register(decoder_pool.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=decoder_pool.forget)
