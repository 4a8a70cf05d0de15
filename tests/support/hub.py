"""A model hub on this machine: the hub's protocol, and what goes wrong with it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Files by ``repository/filename``, and how the hub shall misbehave.

    Parameters
    ----------
    files
        Contents.
    wrong_sha256
        Name another hash than that of the content.
    no_sha256
        Name a git hash, as the hub does for small files, and some mirrors for all.
    status
        Answer everything with it, for example 401.
    elsewhere
        Send clients on to another host, as the hub does for large files.
    page
        Answer everything with it, as the login of a network does.
    cut_after
        Bytes after which a connection breaks, one number for each answer in turn.

    """

    files: dict[str, bytes] = field(default_factory=dict)
    wrong_sha256: bool = False
    no_sha256: bool = False
    status: int = 200
    elsewhere: bool = False
    page: bytes = b""
    cut_after: list[int] = field(default_factory=list)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    endpoint: str = ""

    def etag(self, content: bytes) -> str:
        """Return what the hub calls the content's hash."""
        if self.no_sha256:
            return "a" * 40
        return hashlib.sha256(content + b"?" * self.wrong_sha256).hexdigest()


class _Server(ThreadingHTTPServer):
    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that leave early."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(self.server.hub, send=False)

    def do_GET(self) -> None:
        self._answer(self.server.hub, send=True)

    def _answer(self, hub: Hub, *, send: bool) -> None:
        wanted = self.headers.get("Range")
        hub.requests.append((self.command, self.path, wanted))
        if hub.page:
            self._give(hub.page, send=send)
            return
        content = hub.files.get(self.path.replace("/resolve/main", "").lstrip("/"))
        if self.path.startswith("/blob"):
            self._give(next(iter(hub.files.values())), send=send)
            return
        if hub.elsewhere and content is not None:
            self._send_on(hub, content)
            return
        if hub.status != 200 or content is None:
            self._refuse(hub.status if hub.status != 200 else 404)
            return
        start = int(wanted.split("=")[1].rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hub.etag(content)}"')
        self.send_header("Content-Length", str(len(content) - start))
        if wanted:
            end, size = len(content) - 1, len(content)
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.end_headers()
        if send:
            self._send(hub, content[start:])

    def _give(self, content: bytes, *, send: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if send:
            self.wfile.write(content)

    def _send_on(self, hub: Hub, content: bytes) -> None:
        self.send_response(302)
        host = hub.endpoint.replace("127.0.0.1", "localhost")
        self.send_header("Location", f"{host}/blob")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Etag", f'"{hub.etag(content)}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, hub: Hub, body: bytes) -> None:
        if hub.cut_after:
            body = body[: hub.cut_after.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        codes = {401: "GatedRepo", 404: "EntryNotFound"}
        if status in codes:
            self.send_header("X-Error-Code", codes[status])
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve the files at ``hub.endpoint``."""
    server = _Server(hub)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
