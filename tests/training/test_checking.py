"""What is said of labels before anything is trained."""

import shutil
from dataclasses import replace

import pytest
from support.labelled import write_labelled

from napari_resonance.errors import CancelledError, ModelError, TrainingError
from napari_resonance.training import prepared
from napari_resonance.training.checking import check_labels
from napari_resonance.training.finetune import finetune
from napari_resonance.training.options import FinetuneOptions

QUICK = FinetuneOptions(preset="quick", epochs=1, batch=6, device="cpu", convert=False)


@pytest.fixture
def table(tmp_path):
    return write_labelled(tmp_path / "labelled")


def test_balance_and_sides_are_told(table, tmp_path):
    found = check_labels(table, tmp_path / "model", options=QUICK)
    assert found.patients == 12
    assert sum(found.counts["train"].values()) == 12
    assert sum(sum(labels.values()) for labels in found.counts.values()) == 24
    assert found.sides["scan00.nii.gz"] == "train"
    assert found.leaks == found.left_out == ()
    text = found.summary()
    assert text.startswith("12 patients: 12 scans to learn from (cube: 6, none: 6); ")


def test_with_folds_there_are_no_sides(table, tmp_path):
    plain = write_labelled(table.parent, sides=False)
    options = FinetuneOptions(preset="quick", folds=3)
    found = check_labels(plain, tmp_path / "model", options=options)
    assert found.counts == {"in all": {"cube": 12, "none": 12}}
    assert set(found.sides.values()) == {""}


def with_copies(table, copies):
    """Make scans of the other sides copies of scans that are trained on."""
    rows = table.read_text().splitlines()
    sides = {row.split(",")[0]: row.split(",")[3] for row in rows}
    for source, copy in copies.items():
        # 64 voxels along each axis, where copies are told from strangers.
        shutil.copy(table.parent / source, table.parent / copy)
        rows = [row for row in rows if not row.startswith(copy)]
        rows.append(f"{copy},none,p{copy[4:6]}9,{sides[copy]}")
    table.write_text("\n".join(rows))


def test_leaks_are_told_and_not_refused(table, tmp_path):
    with_copies(table, {"scan00.nii.gz": "scan23.nii.gz"})
    found = check_labels(table, tmp_path / "model", options=QUICK)
    assert len(found.leaks) == 1
    assert "scan00.nii.gz (train)" in found.leaks[0]
    assert "scan23.nii.gz" in found.leaks[0]


def test_a_training_with_leaks_is_refused_and_all_of_them_are_listed(table, tmp_path):
    copies = {f"scan{n:02}.nii.gz": f"scan{22 - n}.nii.gz" for n in (0, 2, 4, 6)}
    with_copies(table, copies)
    with pytest.raises(TrainingError, match="was trained on") as raised:
        finetune(table, tmp_path / "model", options=QUICK)
    assert "--allow-leaks" in raised.value.remedy
    listed = tmp_path / "model.training" / "leaks.csv"
    assert f"and 1 more, see {listed}" in raised.value.message
    rows = [row.split(",") for row in listed.read_text().splitlines()]
    assert rows[0] == ["kind", "one", "other"]
    assert {(one, other) for _, one, other in rows[1:]} == set(copies.items())
    trained = finetune(
        table, tmp_path / "model", options=replace(QUICK, allow_leaks=True)
    )
    assert len(trained.to_json()["leaks"]) == 4
    assert not listed.exists()


def test_a_scan_that_cannot_be_read_is_left_out_with_a_reason(table, tmp_path):
    (table.parent / "scan03.nii.gz").write_bytes(b"nothing")
    found = check_labels(table, tmp_path / "model", options=QUICK)
    ((source, why),) = found.left_out
    assert source == "scan03.nii.gz"
    assert why


def test_the_training_does_not_prepare_again(table, tmp_path, monkeypatch):
    check_labels(table, tmp_path / "model", options=QUICK)
    monkeypatch.setattr(prepared, "prepare_regions", None)
    result = finetune(table, tmp_path / "model", options=QUICK)
    assert result.bundle.card.labels == ("cube", "none")


def test_it_can_be_stopped_and_refuses_what_training_refuses(table, tmp_path):
    with pytest.raises(CancelledError):
        check_labels(table, tmp_path / "model", should_stop=lambda: True)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").touch()
    with pytest.raises(ModelError, match="something else"):
        check_labels(table, tmp_path / "taken")
