"""File systems that are full, or may not be written."""

import os
import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def mounted(folder, options):
    """Yield a folder with a file system of its own in memory; skip where not allowed.

    Parameters
    ----------
    folder
        Where; it is made.
    options
        As of ``mount -o``.

    """
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only the superuser may mount a file system")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        # Arrays that are mapped still may outlive the folder.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder, options):
    """Change the options of a mounted folder."""
    command = ["mount", "-o", f"remount,{options}", str(folder)]
    subprocess.run(command, capture_output=True, check=True)
