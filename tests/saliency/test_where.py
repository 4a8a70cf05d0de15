"""Every method puts the peak where the bright voxel is, by every way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.bundles import spot_bundle
from support.placed import (
    NETWORK_SHAPE,
    PHANTOMS,
    limit,
    placed_phantom,
    read_back,
    steps_apart,
    strongest_mm,
)

from napari_resonance.classifier.predict import Classifier, load_classifier
from napari_resonance.export.nifti import write_saliency
from napari_resonance.export.planes import planes_through, sample_saliency
from napari_resonance.geometry import reorient, to_world
from napari_resonance.reading import read_scan
from napari_resonance.saliency.explain import ExplainOptions, explain
from napari_resonance.saliency.methods import METHODS
from napari_resonance.samples import sample_path
from napari_resonance.scan import Scan


@pytest.fixture(scope="module", params=[2, 3])
def finder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Classifier:
    folder = tmp_path_factory.mktemp("spot") / "bundle"
    bundle = spot_bundle(folder, dimensions=request.param, shape=NETWORK_SHAPE)
    return load_classifier(bundle)


@pytest.mark.parametrize("name", PHANTOMS)
def test_the_peak_is_where_the_bright_voxel_is(
    finder: Classifier, name: str, tmp_path: Path
):
    scan, mm = placed_phantom(name)
    for method in METHODS:
        window = 6.0 if METHODS[method].takes_window else None
        options = ExplainOptions(method, target="spot", window_mm=window)
        found = explain(finder, scan, options)
        saliency, network = found.saliency, found.case.network_input.grid.affine
        grid, most = limit(saliency, network)
        assert steps_apart(grid, saliency.peak_mm, mm) <= most, method

        path = tmp_path / f"{method}.nii"
        write_saliency(saliency, path)
        if name != "sheared":  # ITK has no shear, and refuses the file
            for reader, there in read_back(path):
                assert steps_apart(grid, there, mm) <= most, (method, reader)

        for plane in planes_through(scan, saliency.peak_mm, 200):
            values, _ = sample_saliency(saliency, plane)
            there = strongest_mm(values.T[..., None], plane.grid.affine)
            assert steps_apart(grid, there, mm) <= most + 0.5, (method, plane.name)


@pytest.mark.parametrize("method", ["gradcam", "gradient-x-input"])
def test_the_order_in_which_a_head_is_stored_changes_nothing(method: str):
    classifier = load_classifier("mr-sequence")
    scan = read_scan(sample_path("icbm-t1"))
    first = explain(classifier, scan, ExplainOptions(method))
    for code in ("PSL", "IRA"):
        voxels, affine = reorient(scan.stored(), scan.affine, code)
        turned = Scan(np.asfortranarray(voxels), affine, modality=scan.modality)
        found = explain(classifier, turned, ExplainOptions(method))
        for label, probability in first.prediction.probabilities.items():
            assert abs(found.prediction.probabilities[label] - probability) <= 0.02
        network = first.case.network_input.grid.affine
        apart = steps_apart(network, found.saliency.peak_mm, first.saliency.peak_mm)
        assert apart <= 0.5
        corner = np.zeros(3)
        moved = steps_apart(
            network,
            to_world(found.saliency.affine, corner),
            to_world(first.saliency.affine, corner),
        )
        assert moved <= 0.5
        alike = np.corrcoef(
            found.saliency.values.ravel(), first.saliency.values.ravel()
        )[0, 1]
        assert alike > 0.99
