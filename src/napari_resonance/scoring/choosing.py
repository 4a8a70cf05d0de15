"""What of a plan is scored: the series that a rule chooses, and regions of scans."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from napari_resonance.errors import ReadError
from napari_resonance.scoring.inputs import Center, Input
from napari_resonance.scoring.plan import Item, Plan
from napari_resonance.scoring.rules import Facts, parse_rule


def chosen(plan: Plan, rule: str, inputs: Sequence[Input]) -> Plan:
    """Return the plan for the scans that a rule chooses, once for each region.

    Files that cannot be read are kept whatever the rule says, for nothing is known of
    them. What the rule leaves out is listed with the reason.

    Parameters
    ----------
    plan
        All scans.
    rule
        As `parse_rule` takes it; empty for all scans.
    inputs
        With the regions.

    Raises
    ------
    ScoringError
        If the rule cannot be understood.
    ReadError
        If it fits no scan.

    """
    items, left_out = list(plan.items), list(plan.left_out)
    if rule:
        fits = parse_rule(rule)
        items = [item for item in plan.items if item.refused or fits(facts_of(item))]
        if plan.items and not items:
            raise ReadError(
                f"none of the {len(plan.items)} scans fits the rule {rule!r}",
                source=plan.root,
                remedy="See what is there with --dry-run without the rule",
            )
        kept = {item.key for item in items}
        left_out += [
            (item.source, "left out by the rule")
            for item in plan.items
            if item.key not in kept
        ]
    regions = _regions(inputs)
    if regions:
        items = [region for item in items for region in _each(item, regions)]
    return replace(plan, items=tuple(items), left_out=tuple(left_out))


def facts_of(item: Item) -> Facts:
    """Return what a rule can ask of a scan."""
    facts: dict[str, str | float] = {
        "modality": item.modality,
        "description": item.description,
        "source": item.source,
    }
    facts |= zip(("columns", "rows", "slices"), item.shape[:3], strict=False)
    facts["volumes"] = item.volumes
    return {name: value for name, value in facts.items() if value != ""}


def _regions(inputs: Sequence[Input]) -> dict[Path, list[Center | None]]:
    if all(one.center_mm is None for one in inputs):
        return {}
    regions: dict[Path, list[Center | None]] = {}
    for one in inputs:
        regions.setdefault(one.path.absolute(), []).append(one.center_mm)
    return regions


def _each(item: Item, regions: dict[Path, list[Center | None]]) -> Iterator[Item]:
    """Yield a scan once for each region that was given for a path it lies under."""
    file = Path(item.files[0])
    centers = [c for path in (file, *file.parents) for c in regions.get(path, ())]
    for center in dict.fromkeys(centers):
        if center is None:
            yield item
        else:
            text = f"{item.key}\0{center}"
            key = hashlib.sha256(text.encode()).hexdigest()[:32]
            yield replace(item, key=key, center_mm=center)
