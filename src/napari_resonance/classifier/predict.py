"""From a scan to a prediction: prepare, run, calibrate, judge, explain."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.bundle import Bundle, load_bundle
from napari_resonance.classifier.engines import (
    DeviceLimitError,
    DeviceMemoryError,
    Engine,
    TorchEngine,
    choose_device,
    load_network,
    make_engine,
)
from napari_resonance.classifier.judging import judged
from napari_resonance.classifier.members import Heads
from napari_resonance.classifier.openvino_engine import OpenVinoEngine
from napari_resonance.classifier.parts import Chain, openvino_chains, torch_chains
from napari_resonance.classifier.prediction import Prediction
from napari_resonance.classifier.scan_checks import is_constant, unsuitable
from napari_resonance.classifier.stages import (
    Answer,
    PreparedCase,
    Steps,
    joined,
    millimetres,
    parts_of,
)
from napari_resonance.errors import (
    ModelError,
    PreprocessingError,
    ResonanceError,
    UnsuitableScanError,
)
from napari_resonance.preprocessing import NetworkInput, Recipe
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.scan import Scan, source_of

if TYPE_CHECKING:
    from os import PathLike

    from napari_resonance.classifier.card import ModelCard
    from napari_resonance.classifier.network import Network


def load_classifier(
    name_or_path: str | PathLike[str], device: str = "auto", precision: str = "auto"
) -> Classifier:
    """Load a classifier by name, if it comes with the package, or from its folder.

    Parameters
    ----------
    name_or_path
        For example ``"mr-sequence"``, or the folder of a bundle.
    device
        "auto", "cpu", "cuda" or "mps".
    precision
        "auto", "32-true" or, on CUDA, "16-mixed".

    Raises
    ------
    ModelError
        If the model cannot be read, or there is no such device or precision.

    """
    return Classifier(load_bundle(name_or_path), device, precision)


class Classifier:
    """A network with everything needed to ask it about a scan.

    Cheap to make: the engine is made when the first scan is classified. May be used
    from several threads; they take turns.

    Parameters
    ----------
    bundle
        What the classifier is made of.
    device, precision
        As `load_classifier` takes them.

    """

    def __init__(
        self, bundle: Bundle, device: str = "auto", precision: str = "auto"
    ) -> None:
        self.bundle = bundle
        self._wanted = device if device == "auto" else choose_device(device), precision
        self._engine: Engine | None = None
        self._spare: Engine | None = None  # on the CPU, for what a card cannot
        self._network: Network | None = None
        self._lock = threading.Lock()
        self._notes: tuple[str, ...] = ()

    @property
    def card(self) -> ModelCard:
        """What the classifier is for."""
        return self.bundle.card

    @property
    def name(self) -> str:
        """What the classifier is called."""
        return self.bundle.card.name

    @property
    def sha256(self) -> str:
        """Hash of all that an answer depends on."""
        return self.bundle.sha256

    @property
    def labels(self) -> tuple[str, ...]:
        """The answers, in the order of the network's outputs."""
        return self.bundle.card.labels

    @property
    def device(self) -> str:
        """The engine's name ("openvino", "torch cuda", ...); before, what was asked."""
        return self._wanted[0] if self._engine is None else self._engine.name

    def classify(  # noqa: PLR0913 - the contract of the Python interface
        self,
        scan: Scan | Sequence[Scan],
        *,
        saliency: str | None = None,
        target: str | None = None,
        against: str | None = None,
        center_mm: Sequence[float] | None = None,
        box_mm: Sequence[float] | None = None,
        force: bool = False,
        progress: Progress = no_progress,
        should_stop: ShouldStop = never,
    ) -> Prediction:
        """Say what a scan is, how sure that is, and where the network looked.

        Parameters
        ----------
        scan
            One scan; of a time series the first volume is used, with a warning. Where
            the classifier takes several registered scans as channels, all of them, in
            the order of ``bundle.recipe.channels``.
        saliency
            Name of a method in ``saliency.methods.METHODS``, or None for no map.
        target
            Label to explain; the most probable one if None.
        against
            Label to contrast it with: the map then shows what speaks for `target` (by
            default the most probable of the others) rather than for this one.
        center_mm
            Middle of the region to classify, RAS+ mm, where the classifier looks at
            regions. DICOM's positions have the other sign along x and y.
        box_mm
            Size of the region along the axes of the network's grid in mm, if another
            than the recipe's; a warning says so.
        force
            Classify a scan of the wrong kind too, with a warning.
        progress, should_stop
            Called between steps and, for a 2D network, between batches of slices.

        Raises
        ------
        UnsuitableScanError
            If modality or dimensions are not those the classifier was made for.
        PreprocessingError
            If the scan is blank or cannot be prepared, a centre is missing, not wanted
            or outside the scan, or the number of scans is wrong.
        ModelError
            If the network cannot run, or answers with NaN.
        CancelledError
            If `should_stop` said so.
        ResonanceError
            If the method or the target is unknown.

        """
        from napari_resonance.saliency.explain import ExplainOptions, with_map

        started = time.perf_counter()
        options = None
        if saliency is not None or target is not None or against is not None:
            options = ExplainOptions(saliency or "gradcam", target, against)
            options.check(self.labels)
        steps = Steps(3, progress, should_stop)
        asked = self.ask(
            scan, center_mm=center_mm, box_mm=box_mm, force=force, steps=steps
        )
        prediction = asked[2]
        if options is not None and saliency is not None:
            prediction = with_map(self, asked, options, steps)
        steps.end()
        return replace(prediction, seconds=time.perf_counter() - started)

    def ask(
        self,
        scan: Scan | Sequence[Scan],
        *,
        steps: Steps,
        center_mm: Sequence[float] | None = None,
        box_mm: Sequence[float] | None = None,
        force: bool = False,
    ) -> tuple[PreparedCase, Answer, Prediction]:
        """Prepare, run and judge: all stages of `classify`, with what lies between.

        Parameters
        ----------
        scan, center_mm, box_mm, force
            As `classify` takes them.
        steps
            Counts the steps and stops between them.

        """
        steps.begin("preparing the scan")
        case = self.prepare(scan, center_mm=center_mm, box_mm=box_mm, force=force)
        answer = self._run(case, steps)
        steps.begin("judging the answer")
        return case, answer, self.judge(case, answer)

    def prepare(
        self,
        scan: Scan | Sequence[Scan],
        *,
        center_mm: Sequence[float] | None = None,
        box_mm: Sequence[float] | None = None,
        force: bool = False,
    ) -> PreparedCase:
        """Make the network's input of a scan: the first stage of `classify`.

        Parameters
        ----------
        scan, center_mm, box_mm, force
            As `classify` takes them.

        Raises
        ------
        UnsuitableScanError, PreprocessingError, ModelError
            As `classify` does.

        """
        scans = [scan] if isinstance(scan, Scan) else list(scan)
        try:
            odd = tuple(
                dict.fromkeys(r for s in scans for r in unsuitable(s, self.card))
            )
            if odd and not force:
                raise UnsuitableScanError(
                    odd[0], remedy="Choose another model, or force the classification"
                )
            recipe = self.bundle.recipe
            if box_mm is not None:
                recipe = recipe.with_box(box_mm)
            network_input = self._network_input(scans, recipe, center_mm)
        except ResonanceError as error:
            first = scans[0] if scans else None
            error.source = error.source or (first and source_of(first)) or None
            raise
        found = (w for s in scans for w in s.warnings)
        warnings = (*self.bundle.warnings, *found, *odd, *network_input.warnings)
        if box_mm is not None and recipe != self.bundle.recipe:
            warnings = (*warnings, "the region is not of the size it was trained on")
        return PreparedCase(
            scans[0],
            network_input,
            recipe.sha256,
            warnings,
            center_mm=millimetres(center_mm),
            box_mm=millimetres(box_mm),
            channels=tuple(source_of(s) for s in scans[1:]),
        )

    def run(self, array: NDArray[np.float32]) -> Answer:
        """Run the network: the second stage of `classify`.

        Parameters
        ----------
        array
            float32 ``(N, C, *spatial)``: the slices of one case of a 2D network, or
            cases of one shape of a 3D one, whose rows of the answer are their own.

        Raises
        ------
        ModelError
            If the network cannot run, or answers with NaN.

        """
        notes: dict[str, None] = {}
        return joined([self._forward(part, notes) for part in parts_of(array)], notes)

    def _network_input(
        self,
        scans: Sequence[Scan],
        recipe: Recipe,
        center_mm: Sequence[float] | None,
    ) -> NetworkInput:
        prepared = recipe.apply(scans, center_mm)
        array = prepared.array
        channels = int(self.bundle.network_def.get("n_input_channels", 3))
        if array.shape[1] != channels:
            raise ModelError(
                f"the recipe gives {array.shape[1]} channels, the network takes "
                f"{channels}: the model's parts do not belong together"
            )
        space = tuple(range(2, array.ndim))
        blank = next((s for s in scans if is_constant(s)), None)
        if blank is not None or not np.ptp(array, axis=(0, *space)).any():
            what = "scan" if blank is not None or recipe.box is None else "region"
            raise PreprocessingError(
                f"the {what} is blank: all its voxels have the same value",
                source=None if blank is None else source_of(blank) or None,
                remedy="Leave it out",
            )
        return prepared

    def _run(self, case: PreparedCase, steps: Steps) -> Answer:
        """Run the network over all slices, or the one volume, between steps."""
        parts = parts_of(case.network_input.array)
        steps.total += len(parts) - 1
        outputs = []
        notes: dict[str, None] = {}
        try:
            for part in parts:
                steps.begin("running the network")
                outputs.append(self._forward(part, notes))
            return joined(outputs, notes)
        except ModelError as error:
            error.source = error.source or source_of(case.scan) or None
            raise

    def _forward(
        self, batch: NDArray[np.float32], notes: dict[str, None]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with self._lock:
            if self._engine is None:
                self._engine = make_engine(self.bundle, *self._wanted)
            return self._on_engine(self._engine, batch, notes)

    def _on_engine(
        self, engine: Engine, batch: NDArray[np.float32], notes: dict[str, None]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run a batch: in halves where it is too large for a card, then on the CPU."""
        notes |= dict.fromkeys(self._notes)
        try:
            return engine.run(batch)
        except DeviceLimitError as error:
            is_memory = isinstance(error, DeviceMemoryError)
            note = f"the network ran on the CPU: {engine.name} {error}"
        if is_memory and len(batch) > 1:
            halves = np.array_split(batch, 2)
            both = [self._on_engine(engine, half, notes) for half in halves]
            logits, features = map(np.concatenate, zip(*both, strict=True))
            return logits, features
        if self._spare is None:
            self._spare = make_engine(self.bundle, "cpu")
        notes[note] = None
        if not is_memory:  # nor would it be able to next time
            self._engine, self._notes = self._spare, (note,)
        return self._spare.run(batch)

    def judge(self, case: PreparedCase, answer: Answer) -> Prediction:
        """Say what an answer means: the last stage of `classify`, without a map.

        Of a 3D network, `answer` is the one row of this case.
        """
        return judged(self.bundle, case, answer)

    def torch_network(self) -> tuple[Network, str]:
        """Return the network in torch, for gradients, and the device it is on.

        In evaluation mode and with its weights; loaded once. It is the one that
        predicts where torch predicts.
        """
        with self._lock:
            if isinstance(self._engine, TorchEngine):
                return self._engine.network, self._engine.device
            if self._network is None:
                self._network = load_network(self.bundle).requires_grad_(False)
            return self._network, "cpu"

    @cached_property
    def chains(self) -> list[Chain]:
        """The members of the network, or its only one, in parts, if it has any."""
        if isinstance(self._engine, OpenVinoEngine):
            return openvino_chains(self.bundle)
        if isinstance(self._engine, TorchEngine) and self._engine.device == "cpu":
            return torch_chains(self._engine.network)
        return []

    @cached_property
    def heads(self) -> Heads:
        """What makes logits of the pooled features, of each member."""
        return self.bundle.heads()
