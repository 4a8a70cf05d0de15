"""What a run did, and what one would do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_resonance.scoring import views
from napari_resonance.scoring.pipeline import Stages
from napari_resonance.scoring.plan import Plan


@dataclass(frozen=True)
class Summary:
    """What a folder of results holds after a run.

    Parameters
    ----------
    scored, failed, skipped
        Number of results of each kind, one a scan and model.
    resumed
        How many of these were there before the run.
    out
        The folder.
    stages
        How busy each stage was.

    """

    scored: int
    failed: int
    skipped: int
    resumed: int
    out: Path
    stages: Stages

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of ``resonance score``."""
        return {
            "scored": self.scored,
            "failed": self.failed,
            "skipped": self.skipped,
            "resumed": self.resumed,
            "out": str(self.out),
            "busy": self.stages.busy(),
        }

    def __str__(self) -> str:
        """Return one sentence."""
        before = f", {self.resumed} of them in earlier runs" if self.resumed else ""
        return (
            f"{self.scored} scored, {self.failed} failed, {self.skipped} skipped"
            f"{before}: see {self.out / views.TABLE}."
        )


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Parameters
    ----------
    plan
        The scans.
    there, pending
        Results that are there already; those that are missing.
    sampled
        How many of the missing ones were scored to measure `seconds`.
    seconds
        That the run will take, reading and network one after the other; None where
        nothing could be measured.

    """

    plan: Plan
    there: int
    pending: int
    sampled: int
    seconds: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of a dry run."""
        left_out = [{"source": s, "reason": r} for s, r in self.plan.left_out]
        scans = [
            {
                "source": item.source,
                "modality": item.modality,
                "shape": list(item.shape),
                "description": item.description,
                "error": item.refused or None,
            }
            for item in self.plan.items
        ]
        return {
            "scans": scans,
            "left_out": left_out,
            "there": self.there,
            "pending": self.pending,
            "sampled": self.sampled,
            "seconds": self.seconds,
        }
