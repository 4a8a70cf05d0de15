"""Running the command line inside the test's process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.bundles import tiny_bundle

from napari_resonance.cli import main

LABELS = ("T1w", "T2w", "FLAIR")


@dataclass(frozen=True)
class Ran:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one strict JSON document on stdout."""
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@pytest.fixture
def resonance(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """Run ``resonance`` with arguments, 80 columns wide and without a display."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        return Ran(int(stop.value.code or 0), *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of embedded models that holds a tiny untrained ``mr-sequence``."""
    folder = tmp_path_factory.mktemp("models")
    tiny_bundle(folder / "mr-sequence", labels=LABELS, convert=True)
    return folder


@pytest.fixture
def embedded(models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the tiny ``mr-sequence`` in the place of the one that is shipped."""
    monkeypatch.setattr("napari_resonance.classifier.bundle._EMBEDDED", models)
    return models / "mr-sequence"
