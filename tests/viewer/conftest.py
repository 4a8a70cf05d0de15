"""A real napari window that knows this package by its manifest, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import napari_resonance

MANIFEST = Path(napari_resonance.__file__).with_name("napari.yaml")


@pytest.fixture
def make_viewer(make_napari_viewer: Any, npe2pm: Any) -> Iterator[Callable[..., Any]]:
    """Return a maker of viewers; a leaked widget fails the test."""

    def make(**settings: Any) -> Any:
        return make_napari_viewer(strict_qt="raise", **settings)

    with npe2pm.tmp_plugin(manifest=str(MANIFEST)):
        yield make


@pytest.fixture
def viewer(make_viewer: Callable[..., Any]) -> Any:
    """Return a viewer without a visible window."""
    return make_viewer()
