"""Bundles that several test files share: saving one takes a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bundles import tiny_bundle

from napari_resonance.classifier.bundle import Bundle, load_bundle


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a 3D bundle without a conversion; to be read only."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny3d")


@pytest.fixture(scope="session")
def saved_flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a 2D bundle; to be read only."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny2d", dimensions=2)


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a 3D bundle that ships its conversion; to be read only."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny") / "converted", convert=True)


@pytest.fixture
def bundle(saved: Path) -> Bundle:
    return load_bundle(saved)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Return a function that copies a bundle, so that a test may spoil it."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "copy"))

    return copy
