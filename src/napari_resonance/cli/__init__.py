"""The command ``resonance``: thin, every job is a call of the package's functions."""

from __future__ import annotations

from napari_resonance.cli.app import main

__all__ = ["main"]
