"""A window that is covered: parts of a network run around it as the whole one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import tiny_bundle
from support.phantoms import phantom

from napari_resonance.classifier.engines import TorchEngine
from napari_resonance.classifier.predict import Classifier, load_classifier
from napari_resonance.classifier.stages import Steps
from napari_resonance.progress import never, no_progress
from napari_resonance.saliency import covering
from napari_resonance.saliency.covering import Covering
from napari_resonance.saliency.explain import ExplainOptions, explain
from napari_resonance.saliency.question import Question

SCAN = phantom("oblique")[0]
WINDOW = 6
NETWORKS: dict[str, dict[str, Any]] = {
    "3D": {},
    "2D": {"dimensions": 2},
    "members": {"members": 2},
    "mirrored": {"network": {"mirror_axis": [0, 2]}},
    "hidden head": {"members": 2, "network": {"head_hidden": 12}},
    "dilated": {"network": {"dilations": [1, 1, 2, 4]}},
    "shortcut A": {"network": {"shortcut_type": "A"}},
    "pooled bottlenecks": {
        "dimensions": 2,
        "network": {
            "no_max_pool": False,
            "conv1_t_stride": 2,
            "conv1_t_size": 7,
            "block": "bottleneck",
            "layers": [2, 1, 2, 1],
        },
    },
    "a stride for each axis": {
        "network": {"conv1_t_stride": [1, 2, 2], "conv1_t_size": [3, 5, 7]}
    },
}


def _asked(folder: Path, settings: dict[str, Any], engine: str) -> Question:
    classifier = load_classifier(tiny_bundle(folder, **settings), "cpu")
    if engine == "torch":
        classifier._engine = TorchEngine(classifier.bundle, "cpu")
    explained = explain(classifier, SCAN, ExplainOptions(target="a"))
    assert classifier.device.startswith(engine)
    return explained.question(classifier, Steps(1, no_progress, never))


def _windows(question: Question) -> tuple[list[int], list[tuple[slice, ...]]]:
    """Return windows all over the images, those cut by each border among them."""
    rng = np.random.default_rng(0)
    rows, windows = [], []
    for _ in range(48):
        rows.append(int(rng.integers(len(question.array))))
        sizes = question.array.shape[2:]
        first = [int(rng.integers(1 - WINDOW, n)) for n in sizes]
        windows.append(
            tuple(
                slice(max(a, 0), min(n, a + WINDOW))
                for a, n in zip(first, sizes, strict=True)
            )
        )
    return rows, windows


@pytest.mark.parametrize("engine", ["openvino", "torch"])
@pytest.mark.parametrize("name", NETWORKS)
def test_parts_around_a_window_do_what_the_whole_network_does(
    tmp_path: Path, monkeypatch, name: str, engine: str
):
    question = _asked(tmp_path / "b", NETWORKS[name], engine)
    # So small an image would be run whole from the first block on.
    monkeypatch.setattr(covering, "_WORTH", np.inf)
    windows = _windows(question)
    sizes = [WINDOW] * (question.array.ndim - 2)
    chains = question.classifier.chains
    assert len(chains) == NETWORKS[name].get("members", 1)
    in_parts = Covering(question, sizes).changes(*windows)
    question.classifier.__dict__["chains"] = []
    whole = Covering(question, sizes).changes(*windows)
    assert np.abs(whole).max() > 0
    np.testing.assert_allclose(in_parts, whole, atol=5e-4 * np.abs(whole).max())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_whole_map_is_the_same_either_way(tmp_path: Path, dimensions: int):
    classifier = load_classifier(tiny_bundle(tmp_path / "b", dimensions=dimensions))
    options = ExplainOptions("occlusion", target="a", window_mm=24.0)
    in_parts = explain(classifier, SCAN, options).saliency.values
    assert classifier.chains
    classifier.__dict__["chains"] = []
    whole = explain(classifier, SCAN, options).saliency.values
    np.testing.assert_allclose(in_parts, whole, atol=5e-4 * np.abs(whole).max())


def test_the_embedded_model_can_be_taken_apart():
    classifier: Classifier = load_classifier("mr-sequence", "cpu")
    classifier.run(np.zeros((1, 1, 49, 57, 34), np.float32))
    assert len(classifier.chains) == 1


def test_a_window_beyond_the_image_is_not_looked_at(tmp_path: Path, monkeypatch):
    seen: list[tuple[slice, ...]] = []
    plain = Covering.changes

    def changes(self, rows, windows):
        seen.extend(windows)
        return plain(self, rows, windows)

    monkeypatch.setattr(Covering, "changes", changes)
    classifier = load_classifier(tiny_bundle(tmp_path / "b"))
    explain(classifier, SCAN, ExplainOptions("occlusion", window_mm=24.0))
    assert seen
    assert all(part.start < part.stop for window in seen for part in window)
