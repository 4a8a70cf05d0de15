"""Colour that is the signal: kept where all scans show it, and what depends on it."""

import csv
import dataclasses
import json

import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_sample_image
from support.bundles import tiny_bundle
from support.labelled import colored, save_color, write_colored, write_labelled
from support.networks import settled, torchvision

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.network import build_resnet
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import TrainingError
from napari_resonance.preprocessing.intensity import imagenet_scales
from napari_resonance.reading import read_scan
from napari_resonance.scan import Scan
from napari_resonance.scoring.run import score
from napari_resonance.training.augment import Augmentation, generator
from napari_resonance.training.beginning import choose_recipe
from napari_resonance.training.color import color_decision, is_colored
from napari_resonance.training.finetune import FinetuneOptions, finetune
from napari_resonance.training.labels import read_labels
from napari_resonance.training.prepared import prepare_cases

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]

QUICK = FinetuneOptions(
    preset="quick", epochs=8, batch=8, rate=0.01, device="cpu", convert=False
)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return write_colored(tmp_path_factory.mktemp("coloured"))


@pytest.fixture(scope="module")
def in_color(labels, tmp_path_factory):
    return finetune(labels, tmp_path_factory.mktemp("m") / "hues", options=QUICK)


def decided(result, name="colour"):
    return next(d for d in result.decisions if d.name == name)


def test_hues_of_one_brightness_are_told_apart_from_scratch(labels, in_color, tmp_path):
    assert in_color.metrics["auroc"]["value"] == 1
    assert decided(in_color).value == "red, green and blue"
    assert "all 32 scans" in decided(in_color).reason
    assert in_color.bundle.recipe.color
    assert in_color.bundle.network_def["n_input_channels"] == 3
    options = dataclasses.replace(QUICK, color="brightness")
    grey = finetune(labels, tmp_path / "grey", options=options)
    assert grey.metrics["auroc"]["value"] < 0.8
    assert decided(grey).value == "brightness only"
    assert grey.bundle.network_def["n_input_channels"] == 1


def test_the_model_tells_new_colours_apart(in_color, tmp_path):
    classifier = load_classifier(in_color.bundle.path, "cpu")
    for number in range(100, 108):
        label = ("red", "green")[number % 2]
        path = save_color(colored(label, number), tmp_path / "scan.nii.gz")
        answer = classifier.classify(read_scan(path), saliency="gradcam")
        assert answer.label == label
        assert answer.warnings == ()
        assert answer.saliency.values.shape[2] == 1


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_channel_that_is_lost_or_noise_is_not_like_the_training_scans(
    in_color, channel
):
    classifier = load_classifier(in_color.bundle.path, "cpu")
    assert classifier.bundle.statistics.lowest.shape == (3, 6)
    voxels = colored("red", 100)
    assert not odd_of(classifier, voxels).flag
    lost = voxels.copy()
    lost[..., channel] = 0
    odd = odd_of(classifier, lost)
    assert odd.flag
    assert ("red", "green", "blue")[channel] in odd.why


def odd_of(classifier, voxels):
    scan = Scan(voxels, np.diag([2.0, 2, 2, 1]), color=True)
    return classifier.classify(scan).out_of_distribution


def test_what_is_stored_says_what_the_channels_are(in_color):
    folder = in_color.bundle.path
    metadata = json.loads((folder / "configs/metadata.json").read_text())
    image = metadata["network_data_format"]["inputs"]["image"]
    assert image["num_channels"] == 3
    assert image["channel_def"] == {"0": "red", "1": "green", "2": "blue"}
    assert metadata["resonance"]["recipe"]["steps"][0] == {"step": "color"}
    assert (folder / "training/contact-sheet.png").stat().st_size > 1000


@pytest.mark.parametrize("unfreeze", ["head", "all"])
def test_hues_are_told_apart_from_weights_of_photographs(labels, tmp_path, unfreeze):
    torch.manual_seed(0)
    weights = tmp_path / "resnet18.pth"
    torch.save(settled(torchvision(18)).state_dict(), weights)
    options = dataclasses.replace(QUICK, unfreeze=unfreeze)
    result = finetune(labels, tmp_path / "m", pretrained=weights, options=options)
    assert result.metrics["auroc"]["value"] > 0.9
    names = [name for name, _ in result.bundle.recipe.steps]
    assert (names[0], names[-1]) == ("color", "uint8_imagenet")
    assert "ImageNet" in decided(result, "statistics").value
    assert result.bundle.network_def["n_input_channels"] == 3
    scan = read_scan(labels.parent / "scan00.nii.gz")
    given = result.bundle.recipe.apply(scan).array
    black = [b for b, _ in imagenet_scales()]
    np.testing.assert_allclose(given[0, :, 0, 0], black, atol=1e-6)  # its dark edge


def test_a_photograph_has_the_features_that_it_had_where_the_weights_came_from(
    labels, tmp_path
):
    """Red, green and blue in that order, with ImageNet's statistics, rows as rows."""
    torch.manual_seed(0)
    before = settled(torchvision(18)).eval()
    torch.save(before.state_dict(), tmp_path / "resnet18.pth")
    options = dataclasses.replace(QUICK, epochs=1, unfreeze="head", shape=(64, 48))
    result = finetune(
        labels,
        tmp_path / "m",
        pretrained=tmp_path / "resnet18.pth",
        options=options,
    )
    photograph = load_sample_image("china.jpg")[100:148, 200:264]
    voxels = photograph.transpose(1, 0, 2)[:, :, None]
    scan = Scan(voxels, np.eye(4), color=True, oriented=False)
    mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    by_hand = ((photograph / 255 - mean) / std).transpose(2, 0, 1)[None]
    given = result.bundle.recipe.apply(scan).array
    np.testing.assert_allclose(given, by_hand, atol=1e-5)
    network = build_resnet(result.bundle.network_def)
    network.load_state_dict(load_file(result.bundle.weights_path))
    with torch.no_grad():
        cells = network.eval().logits_and_features(torch.from_numpy(given))[1]
        expected = before.features(torch.from_numpy(by_hand.astype(np.float32)))
    torch.testing.assert_close(cells, expected, atol=1e-5, rtol=1e-5)


def test_networks_of_drawn_pictures_learn_colour(labels, tmp_path):
    start = "synthetic-lesions"
    result = finetune(labels, tmp_path / "m", pretrained=start, options=QUICK)
    assert decided(result).value == "red, green and blue"
    assert [name for name, _ in result.bundle.recipe.steps][-1] == "ct_window"
    assert result.bundle.network_def["n_input_channels"] == 3
    assert result.metrics["auroc"]["value"] > 0.9


def test_a_training_goes_on_from_a_classifier_of_colours(labels, in_color, tmp_path):
    start = in_color.bundle.path
    result = finetune(labels, tmp_path / "m", pretrained=start, options=QUICK)
    assert result.bundle.recipe == in_color.bundle.recipe
    assert decided(result).reason == "as the pretrained network was trained"
    assert result.metrics["auroc"]["value"] == 1


def test_weights_of_grey_images_see_brightness_unless_asked_not_to(labels, tmp_path):
    start = tiny_bundle(tmp_path / "start", modality=(), dimensions=2)
    cases = read_labels(str(labels))
    beginning = choose_recipe(cases, str(start), QUICK)
    assert beginning.recipe == load_bundle(start).recipe
    assert "--color keep" in beginning.decisions[-1].reason
    asked = dataclasses.replace(QUICK, color="keep")
    beginning = choose_recipe(cases, str(start), asked)
    assert beginning.recipe.color
    reasons = {d.name: d.reason for d in beginning.decisions}
    assert "--unfreeze all" in reasons["colour"]


def test_colour_volumes_keep_their_colour(tmp_path):
    labels = write_colored(tmp_path / "volumes", shape=(12, 12, 12))
    result = finetune(labels, tmp_path / "m", options=QUICK)
    assert result.bundle.recipe.dimensions == 3
    assert result.bundle.network_def["n_input_channels"] == 3
    assert result.metrics["auroc"]["value"] > 0.9


def test_regions_of_colour_scans_keep_their_colour(tmp_path):
    """Left halves of one hue, right halves of the other, of the same scans."""
    rows = ["path,label,patient,split,center_x,center_y,center_z"]
    for number in range(12):
        left, right = (colored(c, number, (40, 20, 1)) for c in ("red", "green"))
        both = np.concatenate([left[:20], right[20:]])
        save_color(both, tmp_path / f"{number}.nii.gz")
        side = ("train", "train", "validation", "test")[number % 4]
        for label, x in (("red", 20), ("green", 60)):
            rows.append(f"{number}.nii.gz,{label},p{number},{side},{x},20,0")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    options = dataclasses.replace(QUICK, shape=(8, 8))
    result = finetune(
        tmp_path / "labels.csv", tmp_path / "m", pretrained="none", options=options
    )
    assert result.bundle.recipe.box
    assert result.bundle.recipe.color
    assert result.metrics["auroc"]["value"] > 0.9
    scan = read_scan(tmp_path / "0.nii.gz")
    for label, x in (("red", 20), ("green", 60)):
        answer = result.classifier.classify(scan, center_mm=(x, 20, 0))
        assert answer.label == label


def test_one_grey_scan_among_colours_is_told_and_reduces_all(tmp_path):
    labels = write_colored(tmp_path / "mixed", 8)
    grey = colored("red", 0).mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    save_color(grey.astype(np.uint8), labels.parent / "scan00.nii.gz")
    beginning = choose_recipe(read_labels(str(labels)), "none", QUICK)
    assert not beginning.recipe.color
    reason = next(d.reason for d in beginning.decisions if d.name == "colour")
    assert "1 of 8 scans that were looked at are grey" in reason
    keep = dataclasses.replace(QUICK, color="keep")
    assert choose_recipe(read_labels(str(labels)), "none", keep).recipe.color


def test_a_deep_grey_scan_among_colours_is_seen_alike_by_all(tmp_path):
    """The same input, with the same note, in training, classifying and scoring."""
    labels = write_colored(tmp_path / "mixed", 8)
    random = np.random.default_rng(0)
    grey = random.integers(1000, 3000, (24, 20, 1)).astype(np.int16)
    nibabel.save(
        nibabel.Nifti1Image(grey, np.diag([2, 2, 2, 1])),
        labels.parent / "scan00.nii.gz",
    )
    options = dataclasses.replace(QUICK, color="keep", epochs=1)
    result = finetune(labels, tmp_path / "m", pretrained="none", options=options)
    recipe = result.bundle.recipe
    assert recipe.steps[-1] == ("ct_window", {"low": 0, "high": 255})
    prepared = prepare_cases(read_labels(labels), recipe)
    scan = read_scan(labels.parent / "scan00.nii.gz")
    np.testing.assert_array_equal(recipe.apply(scan).array[0], prepared.inputs[0])
    assert 0.4 < prepared.inputs[0].mean() < 0.6
    note = "were taken as those of a picture of 8 bits"
    assert any(note in w for w in prepared.labelled.warnings)
    answer = result.classifier.classify(scan)
    assert any(note in w for w in answer.warnings)
    score(labels.parent, str(result.bundle.path), out=tmp_path / "scores")
    with (tmp_path / "scores" / "scores.csv").open(encoding="utf-8") as stream:
        rows = {row["source"]: row for row in csv.DictReader(stream)}
    assert note in rows["scan00.nii.gz"]["warnings"]
    scored = float(rows["scan00.nii.gz"]["p_red"])
    assert scored == pytest.approx(answer.probabilities["red"], abs=1e-4)


def test_grey_scans_have_no_colour_to_decide_about(tmp_path):
    labels = read_labels(str(write_labelled(tmp_path / "grey", 8, flat=True)))
    beginning = choose_recipe(labels, "none", QUICK)
    assert not beginning.recipe.color
    assert "colour" not in {d.name for d in beginning.decisions}


def test_grey_pictures_are_known_in_disguise():
    random = np.random.default_rng(0)
    grey = random.integers(0, 256, (10_000, 1)).repeat(3, axis=1).astype(np.float32)
    assert is_colored(grey) is False
    noisy = (grey + random.normal(0, 4, grey.shape)).clip(0, 255)
    assert is_colored(noisy.astype(np.float32)) is False  # as JPEG leaves it
    logo = grey.copy()
    logo[:60] = (0, 120, 250)
    assert is_colored(logo) is False
    doppler = grey.copy()
    doppler[:300] = (250, 40, 0)
    assert is_colored(doppler) is True
    assert is_colored(np.zeros((100, 3), np.float32)) is None


def test_blank_pictures_do_not_count():
    assert color_decision([None, True, True], "auto", None)[0]
    assert color_decision([None, False], "auto", None, in_color=False) == (False, None)
    keep, decision = color_decision([None, False], "auto", None)
    assert not keep
    assert decision.reason.startswith("none of 1 scans")


@pytest.mark.parametrize("scales", [((0.0, 1.0),) * 3, imagenet_scales()])
def test_augmentation_changes_colours_together(scales):
    """One curve for red, green and blue of an image, whatever the range of each is."""
    random = np.random.default_rng(0)
    low = np.array([0.5, 0.2, 0.1], np.float32)[:, None, None]
    rgb = low + random.uniform(0, 0.4, (8, 3, 24, 20)).astype(np.float32)
    black, white = np.array(scales, np.float32).T[..., None, None]
    images = torch.from_numpy(rgb * white + black)
    gamma = Augmentation(
        (), 0, 0, 0, bias=0, gamma=0.4, noise=0, coarsening=1, colors=scales
    )
    changed = (gamma(images, generator(0, 0, 0, 0)).numpy() - black) / white
    assert np.abs(changed - rgb).max() > 0.05
    for before, after in zip(rgb, changed, strict=True):
        order = np.argsort(before.ravel())
        assert np.diff(after.ravel()[order]).min() > -1e-4
    shift = Augmentation(
        (), 0, 0, 0.4, bias=0, gamma=0, noise=0, coarsening=1, colors=scales
    )
    moved = (shift(images, generator(0, 0, 0, 0)).numpy() - black) / white
    came_in = np.ptp(moved, axis=1) < 1e-5
    assert came_in.mean() > 0.1
    darkest = rgb.min(axis=(1, 2, 3))
    for image, new, dark in zip(moved, came_in, darkest, strict=True):
        np.testing.assert_allclose(image[:, new], dark, atol=1e-5)


def test_without_colours_nothing_of_the_augmentation_changes():
    images = torch.rand((4, 2, 16, 16), generator=torch.Generator().manual_seed(0))
    plain = Augmentation()
    lone = Augmentation(colors=((0.0, 1.0),))
    one = images[:, :1]
    drawn = [a(one, generator(1, 2, 3, 0)) for a in (plain, lone)]
    torch.testing.assert_close(*drawn, atol=1e-6, rtol=0)
    assert json.dumps(lone.to_json())


def test_an_unknown_choice_is_refused():
    with pytest.raises(TrainingError, match="color 'rgb' is not known"):
        FinetuneOptions(color="rgb")
