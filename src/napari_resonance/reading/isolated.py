"""One helper process that decodes frames: started, used, watched and replaced.

It is started when first needed, used for many frames, ended with this process, and
replaced if it dies or takes too long. What it prints goes nowhere.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.reading.decoding_helper import (
    receive_data,
    receive_text,
    send,
)
from napari_resonance.reading.dicom_header import DamagedError

# What a decoder may take for a frame, and for each million pixels of it. Far above what
# any does on a busy machine; a start from a slow disk has to fit in as well.
_SECONDS, _SECONDS_PER_MEGAPIXEL = 12.0, 2.0
_PIPE_BYTES = 1 << 20


class TooSlowError(DamagedError):
    """A decoder that was stopped, because it would not end."""


class IsolatedDecoder:
    """A helper process that decodes frames, one at a time, for one thread at a time.

    Parameters
    ----------
    seconds
        Time limit for a small frame; the process is ended when it passes.
    command
        How the helper is started.

    """

    def __init__(
        self, seconds: float = _SECONDS, command: tuple[str, ...] = ()
    ) -> None:
        self._seconds = seconds
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def decode(
        self,
        request: dict[str, Any],
        data: bytes = b"",
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the decoded image.

        Parameters
        ----------
        request
            ``syntax``, ``plugin`` and ``options`` for pydicom's decoders, or ``path``
            of a file that gdcm is to read as a whole.
        data
            The compressed bytes of one frame.
        out
            Filled and returned if it is contiguous, of the shape and type of the image.

        Raises
        ------
        DamagedError
            If the image cannot be decoded, or the helper died or was too slow over it.

        """
        options = request.get("options", {})
        n_pixels = options.get("rows", 0) * options.get("columns", 0)
        seconds = self._seconds + _SECONDS_PER_MEGAPIXEL * n_pixels / 1e6
        process = self.start()
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            send(_pipe(process.stdin), request | {"seconds": seconds + 5}, data)
            return _received(_pipe(process.stdout), out)
        except (OSError, EOFError, OverflowError, ValueError) as error:
            if isinstance(error, DamagedError):
                raise
            self.close()
            if late.is_set():
                raise TooSlowError("its decoder did not end") from None
            raise DamagedError("its decoder broke down over them") from None
        except BaseException:
            # Interrupted halfway through an answer, which nobody may take for the next.
            self.close()
            raise
        finally:
            timer.cancel()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the helper, unless it runs; it then gets ready by itself."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = subprocess.Popen(
            self._command or _own_command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        _widen(self._process)
        return self._process

    def close(self) -> None:
        """End the helper; the next frame starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            _pipe(pipe).close()
        process.wait()

    def forget(self) -> None:
        """Leave the helper to the process that started it, after a fork."""
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0  # no child of this process, so nothing to wait for
            for pipe in (process.stdin, process.stdout):
                _pipe(pipe).close()


def _own_command() -> tuple[str, ...]:
    # The helper finds the packages that this process finds, in no other folder.
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        "from napari_resonance.reading.decoding_helper import main; main()"
    )
    return (sys.executable, "-P", "-c", code)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("the helper has no pipe")
    return pipe


def _widen(process: subprocess.Popen[bytes]) -> None:
    """Let a whole image into a pipe, where the system can, to spare turns of it."""
    try:
        import fcntl

        for pipe in (process.stdin, process.stdout):
            fcntl.fcntl(_pipe(pipe), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        return


def _received(pipe: IO[bytes], out: NDArray[Any] | None) -> NDArray[Any]:
    reply, n_data = receive_text(pipe)
    if "shape" not in reply:
        raise DamagedError(f"decoder cannot read them ({reply.get('error')})")
    shape, dtype = tuple(reply["shape"]), np.dtype(reply["dtype"])
    if (
        out is None
        or out.shape != shape
        or out.dtype != dtype
        or not out.flags.c_contiguous
    ):
        out = np.empty(shape, dtype)
    if out.nbytes != n_data:
        raise ValueError("no image")
    receive_data(pipe, out.view(np.uint8).reshape(-1).data)
    return out
