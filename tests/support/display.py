"""Whether this machine can show a window, found out without risking this process.

Importing Qt on a machine without its system libraries raises, and a QApplication that
finds no X server aborts the process. So a child tries both first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

# What a napari viewer needs: the binding, a platform plugin that starts, and OpenGL.
# The last line names the binding, so that pytest-qt takes the one that qtpy took.
_TRY = """
from importlib import import_module
from importlib.util import find_spec
try:
    from qtpy import API_NAME
except ImportError:
    # qtpy says only that no binding works; the binding itself says what it lacks.
    for name in ("PyQt6", "PySide6"):
        if find_spec(name):
            import_module(f"{name}.QtWidgets")
    raise
from qtpy.QtGui import QOpenGLContext
from qtpy.QtWidgets import QApplication
app = QApplication([])
if not QOpenGLContext().create():
    raise RuntimeError("OpenGL gives no context (Debian: libgl1-mesa-dri)")
print(API_NAME.lower())
"""
_ON_LINUX = {"QT_QPA_PLATFORM": "xcb", "LIBGL_ALWAYS_SOFTWARE": "1"}


def why_no_display() -> str | None:
    """Return the reason why viewer tests cannot run here, None where they can.

    Where they can, the environment variables that they need are set.
    """
    absent = [n for n in ("napari", "qtpy", "pytestqt") if find_spec(n) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (extras gui and test)"
    if not sys.platform.startswith("linux"):
        return _why_qt_fails(dict(os.environ))
    if shutil.which("Xvfb"):
        from pyvirtualdisplay.display import Display

        with Display(backend="xvfb", manage_global_env=False) as screen:
            return _why_qt_fails(screen.env() | _ON_LINUX, keep=_ON_LINUX)
    if os.environ.get("DISPLAY"):
        keep = {"QT_QPA_PLATFORM": "xcb"}
        return _why_qt_fails(dict(os.environ) | keep, keep=keep)
    return "there is neither Xvfb nor a DISPLAY"


def _why_qt_fails(
    environment: dict[str, str], keep: dict[str, str] | None = None
) -> str | None:
    command = [sys.executable, "-c", _TRY]
    try:
        child = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "Qt did not start within two minutes"
    if child.returncode != 0:
        said = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        telling = [
            line for line in said if "Error" in line or "could not" in line.lower()
        ]
        return f"Qt does not start: {(telling or said)[-1]}"
    os.environ.update(keep or {})
    os.environ["PYTEST_QT_API"] = child.stdout.split()[-1]
    return None
