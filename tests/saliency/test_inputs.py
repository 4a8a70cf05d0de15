"""Maps of inputs of several channels: colours, and scans on grids of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.bundles import spot_bundle
from support.phantoms import BRIGHT, NAMES, phantom, phantom_affine
from support.placed import NETWORK_SHAPE, limit, steps_apart

from napari_resonance.classifier.predict import Classifier, load_classifier
from napari_resonance.geometry import to_world
from napari_resonance.preprocessing import NetworkInput
from napari_resonance.saliency.explain import ExplainOptions, explain, map_again
from napari_resonance.saliency.methods import METHODS
from napari_resonance.scan import Scan

GREEN = 1


@pytest.fixture(scope="module", params=[2, 3])
def greens(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Classifier:
    """What finds a spot that is bright in green."""
    folder = tmp_path_factory.mktemp("greens") / "bundle"
    dimensions = request.param
    bundle = spot_bundle(
        folder, dimensions=dimensions, shape=NETWORK_SHAPE, color=True, seen=GREEN
    )
    return load_classifier(bundle)


def spotted(name: str, channel: int) -> tuple[Scan, np.ndarray]:
    """Return a colour scan with a spot in one channel, and its place in mm."""
    grey, mm = phantom(name)
    random = np.random.default_rng(0)
    voxels = random.integers(0, 20, (*grey.grid_shape, 3)).astype(np.uint8)
    voxels[(*BRIGHT, channel)] = 255
    return Scan(voxels, grey.affine, color=True), mm


def options_of(method: str) -> ExplainOptions:
    window = 6.0 if METHODS[method].takes_window else None
    return ExplainOptions(method, target="spot", window_mm=window)


@pytest.mark.parametrize("name", NAMES)
def test_the_peak_is_where_the_colour_is(greens: Classifier, name: str):
    scan, mm = spotted(name, GREEN)
    for method in METHODS:
        found = explain(greens, scan, options_of(method))
        grid, most = limit(found.saliency, found.case.network_input.grid.affine)
        assert steps_apart(grid, found.saliency.peak_mm, mm) <= most, method
        assert found.saliency.values.max() > 0, method


@pytest.mark.parametrize("method", METHODS)
def test_another_colour_is_no_evidence(greens: Classifier, method: str):
    strongest = {}
    for channel in (0, GREEN):
        scan, _ = spotted("oblique", channel)
        found = explain(greens, scan, options_of(method))
        strongest[channel] = float(np.abs(found.saliency.values).max())
    assert strongest[0] <= 1e-3 * strongest[GREEN]


@pytest.mark.parametrize("name", NAMES)
def test_evidence_of_a_second_scan_lies_where_its_own_millimetres_say(
    tmp_path_factory: pytest.TempPathFactory, name: str
):
    """T2w is oblique, finer and shifted; T1w, whose grid is used, shows nothing."""
    folder = tmp_path_factory.mktemp("second") / "bundle"
    names = ("T1w", "T2w")
    classifier = load_classifier(
        spot_bundle(folder, shape=NETWORK_SHAPE, channels=names, seen=1)
    )
    first, mm = phantom(name)
    random = np.random.default_rng(0)
    first = replace(first, voxels=random.normal(50, 5, first.shape).astype(np.float32))
    affine = phantom_affine("oblique")
    affine[:3, :3] *= 0.8
    affine[:3, 3] += mm - to_world(affine, (20, 20, 18))
    index = np.moveaxis(np.indices((42, 41, 37)), 0, -1)
    away = to_world(affine, index) - mm
    spot = 500 * np.exp(-(away**2).sum(axis=-1) / (2 * 1.5**2))
    second = Scan(spot.astype(np.float32), affine)
    for method in METHODS:
        found = explain(classifier, [first, second], options_of(method))
        grid, most = limit(found.saliency, found.case.network_input.grid.affine)
        # It is interpolated twice.
        assert steps_apart(grid, found.saliency.peak_mm, mm) <= most + 0.5, method


def test_the_noise_of_a_channel_is_in_proportion_to_its_own_range(greens: Classifier):
    """SmoothGrad: what another channel reaches up to is nothing to this one."""
    scan, _ = spotted("oblique", GREEN)
    found = explain(greens, scan, options_of("smoothgrad"))
    seen = found.case.network_input
    array = seen.array.copy()
    array[:, 2] *= 1000  # blue, which the network does not look at
    other = map_again(greens, found, NetworkInput(array, seen.grid))
    np.testing.assert_allclose(
        other.values, found.saliency.values, rtol=1e-4, atol=1e-5
    )
