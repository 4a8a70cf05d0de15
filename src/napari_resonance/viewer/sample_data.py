"""File > Open Sample: the small real scans that come with the package."""

from __future__ import annotations

from typing import Any


def icbm_t1() -> list[Any]:
    """Return the T1-weighted average brain, ICBM 2009a."""
    return _sample("icbm-t1")


def oblique_pd() -> list[Any]:
    """Return the oblique proton density series of a head."""
    return _sample("oblique-pd")


def ct() -> list[Any]:
    """Return the single CT slice."""
    return _sample("ct")


def _sample(name: str) -> list[Any]:
    from napari_resonance.samples import sample_path
    from napari_resonance.viewer.reader import read_layers

    return read_layers(str(sample_path(name)))
