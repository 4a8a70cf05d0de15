"""Decoding by gdcm in a process of its own.

On some damaged images gdcm ends the process it runs in (a C++ exception that nobody
catches), and no ``except`` can help. So it runs in a helper process: started when first
needed, used for many frames, ended with this process, and replaced if it dies or takes
too long. What it prints goes nowhere.

Messages are a line of JSON with the number of bytes that follow it, then those bytes.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.reading.dicom_header import DamagedError, parse_errors, quiet

_MODULE = "napari_resonance.reading.isolated"
_SECONDS_PER_FRAME = 60.0


class IsolatedDecoder:
    """A helper process that decodes frames, one at a time.

    Parameters
    ----------
    seconds
        Time limit for one frame; the process is ended when it passes.
    command
        How the helper is started.

    """

    def __init__(
        self, seconds: float = _SECONDS_PER_FRAME, command: tuple[str, ...] = ()
    ) -> None:
        self._seconds = seconds
        self._command = command or (sys.executable, "-m", _MODULE)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(self, request: dict[str, Any], data: bytes = b"") -> NDArray[Any]:
        """Return the decoded image.

        Parameters
        ----------
        request
            ``syntax`` and ``options`` for pydicom's decoders, or ``path`` of a file
            that gdcm is to read as a whole.
        data
            One encapsulated frame.

        Raises
        ------
        DamagedError
            If the image cannot be decoded, or the helper died or was too slow over it.

        """
        with self._lock:
            process = self._running()
            timer = threading.Timer(self._seconds, process.kill)
            timer.start()
            try:
                _send(_pipe(process.stdin), request, data)
                reply, content = _receive(_pipe(process.stdout))
            except (OSError, EOFError, ValueError):
                self._close()
                raise DamagedError("its decoder broke down over them") from None
            finally:
                timer.cancel()
        if "shape" not in reply:
            raise DamagedError(f"gdcm cannot read them ({reply.get('error')})")
        return np.frombuffer(content, reply["dtype"]).reshape(reply["shape"])

    def close(self) -> None:
        """End the helper; the next frame starts another."""
        with self._lock:
            self._close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._close()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        return self._process

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            try:
                _pipe(pipe).close()
            except OSError:
                continue  # what was left in it has no reader any more
        process.wait()


isolated_decoder = IsolatedDecoder()
atexit.register(isolated_decoder.close)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("the helper has no pipe")
    return pipe


def _send(pipe: IO[bytes], message: dict[str, Any], data: bytes) -> None:
    line = json.dumps(message | {"n_bytes": len(data)}).encode()
    pipe.write(line + b"\n" + data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    line = pipe.readline()
    if not line:
        raise EOFError
    message: dict[str, Any] = json.loads(line)
    data = pipe.read(message["n_bytes"])
    if len(data) < message["n_bytes"]:
        raise EOFError
    return message, data


def _answer(request: dict[str, Any], data: bytes) -> NDArray[Any]:
    if "path" in request:
        return _whole_file(request["path"], request["dtype"])
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    image, _ = get_decoder(UID(request["syntax"])).as_array(
        data, index=0, decoding_plugin="gdcm", **request["options"]
    )
    return image


def _whole_file(path: str, dtype: str) -> NDArray[Any]:
    """Read a file by gdcm alone, which pydicom does not let do some encodings."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read():
        raise DamagedError("no image")
    # gdcm hands bytes over as text.
    content = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(content, dtype)


def serve(source: IO[bytes], target: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    while True:
        try:
            request, data = _receive(source)
        except EOFError:
            return
        try:
            image = np.ascontiguousarray(_answer(request, data))
        except parse_errors() as error:
            _send(target, {"error": type(error).__name__}, b"")
            continue
        shape, dtype = list(image.shape), image.dtype.str
        _send(target, {"shape": shape, "dtype": dtype}, image.tobytes())


def main() -> None:
    """Serve standard input and output, and keep C libraries from writing to them."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    with quiet, replies:
        serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
