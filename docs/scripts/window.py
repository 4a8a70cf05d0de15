"""A real napari window that a script drives, and pictures of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

MAX_BYTES = 600_000
WAIT_MS, STEP_MS, SETTLE_MS = 240_000, 20, 700


def new_window(size: str = "1280x800", theme: str = "dark") -> Any:
    """Return a viewer in a window of a size (``"1280x800"``) and theme."""
    # An empty name keeps napari's settings in memory: nobody's own change the pictures.
    os.environ["NAPARI_CONFIG"] = ""
    os.environ["RESONANCE_SETTINGS"] = str(Path(tempfile.mkdtemp(), "settings.ini"))
    import napari

    viewer = napari.Viewer(title="Resonance", show=False)
    viewer.window.show()
    dress(viewer, size, theme)
    return viewer


def dress(viewer: Any, size: str, theme: str) -> None:
    """Give the window of a viewer another size and theme."""
    width, height = (int(n) for n in size.split("x"))
    viewer.theme = theme
    viewer.window.set_geometry(0, 0, width, height)
    rest(SETTLE_MS)


def picture_of(viewer: Any) -> Any:
    """Return the whole window as an RGB picture."""
    from PIL import Image

    rest(SETTLE_MS)
    pixels = viewer.screenshot(canvas_only=False, flash=False)
    return Image.fromarray(pixels[..., :3])


def save(image: Any, path: Path) -> None:
    """Write a WebP, or a PNG of at most `MAX_BYTES`, with fewer colours if need be."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".webp":
        image.save(path, quality=90, method=6)
        return
    image.save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def save_film(frames: Sequence[tuple[Any, int]], path: Path) -> None:
    """Write pictures with the milliseconds that each stays as an animated WebP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (first, _), *rest_of_them = frames
    first.save(
        path,
        save_all=True,
        append_images=[image for image, _ in rest_of_them],
        duration=[milliseconds for _, milliseconds in frames],
        loop=0,
        quality=60,
        method=6,
    )


def wait_until(condition: Callable[[], bool]) -> None:
    """Let the window live until a condition holds.

    Raises
    ------
    TimeoutError
        If it does not hold in time.

    """
    for _ in range(WAIT_MS // STEP_MS):
        if condition():
            return
        rest(STEP_MS)
    raise TimeoutError("the window did not come to rest")


def rest(milliseconds: int) -> None:
    """Let the window live for a while."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()
