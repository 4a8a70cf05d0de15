"""Curves for TensorBoard."""

import pytest

from napari_resonance.errors import DependencyError
from napari_resonance.training import tensorboard
from napari_resonance.training.epochs import Epoch
from napari_resonance.training.tensorboard import TensorBoard


def test_the_figures_of_each_epoch_are_read_back(tmp_path):
    reading = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    board = TensorBoard(tmp_path)
    for number, loss in ((1, 0.7), (2, 0.5)):
        board(Epoch(number, 2, "fold 1 of 2", {"training_loss": loss}))
    board.close()
    events = reading.EventAccumulator(str(tmp_path / "fold-1-of-2")).Reload()
    found = [(e.step, round(e.value, 4)) for e in events.Scalars("training_loss")]
    assert found == [(1, 0.7), (2, 0.5)]


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"napari-resonance\[tensorboard\]"):
        TensorBoard(tmp_path)
