"""The pretrained networks and models that a training can begin with."""

from __future__ import annotations

from dataclasses import dataclass

from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.training.options import AUTO, SCRATCH


@dataclass(frozen=True)
class Beginning:
    """Where a training can begin.

    Parameters
    ----------
    name
        As `finetune` takes it.
    title, about
        For the list, and below it.

    """

    name: str
    title: str
    about: str


def automatic() -> Beginning:
    """Return what is chosen until somebody chooses."""
    about = (
        "A small network. Where scans are small and patients few, it has seen drawn "
        "pictures before."
    )
    return Beginning(AUTO, "Automatic", about)


def find_beginnings(progress: Progress, should_stop: ShouldStop) -> list[Beginning]:
    """List the pretrained networks, those on this computer first."""
    progress(0, 0, "Looking for pretrained weights")
    from napari_resonance.classifier.bundle import list_models
    from napari_resonance.classifier.catalogue import CATALOGUE
    from napari_resonance.classifier.download import is_on_disk

    found = [
        automatic(),
        Beginning(SCRATCH, "From scratch", "A small network that knows nothing yet."),
        *(
            Beginning(b.card.name, b.card.name, f"{b.card.task}. {b.card.licence}")
            for b in list_models()
        ),
    ]
    there = {name: is_on_disk(entry) for name, entry in CATALOGUE.items()}
    for name in sorted(there, key=lambda name: not there[name]):
        entry = CATALOGUE[name]
        how = "on this computer" if there[name] else "to be downloaded"
        if entry.package and not there[name]:
            how = f"needs the package {entry.package}"
        about = (
            f"{entry.dimensions}D, trained on {entry.training_data}. "
            f"{entry.megabytes} MB, {entry.licence}, {how}"
        )
        mark = "" if there[name] else " ↓"
        found.append(Beginning(name, f"{name}{mark}", about))
    return found
