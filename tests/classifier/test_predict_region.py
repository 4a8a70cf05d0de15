"""A region, or several scans, classified: at the right place, and the same in MONAI."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.bundles import spot_bundle, tiny_card, tiny_definition
from support.phantoms import NAMES, phantom, write_nifti

from napari_resonance.classifier.bundle import Bundle, load_bundle, save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.network import build_network
from napari_resonance.classifier.predict import Classifier
from napari_resonance.errors import PreprocessingError, UnsuitableScanError
from napari_resonance.geometry import to_world
from napari_resonance.preprocessing import Recipe
from napari_resonance.scan import Scan

ORIENT = {"step": "orient", "code": "RAS"}
BOX = {"step": "box", "size_mm": [30, 30, 30]}
SHAPE = {"step": "resample_shape", "shape": [33, 33, 33]}
CHANNELS = ("T1w", "T2w", "FLAIR")


def made(folder: Path, steps: list, channels: tuple[str, ...] = ()) -> Bundle:
    import torch

    torch.manual_seed(1)
    data = {"dimensions": 3, "steps": steps, "channels": list(channels)}
    recipe = Recipe.from_json(data)
    definition = tiny_definition(3, 2) | {"n_input_channels": recipe.n_channels}
    network = build_network(definition).eval()
    with torch.no_grad():
        network.fc.weight.mul_(20)
    return save_bundle(
        folder,
        network=network,
        network_def=definition,
        recipe=recipe,
        calibration=Calibration(),
        card=tiny_card(("a", "b")),
    )


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    folder = tmp_path_factory.mktemp("region") / "region"
    return made(folder, [ORIENT, BOX, SHAPE, {"step": "zscore"}])


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "several"
    return made(folder, [ORIENT, SHAPE, {"step": "zscore"}], CHANNELS)


@pytest.fixture(scope="module")
def spot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spot") / "spot"
    bundle = load_bundle(spot_bundle(folder))
    steps = [ORIENT, {"step": "box", "size_mm": [22, 26, 24]}]
    steps += [
        {"step": "resample_shape", "shape": [33, 41, 25], "antialias": False},
        {"step": "zscore"},
    ]
    recipe = Recipe.from_json({"dimensions": 3, "steps": steps})
    return Classifier(replace(bundle, recipe=recipe), "cpu")


def spotted(name: str, index: tuple[int, int, int], rest: float = 0) -> Scan:
    scan, _ = phantom(name)
    voxels = np.full(scan.shape, rest, np.float32)
    voxels[index] = 1000
    return replace(scan, voxels=voxels)


@pytest.mark.parametrize("name", NAMES)
def test_the_map_of_a_region_lies_at_the_right_millimetre(spot, name):
    scan = spotted(name, (9, 18, 6))
    mm = to_world(scan.affine, (9, 18, 6))
    # The spot lies off the middle of the region.
    center = to_world(scan.affine, (12, 14, 7))
    prediction = spot.classify(scan, center_mm=tuple(center), saliency="gradcam")
    saliency = prediction.saliency
    assert prediction.label == "spot"
    cell = np.abs(saliency.affine[:3, :3]).sum(axis=1)
    assert (np.abs(np.subtract(saliency.peak_mm, mm)) <= 0.5 * cell + 1.4).all()
    shape, affine = saliency.extent
    middle = to_world(affine, (np.array(shape) - 1) / 2)
    half_voxel = np.abs(scan.affine[:3, :3]).sum(axis=1) / 2
    assert (np.abs(middle - center) <= half_voxel + 1e-6).all()


def test_the_answer_is_that_of_the_region(spot):
    scan = spotted("oblique", (4, 25, 3), rest=1)
    near = spot.classify(scan, center_mm=to_world(scan.affine, (5, 24, 4)))
    assert near.label == "spot"
    # A region without the spot is equal everywhere, though the scan is not.
    with pytest.raises(PreprocessingError, match="the region is blank"):
        spot.classify(scan, center_mm=to_world(scan.affine, (20, 8, 13)))


def test_the_result_says_which_region(region):
    scan, mm = phantom("oblique")
    classifier = Classifier(region, "cpu")
    one = classifier.classify(scan, center_mm=mm)
    document = one.to_json()
    assert document["center_mm"] == pytest.approx(list(mm))
    assert "box_mm" not in document
    assert "channels" not in document
    assert one.recipe_sha256 == region.recipe.sha256
    other = classifier.classify(scan, center_mm=mm, box_mm=(20, 18, 22))
    assert other.to_json()["box_mm"] == [20, 18, 22]
    assert other.recipe_sha256 != one.recipe_sha256
    assert any("size it was trained on" in w for w in other.warnings)
    assert not any("size it was" in w for w in one.warnings)
    same = classifier.classify(scan, center_mm=mm, box_mm=[30, 30, 30])
    assert same.probabilities == one.probabilities
    assert not any("size it was" in w for w in same.warnings)


def test_a_region_that_is_not_told_is_refused(region, several):
    scan, mm = phantom("oblique")
    with pytest.raises(PreprocessingError, match="centre is not given"):
        Classifier(region, "cpu").classify(scan)
    with pytest.raises(PreprocessingError, match="lies outside"):
        Classifier(region, "cpu").classify(scan, center_mm=(900, 0, 0))
    for where in ({"center_mm": mm}, {"box_mm": (9, 9, 9)}):
        with pytest.raises(PreprocessingError, match="no step 'box'"):
            Classifier(several, "cpu").classify([scan] * 3, **where)


def test_channels_are_classified_in_their_order(several):
    scan, _ = phantom("oblique")
    turned = replace(scan, voxels=np.asarray(scan.voxels)[::-1].copy())
    power = replace(scan, voxels=np.asarray(scan.voxels, np.float32) ** 2)
    classifier = Classifier(several, "cpu")
    one = classifier.classify([scan, turned, power], saliency="gradcam")
    other = classifier.classify([scan, power, turned])
    assert one.probabilities != other.probabilities
    again = classifier.classify((scan, turned, power))
    assert again.probabilities == one.probabilities
    assert one.saliency.extent[0] == (33, 33, 33)


def test_a_wrong_number_of_scans_is_a_sentence(several, region):
    scan, mm = phantom("oblique")
    with pytest.raises(PreprocessingError, match="3 scans are needed") as caught:
        Classifier(several, "cpu").classify(scan)
    assert "(T1w, T2w, FLAIR), 1 scan was given" in caught.value.message
    with pytest.raises(PreprocessingError, match="one scan is needed"):
        Classifier(region, "cpu").classify([scan, scan], center_mm=mm)
    with pytest.raises(PreprocessingError, match="0 scans were given"):
        Classifier(region, "cpu").classify([])


def test_every_channel_has_to_be_suitable(several):
    scan, _ = phantom("oblique")
    files = [Path("one.nii"), Path("two.nii")]
    first = replace(scan, sources=(files[0],))
    with pytest.raises(UnsuitableScanError, match="this scan is CT"):
        Classifier(several, "cpu").classify([scan, replace(scan, modality="CT"), scan])
    empty = replace(scan, voxels=np.zeros(scan.shape, np.int16), sources=(files[1],))
    with pytest.raises(PreprocessingError, match="blank") as caught:
        Classifier(several, "cpu").classify([first, scan, empty])
    assert caught.value.source == "two.nii"


def test_a_result_names_its_channels(several):
    scan, _ = phantom("oblique")
    scans = [replace(scan, sources=(Path(f"{n}.nii"),)) for n in CHANNELS]
    document = Classifier(several, "cpu").classify(scans).to_json()
    assert document["source"] == "T1w.nii"
    assert document["channels"] == ["T2w.nii", "FLAIR.nii"]


def test_the_bundle_says_what_goes_in(several, region):
    import json

    text = (several.path / "configs" / "metadata.json").read_text()
    image = json.loads(text)["network_data_format"]["inputs"]["image"]
    assert image["channel_def"] == {"0": "T1w", "1": "T2w", "2": "FLAIR"}
    assert load_bundle(several.path).recipe.channels == CHANNELS
    inference = json.loads((region.path / "configs" / "inference.json").read_text())
    assert inference["center_mm"] is None


def test_monai_runs_regions_and_channels(region, several, tmp_path):
    pytest.importorskip("fire", reason="needs the extra [monai]")
    pytest.importorskip("ignite", reason="needs the extra [monai]")
    from support.monai_run import run_monai

    from napari_resonance.reading import read_scan

    scan, mm = phantom("oblique")
    path = write_nifti(scan, tmp_path / "scan.nii")
    wanted = Classifier(region, "cpu").classify(read_scan(path), center_mm=mm)
    place = "[" + ",".join(map(str, mm)) + "]"
    found = run_monai(region.path, str(path), tmp_path, "--center_mm", place)
    assert found == pytest.approx(list(wanted.probabilities.values()), abs=1e-4)
    turned = replace(scan, voxels=np.asarray(scan.voxels)[::-1].copy(order="F"))
    paths = [path, path, write_nifti(turned, tmp_path / "turned.nii")]
    scans = [read_scan(p) for p in paths]
    wanted = Classifier(several, "cpu").classify(scans)
    files = "[" + ",".join(f"'{p}'" for p in paths) + "]"
    found = run_monai(several.path, files, tmp_path, source=str(path))
    assert found == pytest.approx(list(wanted.probabilities.values()), abs=1e-4)
