"""A disk that is full: what it says, and that training goes on once there is space."""

import pytest
from support.disks import mounted, remount
from support.labelled import write_labelled

from napari_resonance.errors import TrainingError
from napari_resonance.training.finetune import FinetuneOptions, finetune

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]

OPTIONS = FinetuneOptions(
    preset="quick", epochs=2, batch=6, device="cpu", convert=False
)


# The first holds no prepared scans, the second those, but no checkpoint.
@pytest.mark.parametrize(
    ("kilobytes", "sentence"),
    [
        (100, "the prepared scans could not be kept: no space left"),
        (1000, "the checkpoint could not be written .No space left"),
    ],
)
def test_it_is_said_and_training_goes_on_later(tmp_path, kilobytes, sentence):
    labels = write_labelled(tmp_path / "set")
    with mounted(tmp_path / "disk", f"size={kilobytes}k") as disk:
        with pytest.raises(TrainingError, match=sentence):
            finetune(labels, disk / "m", options=OPTIONS)
        assert not (disk / "m").exists()
        remount(disk, "size=200m")
        result = finetune(labels, disk / "m", options=OPTIONS, resume=True)
        assert result.bundle.path == disk / "m"
        assert [p.name for p in disk.iterdir()] == ["m"]
