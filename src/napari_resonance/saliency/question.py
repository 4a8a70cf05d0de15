"""What one map is asked of a classifier, and everything a method needs to answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.definition import mirror_axes, total_stride
from napari_resonance.classifier.prediction import Saliency
from napari_resonance.classifier.stages import Answer, PreparedCase, Steps
from napari_resonance.errors import ResonanceError
from napari_resonance.geometry import FloatArray, Grid
from napari_resonance.saliency.baseline import BASELINES
from napari_resonance.saliency.methods import METHODS, Method

if TYPE_CHECKING:
    from napari_resonance.classifier.predict import Classifier

Array = NDArray[np.float32]
Evidence = tuple[Array, FloatArray]
"""Signed values ``(x, y, z)`` and their affine to RAS+ mm."""

SIGNS = ("for", "against", "both")
DEFAULT = BASELINES[0]
_WITHOUT = {
    "layer": "looks at no layer",
    "baseline": "compares the scan with nothing",
    "window": "covers no part of the scan",
}


@dataclass(frozen=True)
class ExplainOptions:
    """What map is wanted.

    Parameters
    ----------
    method
        A name in ``saliency.methods.METHODS``.
    target
        Label to explain; None for the most probable one (that is not `against`).
    against
        Label to contrast it with: the map then shows what speaks for `target` rather
        than for this one.
    sign
        Which evidence is drawn and exported: "for" the label, "against" it or "both".
        The map itself keeps both.
    layer
        Layer whose feature map is used, for methods that take one; None for the last.
    baseline
        What the scan is compared with by methods that take parts of it away: "mean",
        "lowest" or "blur", see ``saliency.baseline``.
    window_mm
        Side of the window that occlusion covers; None for a fifth of the longest side
        of what a 3D network sees, an eighth in 2D.
    center_mm, box_mm, force
        As ``Classifier.classify`` takes them.

    """

    method: str = "gradcam"
    target: str | None = None
    against: str | None = None
    sign: str = "for"
    layer: str | None = None
    baseline: str = DEFAULT
    window_mm: float | None = None
    center_mm: Sequence[float] | None = None
    box_mm: Sequence[float] | None = None
    force: bool = False

    @property
    def subject(self) -> str:
        """What is explained: "T1w", or "T1w rather than FLAIR"."""
        if self.against is None:
            return str(self.target)
        return f"{self.target} rather than {self.against}"

    def check(self, labels: Sequence[str]) -> None:
        """Refuse what no map can be made of.

        Raises
        ------
        ResonanceError
            If method, label or sign are unknown, the two labels are the same, or the
            method does not take the layer, baseline or window that was chosen.

        """
        method = METHODS.get(self.method)
        if method is None:
            raise ResonanceError(
                f"there is no saliency method {self.method!r}",
                remedy=f"Use {', '.join(METHODS)}",
            )
        for label in (self.target, self.against):
            if label is not None and label not in labels:
                raise ResonanceError(
                    f"the classifier has no label {label!r}",
                    remedy=f"Its labels are {', '.join(labels)}",
                )
        if self.target is not None and self.target == self.against:
            raise ResonanceError(
                f"{self.target!r} cannot be contrasted with itself",
                remedy="Choose two labels",
            )
        for name, value, known in (
            ("sign", self.sign, SIGNS),
            ("baseline", self.baseline, BASELINES),
        ):
            if value not in known:
                raise ResonanceError(
                    f"there is no {name} {value!r}", remedy=f"Use {', '.join(known)}"
                )
        if self.window_mm is not None and not 0 < self.window_mm < math.inf:
            raise ResonanceError(
                f"a window of {self.window_mm} mm cannot cover anything",
                remedy="Give its side in mm, above 0",
            )
        unused = {
            "layer": self.layer is not None and not method.takes_layer,
            "baseline": self.baseline != DEFAULT and not method.takes_baseline,
            "window": self.window_mm is not None and not method.takes_window,
        }
        for part, is_unused in unused.items():
            if is_unused:
                takes = f"takes_{part}"
                able = ", ".join(m.name for m in METHODS.values() if getattr(m, takes))
                raise ResonanceError(
                    f"the method {self.method!r} {_WITHOUT[part]}",
                    remedy=f"Leave the {part} out, or use {able}",
                )


@dataclass(eq=False)
class Question:
    """One map that is wanted of one case.

    Parameters
    ----------
    classifier, case, answer
        Who was asked what, and the answer.
    options
        What map is wanted.
    score
        float32 ``(labels,)``: what is explained is logits @ score, averaged over
        slices. 1 at the target, -1 at the label it is contrasted with.
    steps
        Told of each step; stops the work.
    forwards
        How often the network has run over the whole case, the prediction included.
    notices
        What the user should know of how the map was made, in sentences.

    """

    classifier: Classifier
    case: PreparedCase
    answer: Answer
    options: ExplainOptions
    score: Array
    steps: Steps
    forwards: float = 1.0
    notices: list[str] = field(default_factory=list)

    @property
    def method(self) -> Method:
        """The method that was chosen."""
        return METHODS[self.options.method]

    @property
    def array(self) -> Array:
        """Network input, float32 ``(N, C, *spatial)``."""
        return self.case.network_input.array

    @property
    def grid(self) -> Grid:
        """Where the network input lies: axes ``(x, y, z)`` or (row, column, slice)."""
        return self.case.network_input.grid

    @property
    def stride(self) -> tuple[int, ...]:
        """Input voxels between neighbouring cells of the last feature map."""
        return total_stride(self.classifier.bundle.network_def)

    @property
    def mirror_axes(self) -> tuple[int, ...]:
        """Axes along which the network looks at the mirror image too."""
        return mirror_axes(self.classifier.bundle.network_def)

    def saliency(self, evidence: Evidence, method: str, sign: str) -> Saliency:
        """Return evidence as the map of what is asked, in the region that was seen."""
        values, affine = evidence
        return Saliency(
            values=values,
            affine=affine,
            method=method,
            target=self.options.subject,
            extent=(self.grid.shape, self.grid.affine),
            oriented=self.case.scan.oriented,
            sign=sign,
            layer=self.options.layer or "",
        )

    def torch_network(self) -> tuple[Any, str]:
        """Return the network in torch and its device; say so where that is a change."""
        used = self.classifier.device
        self.steps.begin("loading the network in torch")
        network, device = self.classifier.torch_network()
        if used != f"torch {device}":
            self.notices.append(
                f"{self.method.name} needs gradients, so that the map was made by "
                f"torch on {device}; the answer is from {used}"
            )
        return network, device
