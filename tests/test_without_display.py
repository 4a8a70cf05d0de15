"""The test suite itself, on machines that cannot show a window."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEFT_OUT = "tests/viewer left out: "


def run_pytest(
    environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Collect a few tests in a process that sees no display and no X server."""
    kept = ("DISPLAY", "WAYLAND_DISPLAY", "RESONANCE_REQUIRE_DISPLAY")
    plain = {k: v for k, v in os.environ.items() if k not in kept}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def no_programs(tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(tmp_path)}


@pytest.fixture
def broken_qt(tmp_path: Path) -> dict[str, str]:
    """A Qt whose system libraries are missing, as on a freshly installed server."""
    for binding in ("PyQt6", "PySide6"):
        folder = tmp_path / binding
        folder.mkdir()
        missing = "libEGL.so.1: cannot open shared object file"
        (folder / "__init__.py").write_text("")
        for module in ("QtCore", "QtGui", "QtTest", "QtWidgets"):
            code = f"raise ImportError({missing!r})\n"
            (folder / f"{module}.py").write_text(code)
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs no display")
@pytest.mark.parametrize("argument", ["tests/test_errors.py", "tests/viewer"])
def test_viewer_tests_are_left_out_with_one_reason(
    no_programs: dict[str, str], argument: str
) -> None:
    run = run_pytest(no_programs, argument)
    assert run.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert run.stdout.count(LEFT_OUT) == 1
    assert "tests/viewer/" not in run.stdout


def test_missing_qt_libraries_do_not_end_the_run(broken_qt: dict[str, str]) -> None:
    folders = [path for path in (ROOT / "tests").iterdir() if path.is_dir()]
    others = [f"--ignore={path}" for path in folders if path.name != "viewer"]
    run = run_pytest(broken_qt, "tests", *others)
    assert run.returncode == pytest.ExitCode.OK, run.stdout + run.stderr
    assert run.stdout.count(LEFT_OUT) == 1
    assert "tests/viewer/" not in run.stdout
    assert "libEGL.so.1" in run.stdout


def test_a_required_display_is_an_error(broken_qt: dict[str, str]) -> None:
    required = broken_qt | {"RESONANCE_REQUIRE_DISPLAY": "1"}
    run = run_pytest(required, "tests/test_errors.py")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "RESONANCE_REQUIRE_DISPLAY=1" in run.stderr
