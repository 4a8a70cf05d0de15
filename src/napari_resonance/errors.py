"""The errors this package raises on purpose: which file, what is wrong, what to do."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any


class ResonanceError(Exception):
    """Base of every error that is the input's or the environment's fault, not a bug.

    Parameters
    ----------
    message
        What is wrong, as one sentence without a final full stop.
    source
        The file, folder or model it concerns, where there is one.
    remedy
        What the user can do about it, as one sentence without a final full stop.

    """

    def __init__(
        self,
        message: str,
        *,
        source: str | PathLike[str] | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.source = None if source is None else fspath(source)
        self.remedy = remedy

    def __str__(self) -> str:
        """Return ``source: message. Remedy.`` with the parts that are known."""
        where = f"{self.source}: " if self.source else ""
        way_out = f". {self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{way_out}"

    def to_json(self) -> dict[str, Any]:
        """Return the ``error`` entry of the command line's JSON documents."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "source": self.source,
            "remedy": self.remedy,
        }


class ReadError(ResonanceError):
    """A file or folder cannot be read as a scan."""


class GeometryError(ResonanceError):
    """An affine, grid or shape that no scan can have."""


class PreprocessingError(ResonanceError):
    """A recipe is not valid, or a scan cannot be prepared with it."""


class ModelError(ResonanceError):
    """A model folder is incomplete, damaged or of an unknown kind."""


class UnsuitableScanError(ResonanceError):
    """A scan of a kind the classifier was not made for (modality, dimensions)."""


class SaliencyError(ResonanceError):
    """A map that cannot be made: no such layer, a single cell, values like NaN."""


class DependencyError(ResonanceError):
    """An optional package is missing; the remedy names the line that installs it."""


class ExportError(ResonanceError):
    """A result cannot be written."""


class TrainingError(ResonanceError):
    """Labels or scans that no classifier can be trained on."""


class CancelledError(ResonanceError):
    """The caller asked to stop before the result was there."""


class ScoringError(ResonanceError):
    """A run over many scans that cannot begin or go on, or a scan that broke it."""


def without_source(error: ResonanceError) -> str:
    """Return an error's message and remedy as a sentence each."""
    parts = [part.rstrip(".") for part in (error.message, error.remedy) if part]
    return f"{'. '.join(parts)}."
