"""Fine-tuning from labels on disk to a bundle that classifies."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from filelock import FileLock
from support.bundles import tiny_bundle
from support.labelled import write_labelled
from support.networks import medicalnet

import napari_resonance
from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.engines import load_network
from napari_resonance.classifier.place import METADATA
from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import CancelledError, ModelError, TrainingError
from napari_resonance.reading import read_scan
from napari_resonance.training.finetune import (
    FinetuneOptions,
    finetune,
    is_interrupted,
    work_folder,
)

# Of Lightning's, about PyTorch's own names.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]

QUICK = FinetuneOptions(
    preset="quick",
    epochs=12,
    patience=0,
    batch=6,
    rate=0.01,
    device="cpu",
    convert=False,
)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return write_labelled(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def from_scratch(labels, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "cubes"
    return finetune(labels, out, options=QUICK)


def test_it_is_part_of_the_public_interface():
    assert napari_resonance.finetune is finetune


def test_the_bundle_classifies_scans(labels, from_scratch):
    bundle = load_bundle(from_scratch.bundle.path)
    assert bundle.card.labels == ("cube", "none")
    assert bundle.card.name == "cubes"
    assert bundle.warnings == ()
    assert from_scratch.classifier.bundle is from_scratch.bundle
    classifier = load_classifier(bundle.path, "cpu")
    answers = []
    for number in range(16, 24):
        scan = read_scan(labels.parent / f"scan{number}.nii.gz")
        answers.append(classifier.classify(scan).label)
    wanted = ["cube" if n // 2 % 2 else "none" for n in range(16, 24)]
    assert np.mean([a == w for a, w in zip(answers, wanted, strict=True)]) > 0.8


def test_it_learns_in_mixed_precision(labels, tmp_path):
    options = dataclasses.replace(QUICK, precision="bf16-mixed")
    result = finetune(labels, tmp_path / "m", options=options)
    assert result.metrics["auroc"]["value"] > 0.8
    record = json.loads((tmp_path / "m/training/record.json").read_text())
    assert record["curves"][0][-1]["training_loss"] < 0.5


@pytest.mark.parametrize("number", range(3))
def test_mixed_precision_reads_no_memory_that_nobody_wrote(labels, tmp_path, number):
    # PyTorch fills such memory with NaN where it is to be deterministic.
    options = dataclasses.replace(
        QUICK, precision="bf16-mixed", deterministic=True, epochs=6
    )
    result = finetune(labels, tmp_path / "m", options=options)
    for tensor in load_network(result.bundle).state_dict().values():
        assert tensor.isfinite().all()


def test_what_was_done_is_stored_with_it(from_scratch):
    folder = from_scratch.bundle.path / "training"
    names = {p.name for p in folder.iterdir()}
    assert {
        "split.json",
        "record.json",
        "report.html",
        "contact-sheet.png",
        "fingerprints.safetensors",
    } <= names
    split = json.loads((folder / "split.json").read_text())
    assert {side: len(cases) for side, cases in split.items()} == {
        "train": 12,
        "validation": 4,
        "test": 8,
    } or sum(map(len, split.values())) == 24
    record = json.loads((folder / "record.json").read_text())
    assert len(record["curves"][0]) == 12
    reasons = {d["name"]: d["reason"] for d in record["decisions"]}
    assert all(reasons.values())
    assert {"dimensions", "input shape", "intensity", "network", "unfreeze"} <= set(
        reasons
    )


def test_nothing_is_left_beside_the_bundle(from_scratch):
    assert [p.name for p in from_scratch.bundle.path.parent.iterdir()] == ["cubes"]


def test_the_document_has_what_the_contract_promises(from_scratch):
    document = from_scratch.to_json()
    assert {"model", "folds", "metrics", "split", "leaks", "seconds", "report"} <= set(
        document
    )
    assert {"value", "low", "high"} <= set(document["metrics"]["auroc"])
    json.dumps(document["decisions"])
    assert document["metrics"]["auroc"]["value"] > 0.8


def test_a_pretrained_network_is_probed_and_keeps_its_recipe(labels, tmp_path):
    start = tiny_bundle(tmp_path / "start", modality=())
    result = finetune(labels, tmp_path / "next", pretrained=start, options=QUICK)
    decisions = {d.name: d for d in result.decisions}
    assert decisions["recipe"].value == "recipe of tiny"
    assert "AUROC" in decisions["unfreeze"].reason
    record = json.loads((tmp_path / "next/training/record.json").read_text())
    stages = [p["stage"] for p in record["probes"][0]]
    assert stages == ["stem", "layer1", "layer2", "layer3", "layer4"]
    assert result.bundle.recipe == load_bundle(start).recipe


def test_with_the_backbone_frozen_its_weights_stay(labels, tmp_path):
    from safetensors.numpy import load_file

    start = tiny_bundle(tmp_path / "start", modality=())
    options = FinetuneOptions(
        preset="quick", unfreeze="head", epochs=3, device="cpu", convert=False
    )
    result = finetune(labels, tmp_path / "head", pretrained=start, options=options)
    before = load_file(start / "models/model.safetensors")
    after = load_file(result.bundle.weights_path)
    for name, value in before.items():
        if not name.startswith("fc."):
            np.testing.assert_array_equal(value, after[name])
    assert "feature cache" in {d.name for d in result.decisions}


def test_folds_judge_every_case_once(tmp_path):
    labels = write_labelled(tmp_path / "set", 16, sides=False)
    options = FinetuneOptions(preset="quick", epochs=1, batch=4, folds=2, device="cpu")
    result = finetune(labels, tmp_path / "model", options=options)
    assert result.folds == 2
    tested = [source for split in result.split for source in split["test"]]
    assert sorted(tested) == sorted(f"scan{n:02}.nii.gz" for n in range(16))
    limits = " ".join(result.bundle.card.limits)
    assert "chosen on the answers about other patients" in limits
    assert "flatters" not in limits
    report = result.report.read_text(encoding="utf-8")
    assert "was called by one that was chosen on other patients" in report


def test_images_get_a_network_of_two_dimensions(tmp_path):
    labels = write_labelled(tmp_path / "set", flat=True)
    options = FinetuneOptions(
        preset="quick", epochs=1, flip="x", device="cpu", convert=False
    )
    result = finetune(labels, tmp_path / "model", options=options)
    assert result.bundle.card.dimensions == 2
    assert result.bundle.network_def["mirror_axis"] == [1]
    with pytest.raises(TrainingError, match="no axis z"):
        finetune(
            labels, tmp_path / "m", options=dataclasses.replace(options, flip="xz")
        )


def test_members_answer_together(labels, tmp_path):
    options = dataclasses.replace(QUICK, epochs=2, members=2, flip="y")
    result = finetune(labels, tmp_path / "model", options=options)
    assert result.bundle.network_def["members"] == 2
    first, second = (m.state_dict() for m in load_network(result.bundle).members)
    assert not torch.equal(first["conv1.weight"], second["conv1.weight"])
    record = json.loads((tmp_path / "model/training/record.json").read_text())
    assert [len(curve) for curve in record["curves"]] == [2, 2]
    assert {"name": "members", "value": 2, "reason": "chosen"} in record["decisions"]
    classifier = load_classifier(result.bundle.path, "cpu")
    scan = read_scan(labels.parent / "scan16.nii.gz")
    answer = classifier.classify(scan)
    assert answer.out_of_distribution is not None
    # The network of the same seed is the first member, whatever follows it.
    alone = finetune(
        labels, tmp_path / "alone", options=dataclasses.replace(options, members=1)
    )
    state = load_network(alone.bundle).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in first.items())


def test_members_that_are_trained_are_not_trained_again(labels, tmp_path):
    options = dataclasses.replace(QUICK, epochs=2, members=2)
    whole = finetune(labels, tmp_path / "whole", options=options)
    out, told = tmp_path / "model", []

    def stop():
        return any(e.title.startswith("member 2") for e in told)

    with pytest.raises(CancelledError):
        finetune(labels, out, options=options, on_epoch=told.append, should_stop=stop)
    told.clear()
    again = finetune(labels, out, options=options, resume=True, on_epoch=told.append)
    assert {e.title for e in told} == {"member 2 of 2"}
    for name, tensor in load_network(whole.bundle).state_dict().items():
        other = load_network(again.bundle).state_dict()[name]
        torch.testing.assert_close(other, tensor, rtol=0, atol=1e-6)


def test_networks_of_folds_can_be_kept(tmp_path):
    labels = write_labelled(tmp_path / "set", 16, sides=False)
    options = FinetuneOptions(
        preset="quick",
        epochs=1,
        batch=4,
        folds=2,
        keep_folds=True,
        device="cpu",
        convert=False,
    )
    told = []
    result = finetune(labels, tmp_path / "model", options=options, on_epoch=told.append)
    assert {e.title for e in told} == {"fold 1 of 2", "fold 2 of 2"}
    assert result.bundle.network_def["members"] == 2
    decisions = {d.name: d for d in result.decisions}
    assert "2 networks of the folds" in decisions["final network"].value
    answer = load_classifier(result.bundle.path, "cpu").classify(
        read_scan(labels.parent / "scan02.nii.gz")
    )
    assert not answer.out_of_distribution.flag


def test_stopped_and_resumed_it_goes_on(labels, tmp_path):
    steps = iter(range(1000))
    out = tmp_path / "model"

    def stop():
        return next(steps) > 40

    with pytest.raises(CancelledError):
        finetune(labels, out, options=QUICK, should_stop=stop)
    assert not out.exists()
    with pytest.raises(TrainingError, match="was interrupted, and would") as told:
        finetune(labels, out, options=QUICK)
    assert "--resume" in told.value.remedy
    assert is_interrupted(out)
    result = finetune(labels, out, options=QUICK, resume=True)
    assert result.resumed_at > 0
    assert not (tmp_path / "model.training").exists()


def test_two_processes_do_not_share_a_folder(labels, tmp_path):
    work = tmp_path / "model.training"
    work.mkdir()
    with (
        FileLock(work / "lock"),
        pytest.raises(TrainingError, match="another process is training"),
    ):
        finetune(labels, tmp_path / "model", options=QUICK)


def test_another_folder_is_not_overwritten(labels, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="something else"):
        finetune(labels, tmp_path, options=QUICK)


def test_a_model_is_replaced_only_where_that_was_said(labels, tmp_path):
    out = tiny_bundle(tmp_path / "m")
    before = (out / METADATA).read_bytes()
    for resume in (False, True):  # there is nothing to go on with
        with pytest.raises(ModelError, match=r"here already: tiny, of 20\d\d-") as told:
            finetune(labels, out, options=QUICK, resume=resume)
        assert "--overwrite" in told.value.remedy
        assert told.value.source == str(out)
    assert (out / METADATA).read_bytes() == before
    assert not work_folder(out).exists()

    def stop():
        return is_interrupted(out)

    options = dataclasses.replace(QUICK, epochs=2)
    with pytest.raises(CancelledError):
        finetune(labels, out, options=options, overwrite=True, should_stop=stop)
    assert (out / METADATA).read_bytes() == before
    # It was begun to replace the model, which need not be said again.
    result = finetune(labels, out, options=options, resume=True)
    assert result.resumed_at > 0
    assert load_bundle(out).card.labels == ("cube", "none")


def test_a_damaged_model_counts_too(labels, tmp_path):
    out = tiny_bundle(tmp_path / "m")
    (out / METADATA).write_text("{")
    with pytest.raises(ModelError, match="here already: m, of"):
        finetune(labels, out, options=QUICK)


def test_weights_of_volumes_do_not_become_those_of_images(tmp_path):
    labels = write_labelled(tmp_path / "set", flat=True)
    options = FinetuneOptions(shape=(12, 12), device="cpu")
    with pytest.raises(TrainingError, match="3D network"):
        finetune(labels, tmp_path / "m", pretrained="medicalnet-10", options=options)
    path = tmp_path / "mine.pth"
    torch.save(medicalnet(10).state_dict(), path)
    with pytest.raises(TrainingError, match="3D network"):
        finetune(labels, tmp_path / "m", pretrained=path, options=options)


def test_weights_of_no_use_are_refused_before_scans_are_read(labels, tmp_path):
    state = medicalnet(10).state_dict()
    path = tmp_path / "moco.pth"
    names = ("encoder_q", "encoder_k")
    torch.save({f"{n}.{k}": v for n in names for k, v in state.items()}, path)
    scan = sorted(labels.parent.glob("*.nii.gz"))[0]
    kept = scan.read_bytes()
    scan.write_bytes(b"")
    try:
        with pytest.raises(ModelError, match="holds 2 ResNets") as caught:
            finetune(labels, tmp_path / "m", pretrained=path, options=QUICK)
    finally:
        scan.write_bytes(kept)
    assert f"{path}#encoder_q" in caught.value.remedy


def test_a_file_is_trained_with_the_strides_of_what_it_began_from(labels, tmp_path):
    state = medicalnet(10).state_dict()
    path = tmp_path / "moco.pth"
    names = ("encoder_q", "encoder_k")
    torch.save({f"{n}.{k}": v for n in names for k, v in state.items()}, path)
    start = f"{path}#encoder_k"
    options = dataclasses.replace(QUICK, epochs=1, like="medicalnet-10")
    result = finetune(labels, tmp_path / "m", pretrained=start, options=options)
    definition = result.bundle.network_def
    assert (definition["conv1_t_stride"], definition["dilations"]) == (2, [1, 1, 2, 4])
    (network,) = (d for d in result.decisions if d.name == "network")
    assert "strides and dilations of medicalnet-10" in network.reason
    assert "assumed" not in network.reason
    for like, of, text in (
        ("medicalnet-18", start, "cannot have begun from medicalnet-18"),
        ("resnet18", start, "no pretrained network of this name"),
        ("medicalnet-10", "none", "no file of weights"),
        ("medicalnet-10", "medicalnet-10", "no file of weights"),
    ):
        wrong = dataclasses.replace(options, like=like)
        with pytest.raises(ModelError, match=text):
            finetune(labels, tmp_path / "n", pretrained=of, options=wrong)


def test_one_of_several_networks_in_a_file_is_a_start(labels, tmp_path):
    state = medicalnet(10).state_dict()
    path = tmp_path / "moco.pth"
    names = ("encoder_q", "encoder_k")
    torch.save({f"{n}.{k}": v for n in names for k, v in state.items()}, path)
    options = dataclasses.replace(QUICK, epochs=1)
    start = f"{path}#encoder_q"
    result = finetune(labels, tmp_path / "m", pretrained=start, options=options)
    record = json.loads((result.bundle.path / "training" / "record.json").read_text())
    (network,) = [d for d in record["decisions"] if d["name"] == "network"]
    assert "72 tensors matched" in network["reason"]
    assert network["value"].startswith("as moco.pth#encoder_q")
    assert result.bundle.card.training_data.endswith("trained from moco.pth#encoder_q")
    # Where it lay is nobody else's business.
    for path in (result.bundle.path / "training").glob("*.[hj]*"):
        assert str(tmp_path) not in path.read_text(), path


def test_the_report_shows_where_the_network_looked_at_its_errors(labels, tmp_path):
    # One step leaves a network that calls all scans the same.
    options = dataclasses.replace(QUICK, epochs=1, rate=1e-6)
    result = finetune(labels, tmp_path / "model", options=options)
    page = result.report.read_text()
    wrong = page.split("<h2>Worst errors</h2>")[1].split("<h2>")[0]
    assert wrong.count("<b>Case") > 0
    assert wrong.count('src="data:image/png;base64,') == wrong.count("<b>Case")


def test_a_head_with_hidden_units_is_learned_and_can_be_taken_off(labels, tmp_path):
    hidden = dataclasses.replace(QUICK, head="hidden")
    result = finetune(labels, tmp_path / "m", options=hidden)
    assert result.bundle.network_def["head_hidden"] == 256
    classifier = load_classifier(result.bundle.path)
    assert not classifier.heads.is_linear
    # Its backbone is a start for a network with the usual head.
    again = dataclasses.replace(QUICK, unfreeze="head")
    after = finetune(
        labels, tmp_path / "n", pretrained=str(result.bundle.path), options=again
    )
    assert "head_hidden" not in after.bundle.network_def
    assert after.bundle.heads().is_linear
