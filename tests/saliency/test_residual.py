"""The residual lens: exact against brute force, for every kind of block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.bundles import tiny_bundle
from support.phantoms import phantom

from napari_resonance.classifier.engines import load_network
from napari_resonance.classifier.predict import Classifier, load_classifier
from napari_resonance.errors import CancelledError
from napari_resonance.saliency.explain import Explanation, explain
from napari_resonance.saliency.question import ExplainOptions
from napari_resonance.saliency.residual import branches, residual_lens

Asked = tuple[Classifier, Explanation]

SCAN = phantom("oblique")[0]
KINDS: dict[str, dict[str, Any]] = {
    "basic 3D": {},
    "basic 2D": {"dimensions": 2},
    "bottleneck": {"block": "bottleneck", "layers": [1, 2, 1, 1]},
    "shortcut A": {"shortcut_type": "A"},
    "dilated": {"dilations": [1, 1, 2, 4]},
    "mirrored": {"mirror_axis": 0},
    "hidden head": {"head_hidden": 12},
    "hidden head 2D, mirrored": {"dimensions": 2, "head_hidden": 12, "mirror_axis": 1},
}


@pytest.fixture(params=KINDS)
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Asked:
    kind = dict(KINDS[request.param])
    dimensions = kind.pop("dimensions", 3)
    folder = tiny_bundle(tmp_path / "b", dimensions=dimensions, network=kind)
    classifier = load_classifier(folder)
    return classifier, explain(classifier, SCAN, ExplainOptions(target="b"))


def _score(network: torch.nn.Module, explained: Explanation) -> float:
    with torch.inference_mode():
        logits = network(torch.from_numpy(explained.case.network_input.array)).numpy()
    return float((logits @ explained.score).mean())


def test_each_block_is_replaced_by_its_shortcut_alone(
    asked: Asked,
):
    lens = residual_lens(*asked)
    bundle = asked[0].bundle
    whole = _score(load_network(bundle), asked[1])
    assert lens.score == pytest.approx(whole, abs=1e-4)
    for row in lens.blocks:
        network = load_network(bundle)
        block = network.get_submodule(row.name)
        block.forward = lambda x, b=block: b.act(branches(b, x)[1].clone())
        without = _score(network, asked[1])
        assert row.change == pytest.approx(whole - without, rel=1e-3, abs=1e-5)
        assert 0 < row.share < 1
        assert row.projection == (block.downsample is not None)


def test_branches_add_up_to_the_block(asked: Asked):
    network = load_network(asked[0].bundle)
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(name: str) -> Any:
        def hook(block: Any, inputs: Any, output: torch.Tensor) -> None:
            seen[name] = (inputs[0].clone(), output.clone())

        return hook

    for name, module in network.named_modules():
        if hasattr(module, "downsample"):
            module.register_forward_hook(keep(name))
    _score(network, asked[1])
    assert len(seen) >= 4
    for name, (x, output) in seen.items():
        block = network.get_submodule(name)
        with torch.inference_mode():
            own, shortcut = branches(block, x)
            torch.testing.assert_close(block.act(own + shortcut), output)


def test_the_maps_of_the_stages_add_up_to_the_changes(
    asked: Asked,
):
    lens = residual_lens(*asked)
    assert list(lens.stages) == ["layer1", "layer2", "layer3", "layer4"]
    for stage, saliency in lens.stages.items():
        total = sum(block.change for block in lens.blocks if block.stage == stage)
        assert saliency.values.sum() == pytest.approx(total, rel=1e-3, abs=1e-5)


def test_the_table_costs_half_a_run_for_each_block(
    asked: Asked,
):
    lens = residual_lens(*asked)
    count = len(lens.blocks)
    network = load_network(asked[0].bundle)
    runs = 0

    def tally(*_: Any) -> None:
        nonlocal runs
        runs += 1

    # What the lens itself runs: the convolutions that end the blocks' own branches.
    loaded, _ = asked[0].torch_network()
    for module in loaded.modules():
        if hasattr(module, "downsample"):
            module.bn2.register_forward_hook(tally)
    again = residual_lens(*asked)
    mirrored = 2 if "mirror_axis" in asked[0].bundle.network_def else 1
    parts = -(-len(asked[1].answer.logits) // 16)
    assert network is not loaded
    assert runs / count / mirrored / parts == pytest.approx(again.forwards)
    assert lens.forwards <= count / 2 + 1


def test_it_ends_when_asked_to(tmp_path: Path):
    classifier = load_classifier(tiny_bundle(tmp_path / "b"))
    explained = explain(classifier, SCAN)
    with pytest.raises(CancelledError):
        residual_lens(classifier, explained, should_stop=lambda: True)


def test_each_block_is_replaced_in_all_members_of_an_ensemble(tmp_path: Path):
    folder = tiny_bundle(tmp_path / "b", members=2, network={"mirror_axis": [0, 1]})
    classifier = load_classifier(folder)
    explained = explain(classifier, SCAN, ExplainOptions(target="b"))
    lens = residual_lens(classifier, explained)
    whole = _score(load_network(classifier.bundle), explained)
    row = lens.blocks[1]
    network = load_network(classifier.bundle)
    for number in range(2):
        block = network.get_submodule(f"members.{number}.{row.name}")
        block.forward = lambda x, b=block: b.act(branches(b, x)[1].clone())
    without = _score(network, explained)
    assert row.change == pytest.approx(whole - without, rel=1e-3, abs=1e-5)
