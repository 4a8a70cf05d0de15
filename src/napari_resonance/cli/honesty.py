"""How far a map can be believed, as far as ``resonance explain`` is asked to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.classifier.prediction import Saliency
    from napari_resonance.progress import Progress
    from napari_resonance.saliency.explain import Explanation

# Other methods whose maps are compared: those that take seconds.
_COMPARED = ("gradcam", "gradcam++", "gradient-x-input", "integrated-gradients")


@dataclass(frozen=True)
class Checks:
    """What is to be measured of a map.

    Parameters
    ----------
    faithfulness
        "quick" or "full" for deletion and insertion; empty for neither.
    sanity
        Whether to randomise the network.
    stability
        Whether to change the scan a little, and to compare with other methods.
    residual
        Whether to look at each residual block.

    """

    faithfulness: str = ""
    sanity: bool = False
    stability: bool = False
    residual: bool = False

    def measured(
        self,
        classifier: Classifier,
        found: Explanation,
        progress: Callable[[str], Progress],
    ) -> tuple[Explanation, dict[str, Any], dict[str, Saliency]]:
        """Return the explanation with its figures, and what else was found.

        Returns
        -------
        found
            The explanation, its map with the figures of its faithfulness.
        entries
            Of the document.
        maps
            Further maps, by what they are called in file names.

        """
        maps: dict[str, Saliency] = {}
        entries: dict[str, Any] = {
            "faithfulness": None,
            "sanity": None,
            "stability": None,
            "agreement": None,
            "members": None,
            "residual": None,
        }
        if self.faithfulness:
            found, entries["faithfulness"] = _faithful(
                classifier, found, self.faithfulness, progress("faithfulness: ")
            )
        if self.sanity:
            from napari_resonance.saliency.sanity import sanity

            entries["sanity"] = sanity(
                classifier, found, progress=progress("sanity: ")
            ).to_json()
        if self.stability:
            stable, maps = _stable(classifier, found, progress)
            entries |= stable
        if self.residual:
            from napari_resonance.saliency.residual import residual_lens

            lens = residual_lens(classifier, found, progress=progress("residual: "))
            entries["residual"] = lens.to_json()
            maps |= {f"residual_{name}": one for name, one in lens.stages.items()}
            found = replace(found, forwards=found.forwards + lens.forwards)
        return found, entries, maps


def sentences(entries: dict[str, Any]) -> Iterator[str]:
    """Yield what was found, in sentences without a full stop."""
    for name in ("faithfulness", "sanity", "stability"):
        if entries[name] is not None:
            for key in ("sentence", "rivals"):
                text = str(entries[name].get(key) or "")
                if text:
                    yield text[0].upper() + text[1:]
    if entries["residual"] is not None:
        block = max(entries["residual"], key=lambda row: abs(row["change"]))
        change = f"{-block['change']:+.2f}"
        yield f"{block['block']} did most: without it the score changes by {change}"
    for name, makers in (("agreement", "methods"), ("members", "members")):
        if entries[name] is not None:
            mean = entries[name]["mean_spearman"]
            count = len(entries[name]["maps"])
            yield f"Maps of {count} {makers} have a mean rank correlation of {mean:.2f}"


def tables(entries: dict[str, Any]) -> dict[str, list[str]]:
    """Return what was found that takes several lines, by name."""
    found = {}
    if entries["residual"]:
        found["Blocks"] = [
            f"{row['block']}: {row['share']:.0%} of the sum its own, score "
            f"{-row['change']:+.2f} without it"
            + (" (shortcut is a projection)" if row["projection"] else "")
            for row in entries["residual"]
        ]
    if entries["maps"]:
        found["More maps"] = list(entries["maps"].values())
    return found


def _stable(
    classifier: Classifier, found: Explanation, progress: Callable[[str], Progress]
) -> tuple[dict[str, Any], dict[str, Saliency]]:
    """Return what small changes, other methods and members make of the map.

    Entries of the document, and maps of where methods, or members, disagree.
    """
    from napari_resonance.saliency.stability import (
        agreement,
        of_members,
        of_methods,
        stability,
    )

    method, layer = found.options.method, found.options.layer
    repeats = stability(classifier, found, progress=progress("stability: "))
    others = [name for name in _COMPARED if name != method]
    maps = {method: found.saliency}
    maps |= of_methods(classifier, found, others, progress=progress("agreement: "))
    entries: dict[str, Any] = {"stability": repeats.to_json()}
    compared = {"agreement": agreement(maps)}
    has_members = len(classifier.heads.weights) > 1
    if has_members and method == "gradcam" and layer is None:
        compared["members"] = agreement(of_members(classifier, found))
    entries |= {name: one.to_json() for name, one in compared.items()}
    return entries, {f"spread_{name}": one.spread for name, one in compared.items()}


def _faithful(
    classifier: Classifier, found: Explanation, version: str, progress: Progress
) -> tuple[Explanation, dict[str, Any]]:
    from napari_resonance.saliency.faithfulness import faithfulness

    measured = faithfulness(
        classifier,
        found,
        version="full" if version == "full" else "quick",
        progress=progress,
    )
    entry = measured.to_json()
    saliency = replace(found.saliency, faithfulness=entry)
    return replace(
        found,
        saliency=saliency,
        prediction=replace(found.prediction, saliency=saliency),
        forwards=found.forwards + measured.forwards,
    ), entry
