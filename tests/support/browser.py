"""A browser without a window."""

import shutil
import subprocess

import pytest


def browser(*arguments):
    """Run headless Chromium; skip where there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium here")
    command = [found, "--headless", "--no-sandbox", "--disable-gpu", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=True
    )
