"""Keys over the canvas, bound in code: napari drops those of a manifest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def bind_key(provider: Any, key: str, act: Callable[[Any], object]) -> None:
    """Bind a key on a viewer or a layer; `act` is called with that.

    napari asks every bound function for its name, at every key that is pressed: a
    ``functools.partial`` has none, and would make all keys fail.
    """

    def pressed(provider: Any) -> None:
        act(provider)

    provider.bind_key(key, pressed, overwrite=True)
