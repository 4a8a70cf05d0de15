"""Carries values out of a worker's thread while it goes on working."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal


class Relay(QObject):
    """What is sent in any thread arrives on the thread that made the relay."""

    _sent = Signal(object)

    def __init__(self, receive: Callable[[Any], object], parent: QObject) -> None:
        super().__init__(parent)
        self._receive: Callable[[Any], object] | None = receive
        self._sent.connect(self._on_sent, Qt.ConnectionType.QueuedConnection)

    def send(self, value: Any) -> None:
        """Hand over a value; returns at once."""
        if self._receive is not None:
            self._sent.emit(value)

    def close(self) -> None:
        """Let nothing arrive any more, not even what was sent already."""
        self._receive = None
        self.deleteLater()

    def _on_sent(self, value: Any) -> None:
        if self._receive is not None:
            self._receive(value)
