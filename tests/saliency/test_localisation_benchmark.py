"""The benchmark with planted lesions scores no map of a classifier that knows nothing.

Nothing is planted or trained here: what it is told of the classifier is made up.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def localisation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if not BENCHMARKS.is_dir():
        pytest.skip("the benchmarks are not here")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return pytest.importorskip("localisation")


@pytest.mark.parametrize(
    ("area", "learnt"),
    [(0.5, False), (0.7499, False), (0.75, True), (1.0, True), (float("nan"), False)],
)
def test_a_test_auc_of_three_quarters_is_asked(localisation, area, learnt):
    assert localisation.has_learnt(area) is learnt


@pytest.mark.parametrize(("area", "rows"), [(0.74, 0), (0.76, 1)])
def test_no_map_of_a_classifier_that_has_learnt_nothing_is_scored(
    localisation, monkeypatch, capsys, tmp_path, area, rows
):
    case = SimpleNamespace(side="test", mask=SimpleNamespace(share=0.03))
    scored: list[tuple[str, str | None]] = []

    def score(classifier: object, asked: object, *method: str | None) -> str:
        scored.append(method)
        return ""

    (tmp_path / "model").mkdir()
    for name, value in {
        "planted": lambda *_: [case],
        "load_classifier": lambda _: None,
        "_judged": lambda *_: (area, {"validation": [], "test": [case]}),
        "_scored": score,
        "ASKED": [("gradcam", None)],
    }.items():
        monkeypatch.setattr(localisation, name, value)
    options = argparse.Namespace(
        scans=tmp_path, maps=1, methods=["gradcam"], train=None
    )
    localisation._one("3D", localisation.TRAININGS["3D"], options, tmp_path)
    assert len(scored) == rows
    assert ("its maps are not scored" in capsys.readouterr().out) is (rows == 0)
