"""The program of a helper process: decodes frames and can be lost without harm.

On some damaged images a decoder ends the process it runs in (gdcm by a C++ exception
that nobody catches, pylibjpeg-rle by a panic) or goes on for minutes, and no ``except``
can help. So decoders run in helpers; `isolated` and `decoder_pool` start and use them.

A message is a head of 12 bytes (the length of a text in 4, of data in 8), that text in
JSON, then the data.
"""

from __future__ import annotations

import faulthandler
import json
import os
import struct
import sys
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.reading.dicom_header import DamagedError, parse_errors, quiet

_HEAD = struct.Struct("<IQ")


def send(pipe: IO[bytes], message: dict[str, Any], data: Any = b"") -> None:
    """Write one message; the pipe is not buffered."""
    text = json.dumps(message).encode()
    rest = memoryview(data).cast("B")
    _write(pipe, memoryview(_HEAD.pack(len(text), len(rest)) + text))
    _write(pipe, rest)


def receive_text(pipe: IO[bytes]) -> tuple[dict[str, Any], int]:
    """Read a message up to its data, and the number of bytes that follow.

    Raises
    ------
    EOFError
        If the pipe ends.
    ValueError
        If it is no message.

    """
    head = bytearray(_HEAD.size)
    receive_data(pipe, head)
    n_text, n_data = _HEAD.unpack(head)
    if n_text > 1 << 16:
        raise ValueError("no message")
    text = bytearray(n_text)
    receive_data(pipe, text)
    message: dict[str, Any] = json.loads(text)
    return message, n_data


def receive_data(pipe: IO[bytes], target: Any) -> None:
    """Fill a buffer from a pipe that is not buffered.

    Raises
    ------
    EOFError
        If the pipe ends before.

    """
    left = memoryview(target).cast("B")
    while len(left):
        got = pipe.readinto(left)  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        left = left[got:]


def _write(pipe: IO[bytes], data: memoryview) -> None:
    while len(data):
        data = data[pipe.write(data) :]


def decode_here(request: dict[str, Any], data: bytes | bytearray) -> NDArray[Any]:
    """Decode a frame in this process, as `IsolatedDecoder.decode` asks for it."""
    if "path" in request:
        return _whole_file(request["path"], request["dtype"])
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    image, _ = get_decoder(UID(request["syntax"])).as_array(
        encapsulate([bytes(data)]),
        index=0,
        decoding_plugin=request["plugin"],
        **request["options"],
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
            request, n_data = receive_text(source)
            data = bytearray(n_data)
            receive_data(source, data)
        except EOFError:
            return
        # Should the process that asked be gone, nobody else ends a decoder that hangs.
        faulthandler.dump_traceback_later(request.get("seconds", 60.0), exit=True)
        try:
            image = np.ascontiguousarray(decode_here(request, data))
        except parse_errors() as error:
            send(target, {"error": type(error).__name__})
            continue
        finally:
            faulthandler.cancel_dump_traceback_later()
        send(target, {"shape": image.shape, "dtype": image.dtype.str}, image.data)


def main() -> None:
    """Serve standard input and output, and keep C libraries from writing to them."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    requests = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdin, sys.stdout):
        os.dup2(nowhere, stream.fileno())
    with quiet, requests, replies:
        # Imported while the first request is being prepared.
        import pydicom.pixels.decoders.base  # noqa: F401

        serve(requests, replies)
