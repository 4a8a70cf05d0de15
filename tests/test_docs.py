"""What the documentation tells people to type does what it says."""

import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text("utf-8"))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=name)
def test_python_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for code in blocks(page):
        exec(compile(code, name(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page: Path) -> None:
    targets = LINK.findall(page.read_text("utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_readme_is_short_and_has_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 120
    assert 'python -m pip install -e ".[gui]" && resonance demo' in lines
    assert 'python -m pip install -e ".[gui,test]" && pytest' in lines
    assert sum("img.shields.io" in line for line in lines) <= 5


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("demo",),
        ("inspect",),
        ("classify",),
        ("finetune",),
        ("models",),
        ("view",),
    ],
)
def test_the_installed_command_helps(arguments: tuple[str, ...]) -> None:
    import subprocess

    command = shutil.which("resonance", path=str(Path(sys.executable).parent))
    assert command is not None
    run = subprocess.run(
        [command, *arguments, "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert "Usage" in run.stdout
