"""Plugins, environment and fixtures of the whole test suite.

pytest-qt imports Qt as soon as pytest starts, and napari's pytest plugin before every
test; on a machine without Qt's system libraries the first ends the run before any
test. ``pyproject.toml`` therefore switches both off by name, and this file loads them
where a window can be shown. Elsewhere ``tests/viewer`` is left out, with one line in
the summary that says why.

Two variables, set by ``.ci/run``, turn what is left out into a failure:
``RESONANCE_REQUIRE_DISPLAY=1`` for the viewer tests, ``RESONANCE_REQUIRE_SHARED=1``
for tests on the reference scans.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support.display import why_no_display

TESTS = Path(__file__).parent
VIEWER = TESTS / "viewer"

# Nothing may be read from or left in the user's home: converted models go to a folder
# of this run, and napari keeps its settings in memory (what an empty name means to it).
_CACHE = tempfile.mkdtemp(prefix="resonance-tests-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ["RESONANCE_CACHE"] = _CACHE
os.environ["NAPARI_CONFIG"] = ""
os.environ["RESONANCE_SETTINGS"] = str(Path(_CACHE, "settings.ini"))

# A slow machine is no wrong answer, and a run that is judged draws the same examples.
settings.register_profile("here", deadline=None, derandomize=bool(os.getenv("CI")))
settings.load_profile("here")

_NO_DISPLAY = why_no_display()
if _NO_DISPLAY is None:
    pytest_plugins = ["pytestqt.plugin", "napari.utils._testsupport"]
else:
    collect_ignore = ["viewer"]


def _is_required(what: str) -> bool:
    return os.environ.get(f"RESONANCE_REQUIRE_{what}") == "1"


def pytest_configure() -> None:
    """Refuse to start where the viewer tests must run and cannot."""
    if _NO_DISPLAY is not None and _is_required("DISPLAY"):
        raise pytest.UsageError(
            f"RESONANCE_REQUIRE_DISPLAY=1, but there is no display: {_NO_DISPLAY}"
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xvfb_disable() -> bool:
    """Start no virtual display where no test will use it."""
    return _NO_DISPLAY is not None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say once why the viewer tests were left out."""
    if _NO_DISPLAY is not None:
        terminalreporter.write_line(f"tests/viewer left out: {_NO_DISPLAY}")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path,
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Leave them out too where the command line names their folder."""
    found = yield
    return [] if _NO_DISPLAY is not None and VIEWER in file_path.parents else found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skipped viewer test fail where the viewer tests must run."""
    report = yield
    return _refuse_skip(report, item.path)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a viewer test file that skips itself as a whole."""
    report = yield
    return _refuse_skip(report, getattr(collector, "path", TESTS))


def _refuse_skip(report: Any, path: Path) -> Any:
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and _is_required("DISPLAY") and VIEWER in path.parents:
        report.outcome = "failed"
        report.longrepr = f"skipped, but RESONANCE_REQUIRE_DISPLAY=1: {report.longrepr}"
    return report


@pytest.fixture(scope="module")
def one_thread() -> Generator[None]:
    """Let networks of a few channels not wait for other processes' cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the reference scans, which are never part of the repository."""
    folder = TESTS.parent.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    reason = "the reference scans are not at ../shared/data beside the checkout"
    if _is_required("SHARED"):
        pytest.fail(f"RESONANCE_REQUIRE_SHARED=1, but {reason}")
    pytest.skip(reason)
