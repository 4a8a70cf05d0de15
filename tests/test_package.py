"""The package as installed: what it loads, ships and depends on."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "napari_resonance"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

HEAVY = {"torch", "monai", "sklearn", "pandas", "napari", "qtpy", "PyQt6", "PySide6"}


def python(code: str, *paths: Path, cwd: Path = ROOT) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    child = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


# --- what is loaded ------------------------------------------------------------------

USES = {
    "import": "import napari_resonance; dir(napari_resonance)",
    "errors": "from napari_resonance import ResonanceError, Scan, Prediction",
    "help": """
from napari_resonance.cli import main
sys.argv = ["resonance", "--help"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
""",
    "manifest": """
from npe2 import PluginManager, PluginManifest
PluginManifest.from_distribution("napari-resonance")
manager = PluginManager()
manager.discover()
assert "napari-resonance" in manager
""",
    "read": """
from napari_resonance import read_scans, sample_path
assert read_scans(sample_path())
""",
}


@pytest.mark.parametrize("use", USES)
def test_light_uses_load_nothing_heavy(use: str) -> None:
    code = f"import json, sys\n{USES[use]}\nprint()\nprint(json.dumps([*sys.modules]))"
    loaded = {
        name.partition(".")[0] for name in json.loads(python(code).split("\n")[-2])
    }
    assert not loaded & HEAVY


def test_every_public_name_can_be_imported() -> None:
    code = """
import napari_resonance as package
for name in package.__all__:
    assert getattr(package, name).__doc__, name
assert set(package.__all__) <= set(dir(package))
"""
    python(code)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    import napari_resonance

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        napari_resonance.nothing  # noqa: B018 - the access is what raises


# --- wheel and editable install ------------------------------------------------------


@pytest.fixture(scope="module")
def wheel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder into which the wheel, built from the sdist, has been installed."""
    built = tmp_path_factory.mktemp("built")
    _run("build", "--no-isolation", "--outdir", str(built), str(ROOT))
    (wheel,) = built.glob("*.whl")
    (sdist,) = built.glob("*.tar.gz")
    assert wheel.stat().st_size < 30e6
    assert sdist.stat().st_size < 30e6
    target = tmp_path_factory.mktemp("installed")
    _run(
        "pip", "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)
    )
    return target


def _run(*command: str) -> None:
    child = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert child.returncode == 0, child.stdout + child.stderr


FIND_SAMPLES = """
import napari_resonance
from napari_resonance import sample_path
folder = sample_path()
assert (folder / "SOURCES.md").is_file(), folder
for name in ("icbm-t1", "oblique-pd", "ct"):
    assert sample_path(name).exists(), name
print(napari_resonance.__file__)
print(folder)
"""


def test_editable_install_finds_the_samples() -> None:
    package, samples = python(FIND_SAMPLES).splitlines()
    if Path(package) != SOURCE / "__init__.py":
        pytest.skip("the package is not installed editable from this checkout")
    assert Path(samples) == ROOT / "sample_data"


def test_wheel_finds_the_samples(wheel_folder: Path) -> None:
    package, samples = python(FIND_SAMPLES, wheel_folder, cwd=wheel_folder).splitlines()
    assert Path(package) == wheel_folder / "napari_resonance" / "__init__.py"
    assert Path(samples) == wheel_folder / "napari_resonance" / "sample_data"


def test_wheel_holds_every_file_of_the_package(wheel_folder: Path) -> None:
    ignored = ("__pycache__", ".pyc")
    expected = {
        path.relative_to(SOURCE)
        for path in SOURCE.rglob("*")
        if path.is_file() and not any(part in str(path) for part in ignored)
    }
    installed = wheel_folder / "napari_resonance"
    assert expected
    assert {path for path in expected if not (installed / path).is_file()} == set()


def test_wheel_lists_its_models(wheel_folder: Path) -> None:
    code = """
from napari_resonance import list_models
print(*[bundle.card.name for bundle in list_models()])
print(*[bundle.path for bundle in list_models()])
"""
    names, paths = python(code, wheel_folder, cwd=wheel_folder).splitlines()
    assert "mr-sequence" in names.split()
    assert str(wheel_folder) in paths


def test_npe2_validates_the_manifest_of_the_wheel(wheel_folder: Path) -> None:
    code = """
from npe2 import PluginManifest
manifest = PluginManifest.from_distribution("napari-resonance")
assert manifest.name == "napari-resonance"
print(manifest.package_metadata.version)
for command in manifest.contributions.commands:
    print(command.python_name)
"""
    version, *names = python(code, wheel_folder, cwd=wheel_folder).splitlines()
    assert version == PROJECT["version"]
    assert names
    assert [name for name in names if not _is_defined(name, wheel_folder)] == []


def _is_defined(python_name: str, folder: Path) -> bool:
    """Whether ``module:name`` is at the top of its module, without importing it."""
    module, _, name = python_name.partition(":")
    tree = ast.parse((folder / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    return name in {getattr(node, "name", None) for node in tree.body}


def test_the_manifest_at_the_top_is_the_one_in_the_package() -> None:
    top = ROOT / "napari.yaml"
    assert top.read_bytes() == (SOURCE / "napari.yaml").read_bytes()


# --- dependencies --------------------------------------------------------------------

# pydicom finds its pixel decoders by name; nothing of ours imports them.
DECODERS = {
    *("pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "python-gdcm"),
}
MODULES = {"pytorch-lightning": "pytorch_lightning", "scikit-learn": "sklearn"}


def _imported_modules() -> set[str]:
    names = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def _names(requirements: list[str]) -> set[str]:
    return {Requirement(line).name for line in requirements}


def test_each_dependency_is_imported() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = _names(PROJECT["dependencies"] + extras["gui"]) - DECODERS
    imported = _imported_modules()
    unused = {name for name in declared if MODULES.get(name, name) not in imported}
    assert unused == set()


def test_each_import_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    optional = extras["gui"] + extras["monai"] + extras["cluster"]
    declared = _names(PROJECT["dependencies"] + optional)
    modules = {MODULES.get(name, name) for name in declared}
    # gdcm comes with python-gdcm, ignite with pytorch-ignite, dask with napari,
    # distributed with dask[distributed], and the telemetry module is named only to keep
    # it from being loaded.
    modules |= {
        "dask",
        "distributed",
        "gdcm",
        "ignite",
        "napari_resonance",
        "openvino_telemetry",
    }
    foreign = _imported_modules() - set(sys.stdlib_module_names)
    assert foreign - modules - {"__future__", ""} == set()


def test_a_plain_install_pulls_neither_qt_nor_a_gpl_decoder() -> None:
    unwanted = {"napari", "pyqt5", "pyqt6", "pyside6", "pylibjpeg-libjpeg", "pandas"}
    assert _closure("napari-resonance", extras=()) & unwanted == set()


def _closure(name: str, extras: tuple[str, ...]) -> set[str]:
    """Return the names of all packages that installing one brings along."""
    todo, seen = [(name, extras)], set()
    while todo:
        package, wanted = todo.pop()
        if (package, wanted) in seen:
            continue
        seen.add((package, wanted))
        try:
            lines = requires(package) or []
        except PackageNotFoundError:  # for another platform
            continue
        for requirement in map(Requirement, lines):
            marker = requirement.marker
            environments = [{"extra": extra} for extra in ("", *wanted)]
            if marker is None or any(marker.evaluate(e) for e in environments):
                next_one = requirement.name.lower().replace("_", "-")
                todo.append((next_one, tuple(sorted(requirement.extras))))
    return {package for package, _ in seen}


# --- text ----------------------------------------------------------------------------


def test_source_files_stay_small() -> None:
    too_long = {}
    for path in SOURCE.rglob("*.py"):
        limit = 250 if path.stem.endswith("_panel") else 400
        lines = len(path.read_text("utf-8").splitlines())
        if lines > limit:
            too_long[path.relative_to(SOURCE).as_posix()] = lines
    assert too_long == {}


def test_patient_axes_are_turned_in_one_place() -> None:
    pattern = re.compile(r"diag\(\s*[\[(]\s*-1|_TO_(RAS|LPS)\s*=", re.MULTILINE)
    places = [
        (path.relative_to(SOURCE).as_posix(), match)
        for path in SOURCE.rglob("*.py")
        for match in pattern.findall(path.read_text("utf-8"))
    ]
    assert [path for path, _ in places] == ["geometry.py"]


def _project_texts() -> list[Path]:
    folders = (".ci", ".github", "benchmarks", "docs", "sample_data", "src", "tests")
    suffixes = {"", ".cff", ".json", ".md", ".py", ".toml", ".yaml", ".yml"}
    made_by_tools = (".coverage",)
    files = [
        path
        for path in ROOT.glob("*")
        if path.is_file() and not path.name.startswith(made_by_tools)
    ]
    for folder in folders:
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [p for p in files if p.suffix in suffixes and "__pycache__" not in p.parts]


def test_no_text_names_a_path_of_this_machine() -> None:
    places = {f"{ROOT}{os.sep}", f"{Path.home()}{os.sep}"}
    if len(ROOT.parent.parts) > 1:
        places.add(f"{ROOT.parent}{os.sep}")
    if sys.prefix != sys.base_prefix:
        places.add(f"{sys.prefix}{os.sep}")
    found = [
        (path.relative_to(ROOT).as_posix(), place)
        for path in _project_texts()
        for place in places
        if place.encode() in path.read_bytes()
    ]
    assert found == []
