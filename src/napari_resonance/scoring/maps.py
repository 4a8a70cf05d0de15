"""Saliency maps and thumbnails of a run, where they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.export.atomic import replacing
from napari_resonance.scoring.names import Shown

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction, Saliency
    from napari_resonance.classifier.stages import Answer, PreparedCase
    from napari_resonance.preprocessing import Recipe
    from napari_resonance.scan import Scan
    from napari_resonance.scoring.options import Scorer

FOLDER = "saliency"
_THUMBNAIL_PX = 192


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is written beside the results of a scan.

    Parameters
    ----------
    saliency
        The map, on its own grid.
    thumbnail
        PNG file: what the network was given, with the map laid over it.

    """

    saliency: Saliency
    thumbnail: bytes


def judged(
    scorer: Scorer, case: PreparedCase, answer: Answer, *, maps: bool
) -> tuple[dict[str, Any], Drawn | None]:
    """Return what an answer means, for JSON, and the map of it if asked for.

    The map is Grad-CAM, which falls out of the forward pass that predicts. Of the scan
    itself nothing is there any more: the thumbnail shows what the network was given.

    Parameters
    ----------
    scorer
        The model.
    case, answer
        What it was given and what it answered.
    maps
        Whether a map is asked for; only classifiers make one.

    """
    from napari_resonance.classifier.predict import Classifier

    prediction = scorer.judge(case, answer)
    drawn = None
    if maps and isinstance(scorer, Classifier):
        from napari_resonance.classifier.stages import Steps
        from napari_resonance.progress import never, no_progress
        from napari_resonance.saliency.explain import ExplainOptions, with_map

        steps = Steps(1, no_progress, never)
        asked = (case, answer, prediction)
        prediction = with_map(scorer, asked, ExplainOptions(), steps)
        if prediction.saliency is not None:
            picture = _picture(case, scorer.bundle.recipe, prediction)
            drawn = Drawn(prediction.saliency, picture)
    return replace(prediction, saliency=None).to_json(), drawn


class Maps:
    """Writes maps and thumbnails under names that say nothing of the patient.

    Parameters
    ----------
    out
        The folder of the results, with its key.

    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._shown = Shown(out, identifiers=False)

    def write(self, item: str, model: str, drawn: Drawn) -> dict[str, str]:
        """Write the files of a scan; return their places for its row.

        Parameters
        ----------
        item, model
            Key of the scan and hash of the model: both make the name.
        drawn
            What to write.

        Raises
        ------
        ExportError
            If that is not possible.

        """
        from napari_resonance.export.nifti import write_saliency

        name = f"{FOLDER}/{self._shown.identifier(f'{item} {model}')}"
        write_saliency(drawn.saliency, self._out / f"{name}.nii.gz")
        with replacing(self._out / f"{name}.png") as temporary:
            temporary.write_bytes(drawn.thumbnail)
        return {"saliency": f"{name}.nii.gz", "picture": f"{name}.png"}


def _picture(case: PreparedCase, recipe: Recipe, prediction: Prediction) -> bytes:
    """Return a PNG of what a network was given of a case's first scan, with the map."""
    from napari_resonance.export.picture import thumbnail

    return thumbnail(_as_scan(case, recipe), prediction, _THUMBNAIL_PX)


def _as_scan(case: PreparedCase, recipe: Recipe) -> Scan:
    """Return the first channel of what a network was given, or its colours, as a scan.

    Colours are brought back from the statistics of the network to 8 bits.
    """
    from napari_resonance.scan import Scan

    array, grid = case.network_input.array, case.network_input.grid
    # Of a 2D network the slices are a batch: (slice, channel, row, column).
    flat = array.ndim == 4
    values = array.transpose(2, 3, 0, 1) if flat else np.moveaxis(array[0], 0, -1)
    if not recipe.color:
        return Scan(values[..., 0], grid.affine, oriented=case.scan.oriented)
    black, white = np.array(recipe.color_scales[:3], np.float32).T
    shown = np.clip(255 * (values[..., :3] - black) / white, 0, 255)
    voxels = np.rint(shown).astype(np.uint8)
    return Scan(voxels, grid.affine, color=True, oriented=case.scan.oriented)
