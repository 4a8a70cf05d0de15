"""``resonance finetune``: one command from labels to a model that classifies."""

import json
import shutil

import nibabel
import numpy as np
import pytest
from support.bundles import tiny_bundle
from support.labelled import write_colored, write_labelled

from napari_resonance.cli import main

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return ended.value.code, capsys.readouterr()


def test_from_labels_to_a_model_that_classifies(tmp_path, capsys):
    labels = write_labelled(tmp_path / "set")
    options = ("--preset", "quick", "--epochs", 1, "--device", "cpu")
    code, printed = run(
        capsys, "finetune", labels, "--out", tmp_path / "m", *options, "--json"
    )
    document = json.loads(printed.out)
    assert code == 0, document
    assert document["model"] == str(tmp_path / "m")
    assert {"auroc", "accuracy", "ece", "brier"} <= set(document["metrics"])
    code, printed = run(
        capsys,
        "classify",
        labels.parent / "scan00.nii.gz",
        "-m",
        tmp_path / "m",
        "--json",
    )
    assert code == 0
    assert json.loads(printed.out)["results"][0]["label"] in {"cube", "none"}


@pytest.mark.parametrize(
    ("asked", "value"),
    [((), "red, green and blue"), (("--color", "brightness"), "brightness only")],
)
def test_what_becomes_of_colour_is_told(tmp_path, capsys, asked, value):
    labels = write_colored(tmp_path / "set", 16)
    options = ("--preset", "quick", "--epochs", 1, "--device", "cpu", *asked)
    code, printed = run(
        capsys, "finetune", labels, "--out", tmp_path / "m", *options, "--json"
    )
    assert code == 0
    decisions = json.loads(printed.out)["decisions"]
    assert {d["name"]: d["value"] for d in decisions}["colour"] == value
    warned = "16 of 16 cases: colour was turned into brightness" in printed.err
    assert warned == bool(asked)


def test_a_table_for_people(tmp_path, capsys):
    labels = write_labelled(tmp_path / "set", flat=True)
    options = ("--preset", "quick", "--epochs", 1, "--device", "cpu")
    code, printed = run(capsys, "finetune", labels, "--out", tmp_path / "m", *options)
    assert code == 0
    assert "auroc" in printed.out.lower()
    assert "Report:" in printed.out


def test_a_scan_that_cannot_be_read_is_named(tmp_path, capsys):
    labels = write_labelled(tmp_path / "set")
    (labels.parent / "scan03.nii.gz").write_bytes(b"damaged")
    options = ("--preset", "quick", "--epochs", 1, "--device", "cpu")
    code, printed = run(
        capsys, "finetune", labels, "--out", tmp_path / "m", *options, "--json"
    )
    document = json.loads(printed.out)
    assert code == 3, document
    assert [entry["source"] for entry in document["left_out"]] == ["scan03.nii.gz"]


def test_wrong_usage(tmp_path, capsys):
    labels = write_labelled(tmp_path / "set", 8)
    arguments = ("finetune", labels, "--out", tmp_path / "m")
    code, printed = run(capsys, *arguments, "--shape", "big")
    assert code == 2
    assert "--shape takes 2 or 3 numbers" in printed.err
    code, printed = run(capsys, *arguments, "--pretrained", "nothing-of-it")
    assert code == 1
    assert "no pretrained network" in printed.err


def test_a_model_is_not_replaced_unasked(tmp_path, capsys):
    labels = write_labelled(tmp_path / "set", 8)
    model = tiny_bundle(tmp_path / "m")
    command = ("finetune", labels, "--out", model, "--json")
    code, printed = run(capsys, *command)
    error = json.loads(printed.out)["error"]
    assert code == 1
    assert error["source"] == str(model)
    assert "there is a model here already: tiny, of " in error["message"]
    # Said, it comes as far as the next thing that is wrong.
    code, printed = run(capsys, *command, "--overwrite", "--pretrained", "nothing")
    assert "no pretrained network" in json.loads(printed.out)["error"]["message"]


def test_labels_that_are_not_there(tmp_path, capsys):
    code, printed = run(
        capsys, "finetune", tmp_path / "no.csv", "--out", tmp_path / "m", "--json"
    )
    assert code == 1
    assert json.loads(printed.out)["error"]["source"].endswith("no.csv")
    assert not (tmp_path / "m").exists()


def test_where_no_scan_can_be_read_the_reason_is_told(tmp_path, capsys):
    labels = write_labelled(tmp_path / "set", flat=True)
    for file in labels.parent.glob("*.nii.gz"):
        file.write_bytes(b"damaged")
    code, printed = run(capsys, "finetune", labels, "--out", tmp_path / "m")
    assert code == 1
    assert "the first, scan00.nii.gz: " in printed.err.replace("\n", " ")


def test_copies_are_listed_and_told_again_where_they_are_allowed(tmp_path, capsys):
    labels = write_labelled(tmp_path / "set", n=16)
    folder = labels.parent
    # Copies are looked for at more voxels than the twelve of the other tests.
    random = np.random.default_rng(5)
    for n in range(16):
        values = random.normal(100, 40, (40, 40, 40)).astype(np.float32)
        nibabel.save(
            nibabel.Nifti1Image(values, np.eye(4)), folder / f"scan{n:02}.nii.gz"
        )
    for train, test in ((0, 12), (1, 13)):
        shutil.copy(folder / f"scan{train:02}.nii.gz", folder / f"scan{test:02}.nii.gz")
    options = (
        "--preset",
        "quick",
        "--epochs",
        1,
        "--device",
        "cpu",
        "--shape",
        "12,12,12",
    )
    command = ("finetune", labels, "--out", tmp_path / "m", *options)
    code, printed = run(capsys, *command)
    words = " ".join(printed.err.split())
    assert code == 1
    assert "scan12.nii.gz" in words
    assert "scan13.nii.gz" in words
    code, printed = run(capsys, *command, "--allow-leaks")
    assert code == 0
    assert "Warning: 2 leaks between the sides" in " ".join(printed.err.split())
