"""Parts of a fine-tuning: augmentation, freezing, probing, planning, judging."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from support.bundles import tiny_definition
from support.trainings import tiny_samples, tiny_task

from napari_resonance.classifier.definition import total_stride
from napari_resonance.classifier.network import build_resnet
from napari_resonance.errors import TrainingError
from napari_resonance.preprocessing import Recipe
from napari_resonance.training import judged, layers, plan, probe
from napari_resonance.training.augment import Augmentation, generator, shifted
from napari_resonance.training.callbacks import Averaging, Best, Surroundings
from napari_resonance.training.contact_sheet import write_contact_sheet
from napari_resonance.training.devices import bytes_of_a_case, memory_for_training
from napari_resonance.training.judged import calibrated, statistics_of
from napari_resonance.training.options import SCRATCH, FinetuneOptions
from napari_resonance.training.plan import (
    Start,
    augmentation_of,
    flip_axes,
    members_of,
    plan_training,
    scratch_definition,
)
from napari_resonance.training.samples import epoch_order
from napari_resonance.training.survey import Survey, automatic_recipe
from napari_resonance.training.train import train

STILL = Augmentation((), 0, 0, 0, 0, 0, 0, 1)


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 8)])
def test_augmentation_repeats_and_changes(shape):
    images = torch.rand(3, 2, *shape)
    change = Augmentation(flip_axes=(0,))
    one = change(images, generator(1, 2, 3, 0))
    assert one.shape == images.shape
    torch.testing.assert_close(one, change(images, generator(1, 2, 3, 0)))
    assert not torch.allclose(one, change(images, generator(1, 2, 4, 0)))
    assert not torch.allclose(one, change(images, generator(1, 2, 3, 1)))
    torch.testing.assert_close(STILL(images, generator(0, 0, 0, 0)), images)


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 8)])
def test_augmentation_is_the_same_in_mixed_precision(shape):
    images = torch.rand(4, 1, *shape)
    change = Augmentation(flip_axes=(0,))
    plain = change(images, generator(0, 0, 0, 0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = change(images, generator(0, 0, 0, 0))
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, plain, rtol=0, atol=0)


def test_features_are_made_of_fewer_cases_where_memory_is_short(monkeypatch):
    task = tiny_task()
    task.network.eval()
    wanted = probe.pooled_features(task.network, task.training, "cpu")
    read, parts = type(task.training).images, []

    def limited(self, rows, device):
        parts.append(len(rows))
        if len(rows) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return read(self, rows, device)

    monkeypatch.setattr(type(task.training), "images", limited)
    most = 5
    found = probe.pooled_features(task.network, task.training, "cpu")
    torch.testing.assert_close(found, wanted)
    assert parts == [16, 8, 4, 4, 4, 4]
    stages = probe.stage_features(task.network, task.training)
    np.testing.assert_allclose(stages["layer4"], wanted, rtol=1e-5)
    most = 0
    with pytest.raises(TrainingError, match="does not suffice for a single case"):
        probe.pooled_features(task.network, task.training, "cpu")


def test_a_shift_alone_moves_whole_voxels():
    images = torch.rand(64, 2, 9, 8, 7)
    change = dataclasses.replace(STILL, shift=0.4)
    moved = change(images, generator(0, 0, 0, 0))
    floor = images.flatten(2).amin(dim=2)[..., None, None, None]
    seen = set()
    for before, after in zip(images - floor, moved - floor, strict=True):
        found = [
            steps
            for steps in itertools.product(range(-4, 5), range(-3, 4), range(-3, 4))
            if torch.allclose(shifted(before[None], [steps])[0], after, atol=1e-6)
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 30


def test_a_shift_is_what_sampling_of_the_grid_gives():
    image = torch.rand(1, 1, 6, 5)
    theta = torch.tensor([[[1.0, 0, 1 / 2], [0, 1, -2 / 2.5]]])  # columns +1, rows -2
    grid = torch.nn.functional.affine_grid(theta, [1, 1, 6, 5], align_corners=True)
    wanted = torch.nn.functional.grid_sample(image, grid, align_corners=True)
    torch.testing.assert_close(shifted(image, [(-2, 1)]), wanted, atol=1e-5, rtol=0)


def test_only_the_axes_asked_for_are_flipped():
    images = torch.arange(2.0 * 6 * 5 * 4).reshape(2, 1, 6, 5, 4)
    flips = dataclasses.replace(STILL, flip_axes=(1,))
    seen = set()
    for step in range(12):
        changed = flips(images, generator(0, 0, step, 0))
        for n in range(2):
            plain = torch.allclose(changed[n], images[n])
            assert plain or torch.allclose(changed[n], images[n].flip(2))
            seen.add(plain)
    assert seen == {True, False}


def test_a_shift_moves_whole_voxels_and_brings_background_in():
    images = torch.zeros(8, 1, 9, 9, 9) - 3
    images[:, :, 4, 4, 4] = 5
    moved = dataclasses.replace(STILL, shift=0.25)(images, generator(0, 0, 1, 0))
    torch.testing.assert_close(
        moved.flatten(1).max(dim=1).values, torch.full((8,), 5.0)
    )
    assert float(moved.min()) == pytest.approx(-3)
    places = {int(m.flatten().argmax()) for m in moved}
    assert len(places) > 4


def test_a_window_moves_both_ends_of_the_scale():
    change = dataclasses.replace(STILL, window=0.1)
    images = torch.linspace(0, 1, 101).reshape(1, 1, 101, 1).repeat(64, 1, 1, 1)
    changed = change(images, generator(0, 0, 0, 0))
    assert changed.min() >= 0
    assert changed.max() <= 1
    steps = changed[:, 0, 50, 0] - changed[:, 0, 49, 0]
    widths = 0.01 / steps  # 0.8 to 1.2, of a scale that was 1 wide
    assert widths.min() < 0.9
    assert widths.max() > 1.1
    assert widths.min() >= 0.79
    assert widths.max() <= 1.21
    middles = changed[:, 0, 50, 0]
    assert middles.min() < 0.45
    assert middles.max() > 0.55


def test_only_ct_is_looked_at_through_other_windows():
    inputs = np.random.default_rng(0).random((8, 1, 9, 9, 9), np.float32)
    definition = tiny_definition(3, 2)
    ct, words = augmentation_of(
        FinetuneOptions(), Start(SCRATCH, definition, values="ct"), inputs
    )
    assert (ct.window, ct.bias, ct.gamma) == (0.1, 0, 0)
    assert "window" in words.value
    mr, _ = augmentation_of(FinetuneOptions(), Start(SCRATCH, definition), inputs)
    assert mr.window == 0
    assert mr.bias > 0


def test_masks_are_masks_when_they_were_interpolated():
    inputs = np.random.default_rng(0).random((8, 1, 9, 9, 9), np.float32)
    start = Start(SCRATCH, tiny_definition(3, 2), values="mask")
    change, words = augmentation_of(FinetuneOptions(), start, inputs)
    assert (change.rotation, change.gamma, change.noise, change.coarsening) == (
        (0, 0, 0, 1)
    )
    assert change.shift > 0
    assert "masks" in words.reason


def test_images_are_changed_more_than_volumes():
    inputs = np.random.default_rng(0).random((8, 1, 9, 9), np.float32)
    start = Start(SCRATCH, tiny_definition(2, 2))
    change, _ = augmentation_of(FinetuneOptions(), start, inputs)
    assert change == Augmentation().times(1.5)
    assert change.rotation == pytest.approx(0.15)
    assert change.coarsening == pytest.approx(1.75)


def test_a_rotation_keeps_the_middle():
    images = torch.zeros(4, 1, 15, 15)
    images[:, :, 7, 7] = 1
    images[:, :, 7, 12] = 1
    turned = dataclasses.replace(STILL, rotation=0.5)(images, generator(0, 0, 5, 0))
    assert torch.allclose(turned[:, 0, 7, 7], torch.ones(4), atol=1e-5)
    radius = [np.hypot(*(np.argwhere(t[0] > 0.3) - 7).T).max() for t in turned.numpy()]
    assert all(3.5 < r < 6.5 for r in radius)


def test_balanced_sampling_shows_labels_equally_often():
    targets = np.array([0] * 30 + [1] * 6)
    order = epoch_order(targets, seed=1, epoch=0, balanced=True)
    assert np.bincount(targets[order]).tolist() == [18, 18]
    plain = epoch_order(targets, seed=1, epoch=0, balanced=False)
    assert sorted(plain) == list(range(36))
    assert (
        plain.tolist() != epoch_order(targets, seed=1, epoch=1, balanced=False).tolist()
    )


@pytest.mark.parametrize("unfreeze", ["head", "layer3", "all"])
def test_frozen_stages_do_not_change_at_all(unfreeze):
    task = tiny_task(unfreeze=unfreeze, epochs=1)
    before = {k: v.clone() for k, v in task.network.state_dict().items()}
    after = train(task, Surroundings(device="cpu")).network.state_dict()
    learning = ("fc", *layers.trainable(unfreeze))
    if "stem" in learning:
        learning = (*learning, "conv1", "bn1")
    for name, value in before.items():
        same = torch.equal(value, after[name])
        assert same != name.startswith(learning), name


def test_earlier_stages_learn_more_slowly():
    network = tiny_task().network
    layers.freeze(network, "all")
    groups = layers.parameter_groups(network, rate=1.0, decay=0.5, weight_decay=0.1)
    rates = {g["name"]: g["lr"] for g in groups}
    assert rates == {
        "head": 1.0,
        "layer4": 0.5,
        "layer3": 0.25,
        "layer2": 0.125,
        "layer1": 0.0625,
        "stem": 0.03125,
    }
    parameters = sum(p.numel() for g in groups for p in g["params"])
    assert parameters == sum(p.numel() for p in network.parameters())
    assert all((g["weight_decay"] == 0) == (g["params"][0].ndim == 1) for g in groups)


def test_an_unknown_stage_is_refused():
    with pytest.raises(TrainingError, match="Choose one of auto, head"):
        layers.trainable("layer9")


def test_probes_find_the_stage_that_knows():
    samples = tiny_samples(0, 40)
    random = np.random.default_rng(0)
    features = {stage: random.normal(size=(40, 6)) for stage in layers.STAGES}
    features["layer2"][:, 0] += 4 * samples.targets
    probes = probe.probe_stages(features, samples)
    found = {p.stage: p for p in probes}
    assert found["layer2"].auroc > 0.95
    assert found["layer2"].low <= found["layer2"].auroc <= found["layer2"].high
    assert found["layer4"].auroc < 0.8
    stage, why = probe.unfreeze_from(probes, 40)
    assert stage == "layer3"
    assert (
        why.startswith("layer2 tells the labels apart with AUROC 0.9") or "1.0" in why
    )


def test_stage_features_end_in_what_the_head_is_given():
    task = tiny_task()
    features = probe.stage_features(task.network.eval(), task.validation)
    assert [v.shape[1] for v in features.values()] == [4, 4, 4, 8, 8]
    last = probe.pooled_features(task.network, task.validation, "cpu")
    np.testing.assert_allclose(features["layer4"], last.numpy(), atol=1e-5)


def test_features_of_views_make_epochs_cheap():
    task = tiny_task(unfreeze="head", epochs=3, patience=0)
    views = probe.feature_views(
        task.network.eval(), task.training, Augmentation(), views=3, seed=0
    )
    assert views.views.shape == (3, 16, 8)
    assert not torch.allclose(views.views[0], views.views[1])
    held_out = probe.pooled_features(task.network, task.validation, "cpu")
    cached = dataclasses.replace(task, views=views, validation_features=held_out)
    before = task.network.conv1.weight.clone()
    trained = train(cached, Surroundings(device="cpu"))
    assert torch.equal(trained.network.conv1.weight, before)
    logits, _ = probe.answers(trained.network, task.validation)
    entropy = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits), torch.from_numpy(task.validation.targets)
    )
    assert trained.curve[-1]["validation_loss"] == pytest.approx(float(entropy), 1e-4)


def test_letters_of_axes_mean_rows_and_columns_of_an_image():
    assert flip_axes("xz", 3) == (0, 2)
    assert flip_axes("x", 2) == (1,)
    assert flip_axes("", 3) == ()


@pytest.mark.parametrize(
    ("shape", "stride", "cells"),
    [
        ((28, 28), 8, 4),
        ((64, 64), 16, 4),
        ((224, 200), 32, 7),
        ((28, 28, 28), 16, 2),
        ((64, 64, 64), 16, 4),
        ((96, 80, 64), 16, 6),
    ],
)
def test_a_new_network_halves_large_inputs_early(shape, stride, cells):
    recipe = Recipe(len(shape), ())
    definition, _ = scratch_definition(recipe, shape, 2, "x", 200)
    assert total_stride(definition) == (stride,) * len(shape)
    assert definition["mirror_axis"] == [0 if len(shape) == 3 else 1]
    with torch.device("meta"):
        network = build_resnet(definition)
        features = network.features(torch.empty(2, 1, *shape))
    assert features.shape[2] == cells


def test_how_many_networks_answer_together():
    scratch, pretrained = Start("none", {}), Start("mr-sequence", {})
    standard = FinetuneOptions()
    volumes, images = (300, 1, 28, 28, 28), (300, 1, 28, 28)
    quick, thorough = (
        FinetuneOptions(preset="quick"),
        FinetuneOptions(preset="thorough"),
    )
    assert members_of(quick, scratch, volumes)[0] == 1
    assert members_of(quick, scratch, images)[0] == 1
    assert members_of(standard, scratch, volumes)[0] == 2
    assert members_of(standard, scratch, images)[0] == 4
    assert members_of(standard, scratch, (300, 1, 224, 224))[0] == 2
    assert members_of(standard, scratch, (3000, 1, 28, 28))[0] == 2
    assert members_of(thorough, scratch, volumes)[0] == 5
    assert members_of(standard, pretrained, volumes)[0] == 1
    assert members_of(standard, scratch, (20_000, 1, 28, 28))[0] == 1
    chosen = FinetuneOptions(members=4)
    assert members_of(chosen, pretrained, (20_000, 1, 28, 28))[0] == 4
    for n in (-1, 101):
        with pytest.raises(TrainingError, match="members"):
            FinetuneOptions(members=n)
    with pytest.raises(TrainingError, match="no folds"):
        FinetuneOptions(keep_folds=True)


def small_definition(shape, n_patients=200):
    recipe = Recipe(len(shape), ())
    return scratch_definition(recipe, shape, 2, "", n_patients)[0]


@pytest.mark.parametrize(
    ("shape", "n_patients", "layers"),
    [
        ((28, 28), 200, [2, 2, 2, 2]),
        ((28, 28), 8000, [3, 4, 6, 3]),
        ((28, 28, 28), 200, [1, 1, 1, 1]),
        ((28, 28, 28), 3000, [2, 2, 2, 2]),
        ((28, 28, 28), 50_000, [3, 4, 6, 3]),
    ],
)
def test_depth_follows_the_number_of_patients(shape, n_patients, layers):
    assert small_definition(shape, n_patients)["layers"] == layers


@pytest.mark.parametrize("shape", [(1, 40, 40), (2, 16, 16, 16)])
def test_what_a_case_takes_is_what_autograd_keeps(shape):
    definition = small_definition(shape[1:]) | {"n_input_channels": shape[0]}
    network = build_resnet(definition).train()
    found = {}
    for n in (2, 6):
        kept = {}

        def keep(tensor, kept=kept):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network.features(torch.rand(n, *shape)).sum()
        found[n] = sum(size for size, _ in kept.values())
    # The weights are kept, too, however many cases there are.
    measured = (found[6] - found[2]) / 4
    assert bytes_of_a_case(definition, shape) == pytest.approx(measured, rel=0.02)


def test_a_batch_fits_into_the_memory(monkeypatch):
    shape = (24, 24, 24)
    start = Start("none", small_definition(shape))
    inputs = np.zeros((400, 1, *shape), np.float32)

    def batch(memory, **options):
        monkeypatch.setattr(plan, "memory_for_training", lambda device: memory)
        chosen = FinetuneOptions(**options)
        settings, decisions = plan_training(chosen, start, inputs, np.arange(400) % 2)
        return settings.batch, next(d.reason for d in decisions if d.name == "batch")

    each = bytes_of_a_case(start.definition, (1, *shape))
    assert batch(10 * each)[0] == 10
    assert batch(each)[0] == 2  # BatchNorm needs two
    assert batch(10_000 * each)[0] == 32
    assert "MB" in batch(10_000 * each)[1]
    assert batch(each, batch=50) == (50, "chosen")
    assert memory_for_training("cpu") > 100e6


def survey_of(values, modality, shape=(40, 30, 1)):
    modalities = (modality,) if modality else ()
    return Survey(
        (shape,) * 3, ((1.0, 1.0, 1.0),) * 3, modalities, True, values, 1, False
    )


def test_pictures_of_8_bits_keep_their_scale():
    def step(found):
        return automatic_recipe(found, FinetuneOptions())[0].steps[-1]

    grey = np.arange(256, dtype=np.float32)
    window = ("ct_window", {"low": 0, "high": 255})
    assert step(survey_of(grey, "US")) == window
    assert step(survey_of(grey, "")) == window
    for values, modality, shape in (
        (grey, "MR", (40, 30, 1)),  # means nothing from scanner to scanner
        (grey, "US", (40, 30, 20)),
        (grey + 0.5, "US", (40, 30, 1)),
        (grey * 16, "DX", (40, 30, 1)),
        (grey // 4, "US", (40, 30, 1)),  # too dark to have been looked at as it is
    ):
        assert step(survey_of(values, modality, shape))[0] == "percentile"


def test_epochs_follow_what_is_trained():
    def epochs(preset, pretrained, shape, n=600):
        inputs = np.broadcast_to(np.float32(0), (n, 1, *shape))
        start = Start(pretrained, small_definition(shape))
        options = FinetuneOptions(preset=preset)
        return plan_training(options, start, inputs, np.arange(n) % 2)[0].epochs

    volume = (4, 4, 4)
    assert epochs("quick", "none", volume) == 24
    assert epochs("standard", "none", volume) == 48
    assert epochs("standard", "mr-sequence", volume) == 24
    assert epochs("thorough", "none", volume) == 96
    assert epochs("standard", "none", (4, 4)) == epochs("quick", "none", (4, 4))
    # All cases together are shown more often the more they are, each of them less.
    many = [epochs("standard", "none", volume, n) for n in (100, 600, 6000, 200_000)]
    assert many == sorted(many, reverse=True)
    assert many[2:] == [24, 10]


def test_a_best_epoch_that_is_so_by_chance_does_not_count():
    best = Best(Averaging(decay=0.9), patience=0)
    assert not best.is_clearly_better()
    random = torch.Generator().manual_seed(0)
    best.losses = torch.rand(50, generator=random)
    best.last = best.losses + 0.2 * torch.randn(50, generator=random)
    assert not best.is_clearly_better()
    best.last = best.losses + 0.2
    assert best.is_clearly_better()
    best.last = best.losses - 0.2
    assert not best.is_clearly_better()


def test_every_decision_has_a_reason():
    samples = tiny_samples(0, 40)
    start = Start("none", small_definition(samples.inputs.shape[2:]))
    settings, decisions = plan_training(
        FinetuneOptions(preset="quick", epochs=3),
        start,
        samples.inputs,
        samples.targets,
    )
    assert settings.epochs == 3
    assert all(d.reason for d in decisions)
    assert {d.name: d.reason for d in decisions}["epochs"] == "chosen"
    skewed = np.array([0] * 36 + [1] * 4)
    settings, _ = plan_training(FinetuneOptions(), start, samples.inputs, skewed)
    assert settings.balance == "sampling"


@pytest.mark.parametrize(
    "wrong", [{"preset": "fast"}, {"flip": "r"}, {"folds": 1}, {"rate": 0.0}]
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(TrainingError):
        FinetuneOptions(**wrong)


def test_few_patients_get_a_threshold_and_many_a_prediction_set():
    random = np.random.default_rng(0)
    targets = np.arange(60) % 2
    logits = random.normal(size=(60, 2)) + 2 * np.eye(2)[targets]
    patients = np.array([f"p{n}" for n in range(60)])
    calibration, why = calibrated(logits, targets, patients)
    assert calibration.rule["rule"] == "conformal"
    inside = 1 - calibration.probabilities(logits) <= calibration.rule["quantile"]
    assert inside[np.arange(60), targets].mean() >= 0.9
    assert "30 calibration patients" in why
    few, why = calibrated(logits[:12], targets[:12], patients[:12])
    assert few.rule["rule"] == "threshold"
    assert "need 9" in why


def test_what_is_far_from_the_training_cases_is_beyond_the_limit():
    samples = tiny_samples(0, 40)
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 5)) + samples.targets[:, None]
    statistics = statistics_of(features, samples, features[:0])
    assert statistics.distance(features[0]) <= statistics.limit
    assert statistics.distance(features[0] + 20) > statistics.limit


def test_later_scans_are_no_strangers_where_no_case_was_held_out():
    # As after folds: 90 cases lie 8 from the means that they chose themselves, and any
    # later one 15, so that each was flagged and none was sure.
    samples = tiny_samples(0, 90)
    random = np.random.default_rng(0)
    shared = random.normal(size=(128, 128)) * np.geomspace(1, 0.01, 128)

    def drawn(targets):
        own = random.normal(size=(len(targets), 128)) @ shared
        return own + targets[:, None]

    features = drawn(samples.targets)
    statistics = statistics_of(features, samples, features[:0])
    later = [statistics.distance(f) for f in drawn(np.arange(200) % 2)]
    assert np.mean(np.array(later) > statistics.limit) < 0.05
    assert statistics.distance(features[0] + 20 * features.std()) > statistics.limit


@pytest.mark.parametrize("name", ["$a_$ or b", "良性 🧠", "x" * 200])
def test_the_contact_sheet_bears_any_label(tmp_path, name, recwarn):
    path = tmp_path / "sheet.png"
    write_contact_sheet(path, tiny_samples(0, 4), (name, "b"), Augmentation())
    assert path.stat().st_size > 1000
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_the_contact_sheet_is_a_picture(tmp_path):
    samples = tiny_samples(0, 8)
    path = tmp_path / "sheet.png"
    write_contact_sheet(path, samples, ("a", "b"), Augmentation())
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("n_slices", [1, 30])
def test_regions_get_the_shape_that_was_chosen(n_slices):
    found = Survey(
        ((40, 40, n_slices),),
        ((2.0, 2.0, 2.0),),
        ("MR",),
        oriented=True,
        values=np.arange(2000.0),
        n_scans=1,
        regions=True,
    )
    axes = 2 if n_slices == 1 else 3
    recipe, decisions = automatic_recipe(found, FinetuneOptions(shape=(12,) * axes))
    assert recipe.dimensions == axes
    assert recipe.box["shape"] == [12] * axes + [None] * (3 - axes)
    (reason,) = (d.reason for d in decisions if d.name == "box")
    assert "chosen with --shape" in reason
    recipe, _ = automatic_recipe(found, FinetuneOptions())
    assert recipe.box["shape"] == [17] * 2 + [17 if axes == 3 else None]
    with pytest.raises(TrainingError, match=f"{axes} axes"):
        automatic_recipe(found, FinetuneOptions(shape=(12,) * (5 - axes)))


def test_a_lucky_answer_or_two_make_no_rule():
    top = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.52])
    probabilities = np.stack([top, 1 - top], axis=1)
    right = np.zeros(6, np.int64)
    assert judged.choose_threshold(probabilities, right, 0.95) == 0.52
    assert judged.choose_threshold(probabilities[:4], right[:4], 0.95) == 1.0
    wrong_from_the_third = np.array([0, 0, 1, 0, 1, 1])
    assert judged.choose_threshold(probabilities, wrong_from_the_third, 0.95) == 1.0
