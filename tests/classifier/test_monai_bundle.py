"""MONAI runs the bundle by itself, and comes to the same probabilities."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import tiny_bundle, tiny_card, tiny_definition
from support.labelled import colored, save_color
from support.monai_run import run_monai
from support.phantoms import phantom, write_dicom_series, write_nifti

from napari_resonance.classifier.bundle import INFERENCE, save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.network import build_network
from napari_resonance.classifier.place import METADATA
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.preprocessing import Recipe
from napari_resonance.reading import read_scan

pytest.importorskip("fire", reason="needs the extra [monai]")
pytest.importorskip("ignite", reason="needs the extra [monai]")


def _run_monai(bundle: Path, scan: Path, folder: Path, *more: str) -> list[float]:
    return run_monai(bundle, str(scan), folder, *more)


def _our_probabilities(bundle: Path, scan: Path) -> list[float]:
    prediction = load_classifier(bundle, "cpu").classify(read_scan(scan))
    return list(prediction.probabilities.values())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_monai_finds_the_same_probabilities(saved, saved_flat, tmp_path, dimensions):
    bundle = saved if dimensions == 3 else saved_flat
    scan = write_nifti(phantom("oblique")[0], tmp_path / "scan.nii.gz")
    theirs = _run_monai(bundle, scan, tmp_path)
    assert np.ptp(theirs) > 0.05
    assert theirs == pytest.approx(_our_probabilities(bundle, scan), abs=1e-4)


def test_monai_takes_a_dicom_folder(saved, tmp_path):
    scan = write_dicom_series(phantom("oblique")[0], tmp_path / "series")
    theirs = _run_monai(saved, scan, tmp_path)
    assert theirs == pytest.approx(_our_probabilities(saved, scan), abs=1e-4)


def test_monai_sees_the_colours_too(tmp_path):
    bundle = tiny_bundle(tmp_path / "colour", dimensions=2, color=True)
    scan = save_color(colored("red", 0), tmp_path / "scan.nii.gz")
    theirs = _run_monai(bundle, scan, tmp_path)
    assert theirs == pytest.approx(_our_probabilities(bundle, scan), abs=1e-4)
    other = save_color(colored("green", 0), tmp_path / "other.nii.gz")
    assert _our_probabilities(bundle, other) != pytest.approx(theirs, abs=1e-3)


STOCK = {
    "dimensions": 3,
    "steps": [
        {"step": "orient", "code": "RAS"},
        {"step": "crop_or_pad", "shape": [33, 33, 25]},
        {"step": "ct_window", "low": 0, "high": 100},
    ],
}


def test_stock_transforms_need_no_code_of_ours(tmp_path):
    import torch

    torch.manual_seed(3)
    definition = {**tiny_definition(3, 2), "_target_": "monai.networks.nets.ResNet"}
    recipe = Recipe.from_json(STOCK)
    bundle = tmp_path / "stock"
    save_bundle(
        bundle,
        network=build_network(definition),
        network_def=definition,
        recipe=recipe,
        calibration=Calibration(0.7),
        card=tiny_card(("a", "b")),
    )
    assert "napari_resonance" not in (bundle / INFERENCE).read_text()
    scan = write_nifti(phantom("flipped")[0], tmp_path / "scan.nii.gz")
    theirs = _run_monai(bundle, scan, tmp_path)
    assert theirs == pytest.approx(_our_probabilities(bundle, scan), abs=1e-4)


CHECK = """
import sys
from monai.bundle import ConfigWorkflow
for bundle in sys.argv[1:]:
    workflow = ConfigWorkflow(
        config_file=f"{bundle}/configs/inference.json",
        workflow_type="infer",
        weights_file=f"{bundle}/models/model.safetensors",
    )
    workflow.initialize()
    print("missing", workflow.check_properties())
    print("version", workflow.version, workflow.channel_def)
    print("network", type(workflow.network_def).__name__)
"""


def test_monai_misses_no_property(saved, saved_flat):
    command = [sys.executable, "-c", CHECK, str(saved), str(saved_flat)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if "WARNING" not in line]
    expected = [
        "missing []",
        "version 0.1.0 {'0': 'a', '1': 'b', '2': 'c'}",
        "network ResNet",
    ]
    assert lines == expected * 2


def test_the_metadata_say_what_goes_in_and_out(saved, saved_flat):
    shapes = {3: [33, 33, 33], 2: [33, 33]}
    for dimensions, bundle in ((3, saved), (2, saved_flat)):
        metadata: dict[str, Any] = json.loads((bundle / METADATA).read_text())
        formats = metadata["network_data_format"]
        assert formats["inputs"]["image"]["spatial_shape"] == shapes[dimensions]
        assert formats["inputs"]["image"]["num_channels"] == 1
        assert formats["outputs"]["pred"]["num_channels"] == 3
        for key in ("monai_version", "pytorch_version", "numpy_version"):
            assert metadata[key][0].isdigit()


def test_a_shape_that_the_scan_decides_is_a_star():
    from napari_resonance.classifier.summary import input_size

    steps = [
        {"step": "crop_or_pad", "shape": [32, 40, None]},
        {"step": "percentile"},
    ]
    assert input_size(Recipe(3, ())) == ["*", "*", "*"]
    flat = Recipe.from_json({"dimensions": 2, "steps": steps})
    assert input_size(flat) == [40, 32]
    spaced = [*steps, {"step": "resample_spacing", "spacing": [1, 1, None]}]
    volume = Recipe.from_json({"dimensions": 3, "steps": spaced})
    assert input_size(volume) == ["*", "*", "*"]
