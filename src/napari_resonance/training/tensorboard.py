"""Curves for TensorBoard, written while a training runs."""

from __future__ import annotations

from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from napari_resonance.errors import DependencyError
from napari_resonance.export.atomic import writable_folder
from napari_resonance.training.epochs import Epoch


class TensorBoard:
    """Writes the figures of each epoch: what `finetune` takes as `on_epoch`.

    Parameters
    ----------
    folder
        What ``tensorboard --logdir`` is given. Each training (of a fold, of a member)
        has a folder of its own in it. The files' names hold the name of the computer.

    Raises
    ------
    DependencyError
        If the package tensorboard is missing.
    ExportError
        If the folder cannot be written to.

    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        if find_spec("tensorboard") is None:
            raise DependencyError(
                "the package tensorboard is needed to write its files",
                remedy="Install it with: python -m pip install "
                '"napari-resonance[tensorboard]"',
            )
        self.folder = writable_folder(Path(folder))
        self._writers: dict[str, Any] = {}

    def __call__(self, epoch: Epoch) -> None:
        """Add the figures of an epoch."""
        writer = self._writer(epoch.title.replace(", ", "-").replace(" ", "-"))
        for name, value in epoch.figures.items():
            writer.add_scalar(name, value, epoch.number)
        writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, title: str) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        if title not in self._writers:
            # A training that goes on tells of its earlier epochs again.
            place = str(self.folder / (title or "training"))
            self._writers[title] = SummaryWriter(place, purge_step=1)
        return self._writers[title]
