"""Definitions of networks that somebody wrote by hand, or to do harm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from napari_resonance.classifier.arguments import check_arguments
from napari_resonance.classifier.definition import (
    ENSEMBLE,
    TARGET,
    checked_definition,
    part_shapes,
    resnet_definition,
    total_stride,
)
from napari_resonance.classifier.network import build_network
from napari_resonance.errors import ModelError

NARROW = (4, 4, 8, 8)
NAMES = (
    *("block", "layers", "block_inplanes", "spatial_dims", "n_input_channels"),
    *("num_classes", "conv1_t_size", "conv1_t_stride", "no_max_pool", "shortcut_type"),
    *("widen_factor", "feed_forward", "bias_downsample", "act", "norm", "dilations"),
    *("mirror_axis", "head_hidden", "head_act", "members", "_target_", "pretrained"),
)
WORDS = ("A", "B", "basic", "bottleneck", "relu", "gelu", "prelu", "batch", "group", "")
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.sampled_from(
        [0.5, 1.0, 2.0, -1.5, float("nan"), float("inf"), 10**12, -(10**9)]
    ),
    st.sampled_from([*WORDS, "$import os", "@x", TARGET, ENSEMBLE]),
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["inplace", "alpha", "_target_"]), inner),
    ),
    max_leaves=5,
)


few = st.integers(1, 3)
# What networks of that kind may well have, by argument.
LIKELY = {
    "block": st.sampled_from(["basic", "bottleneck"]),
    "layers": st.lists(few, min_size=4, max_size=4),
    "block_inplanes": st.lists(few, min_size=4, max_size=4),
    "n_input_channels": few,
    "num_classes": few,
    "conv1_t_size": st.sampled_from([1, 3, 7, [3, 7], [5, 1]]),
    "conv1_t_stride": st.sampled_from([1, 2, 3, [1, 2]]),
    "no_max_pool": st.booleans(),
    "shortcut_type": st.sampled_from(["A", "B"]),
    "bias_downsample": st.booleans(),
    "widen_factor": st.sampled_from([1, 1.5, 2.0]),
    "act": st.sampled_from(["relu", ["leakyrelu", {"negative_slope": 0.2}]]),
    "norm": st.sampled_from(["batch", ["batch", {"eps": 1e-4}]]),
    "dilations": st.none() | st.lists(few, min_size=4, max_size=4),
    "mirror_axis": st.sampled_from([None, 0, [1, 0], []]),
    "head_hidden": st.none() | few | st.lists(few, min_size=1, max_size=3),
    "head_act": st.sampled_from(["gelu", ["leakyrelu", {"negative_slope": 0.2}]]),
}


def definition(**changes: Any) -> dict[str, Any]:
    return resnet_definition(10, dimensions=2, n_labels=3, widths=NARROW) | changes


def run(wanted: dict[str, Any]) -> None:
    """Do all that is done with a definition that is not refused."""
    arguments = checked_definition(wanted)
    dimensions = arguments.get("spatial_dims", 3)
    network = build_network(wanted).eval()
    shape = [9] * dimensions
    image = torch.zeros(1, arguments.get("n_input_channels", 3), *shape)
    with torch.no_grad():
        logits, features = network.logits_and_features(image)
    assert logits.shape == (1, arguments.get("num_classes", 400))
    assert len(part_shapes(wanted)) == 1 + sum(arguments["layers"])
    cells = [-(-n // s) for n, s in zip(shape, total_stride(wanted), strict=True)]
    if all(n % 2 for n in _kernel(arguments, dimensions)):  # even ones add a cell
        assert list(features.shape[2:]) == cells


def _kernel(arguments: dict[str, Any], dimensions: int) -> list[int]:
    size = arguments.get("conv1_t_size", 7)
    return [size] * dimensions if isinstance(size, int) else size


FUZZ = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@settings(max_examples=60, **FUZZ)
@given(st.fixed_dictionaries({}, optional=LIKELY))
def test_what_networks_have_is_not_refused(changes: dict[str, Any]) -> None:
    widths = changes.get("block_inplanes", NARROW)
    if changes.get("shortcut_type") == "A" and sorted(widths) != list(widths):
        with pytest.raises(ModelError, match="shortcut A cannot"):
            run(definition(**changes))
    else:
        run(definition(**changes))


@settings(max_examples=200, **FUZZ)
@given(
    st.fixed_dictionaries({}, optional=LIKELY),
    st.dictionaries(st.sampled_from(NAMES), values, min_size=1, max_size=2),
)
@example({}, {"mirror_axis": True})
@example({}, {"mirror_axis": [0, 0]})
@example({}, {"conv1_t_stride": 0})
@example({}, {"conv1_t_stride": [1, 2, 2]})
@example({}, {"conv1_t_size": [3]})
@example({}, {"block_inplanes": [10**5] * 4})
@example({}, {"widen_factor": 0.1})
@example({}, {"spatial_dims": 2.0})
@example({}, {"norm": ["group", {"inplace": []}]})
@example({}, {"act": [[]]})
def test_a_wrong_value_ends_in_an_error_with_a_sentence(
    likely: dict[str, Any], wrong: dict[str, Any]
) -> None:
    """Either it is refused by its name, or the network works."""
    try:
        run(definition(**likely, **{k: v for k, v in wrong.items() if k not in likely}))
    except ModelError as error:
        told = str(error)
    else:
        told = "it works"
    assert 0 < len(told) < 1000


@pytest.mark.parametrize("key", ["block", "layers", "block_inplanes"])
def test_what_is_missing_is_named(key: str) -> None:
    wanted = definition()
    del wanted[key]
    with pytest.raises(ModelError, match=f"has no '{key}'"):
        checked_definition(wanted)


def test_monais_class_has_no_arguments_of_ours() -> None:
    wanted = definition(_target_="monai.networks.nets.ResNet", dilations=[1, 1, 2, 4])
    with pytest.raises(ModelError, match="no argument 'dilations'"):
        checked_definition(wanted)


def test_what_is_nested_without_end_is_refused() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ModelError, match="'act' is an expression"):
        check_arguments({"act": deep}, own=True)
