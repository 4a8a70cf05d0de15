"""The layer of a map, by any method, peaks where the bright voxel is."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bundles import spot_bundle
from support.placed import (
    NETWORK_SHAPE,
    PHANTOMS,
    limit,
    placed_phantom,
    steps_apart,
    strongest_mm,
)

from napari_resonance.classifier.predict import load_classifier
from napari_resonance.saliency.explain import ExplainOptions, explain
from napari_resonance.saliency.methods import METHODS
from napari_resonance.viewer.layers import saliency_layer
from napari_resonance.viewer.records import KEY


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_layer_peaks_where_the_bright_voxel_is(tmp_path: Path, dimensions: int):
    finder = load_classifier(
        spot_bundle(tmp_path / "b", dimensions=dimensions, shape=NETWORK_SHAPE)
    )
    for name in PHANTOMS:
        scan, mm = placed_phantom(name)
        for method in METHODS:
            window = 6.0 if METHODS[method].takes_window else None
            options = ExplainOptions(method, target="spot", window_mm=window)
            found = explain(finder, scan, options)
            data, settings, _ = saliency_layer(scan, found.prediction)
            there = strongest_mm(data, settings["metadata"][KEY].affine)
            network = found.case.network_input.grid.affine
            grid, most = limit(found.saliency, network)
            # A sheared map is shown resampled onto right angles.
            spare = 0.5 if name == "sheared" else 1e-6
            assert steps_apart(grid, there, mm) <= most + spare, (name, method)


@pytest.mark.parametrize("sign", ["for", "against", "both"])
def test_the_limits_of_the_layer_follow_the_sign(tmp_path: Path, sign: str):
    finder = load_classifier(spot_bundle(tmp_path / "b", shape=NETWORK_SHAPE))
    scan, _ = placed_phantom("oblique")
    options = ExplainOptions(target="nothing", sign=sign)
    _, settings, _ = saliency_layer(scan, explain(finder, scan, options).prediction)
    low, high = settings["contrast_limits"]
    span = settings["metadata"][KEY].value_range
    assert span == ((-high, high) if sign == "both" else (0.0, high))
    assert low == (-high if sign == "both" else pytest.approx(high / 2))
