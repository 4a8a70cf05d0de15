"""Processors and graphics cards, with names and free memory, for people to choose."""

from __future__ import annotations

from dataclasses import dataclass

from napari_resonance.errors import ModelError
from napari_resonance.memory import available_memory

_KINDS = {
    "cpu": "Processor",
    "cuda": "Graphics card",
    "mps": "Apple graphics processor",
}


@dataclass(frozen=True)
class DeviceChoice:
    """A device as a classifier takes it, and what it is called in the list.

    Parameters
    ----------
    name, text
        For the classifier, and for people.
    precisions
        Those of its arithmetic, "auto" first.

    """

    name: str
    text: str
    precisions: tuple[str, ...] = ("auto",)


def find_devices() -> tuple[DeviceChoice, ...]:
    """Return what this computer can run a network on, "auto" first.

    Looking at graphics cards imports torch, which takes seconds: not for the window's
    own thread.
    """
    from napari_resonance.classifier.engines import (
        DEVICES,
        choose_device,
        precisions_of,
    )

    there = []
    for name in DEVICES:
        try:
            there.append((name, choose_device(name)))
        except ModelError:
            continue
    return tuple(
        DeviceChoice(
            name,
            f"Automatic ({_KINDS[device].lower()})" if name == "auto" else _text(name),
            precisions_of(device),
        )
        for name, device in there
    )


def gigabytes(n: int) -> str:
    """Return a number of bytes: ``"0.3 GB"``, ``"12 GB"``."""
    size = n / 2**30
    return f"{size:.1f} GB" if size < 10 else f"{size:.0f} GB"


def _text(device: str) -> str:
    kind, free = _KINDS[device], None
    if device == "cuda":
        import torch

        kind = torch.cuda.get_device_name()
        free = torch.cuda.mem_get_info()[0]
    elif device == "cpu":
        free = available_memory()
    return kind if free is None else f"{kind}, {gigabytes(free)} free"
