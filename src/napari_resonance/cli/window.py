"""Whether a napari window can open here, found out without risking this process."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

from napari_resonance.errors import DependencyError, ResonanceError

INSTALL = 'python -m pip install "napari-resonance[gui]"'

# Qt without its system libraries raises on import, and without a usable screen it
# aborts the process; OpenGL may be missing on top. A child process may do all three.
_TRY = """
from qtpy.QtGui import QOpenGLContext
from qtpy.QtWidgets import QApplication
app = QApplication([])
if not QOpenGLContext().create():
    raise RuntimeError("OpenGL is not available")
"""
_SECONDS = 60


def why_no_window() -> ResonanceError | None:
    """Return what keeps a napari window from opening, None if nothing does."""
    if any(find_spec(name) is None for name in ("napari", "qtpy")):
        return DependencyError(
            "the viewer needs napari, which is not installed",
            remedy=f"Install it with: {INSTALL}",
        )
    if not has_display():
        return ResonanceError(
            "the viewer needs a display, and there is none",
            remedy="Log in to a desktop, or forward one (ssh -X)",
        )
    why = _why_qt_fails()
    if why is None:
        return None
    return DependencyError(
        f"the viewer's windows cannot open: {why}",
        remedy="Install the system libraries of Qt and OpenGL "
        "(Debian: apt-get install libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0)",
    )


def has_display() -> bool:
    """Tell whether there is a screen to open a window on."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _why_qt_fails() -> str | None:
    try:
        child = subprocess.run(
            [sys.executable, "-c", _TRY],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"Qt did not start within {_SECONDS} seconds"
    if child.returncode == 0:
        return None
    said = [line for line in child.stderr.splitlines() if line.strip()]
    telling = [n for n in said if "Error" in n or "could not" in n.lower()]
    return (telling or said or [f"exit code {child.returncode}"])[-1].strip()
