"""Subgroups of cases: by scanner, sex, age band, and by columns of the labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from napari_resonance.scan import Scan
from napari_resonance.training.cases import Case
from napari_resonance.training.patients import header_of

# Columns that may say who somebody is, or are free text, make no subgroups.
_PRIVATE = re.compile(
    r"name|patient|birth|mrn|accession|note|comment|initials|mail|phone|address|"
    r"post_?code|(^|_)(id|dob|ssn|nhs|zip)($|_)"
)
_MOST_VALUES = 12
_OLDEST = 80  # above, an age alone may tell who somebody is


def facts_of(scan: Scan, case: Case) -> dict[str, str]:
    """Return what files and labels say of a case that others may share with it."""
    header = header_of(case.files[0] if case.files else case.paths[0])
    sex = header.get("PatientSex", "").upper()
    maker = str(scan.meta.get("manufacturer", "")).strip().upper().split()
    machine = str(scan.meta.get("manufacturer_model_name", "")).strip()
    facts = {
        "scanner": " ".join([*maker[:1], machine]).strip(),
        "sex": sex if sex in ("F", "M", "O") else "",
        "age": header.get("PatientAge", ""),
    }
    return with_groups(facts, case)


def with_groups(facts: Mapping[str, str], case: Case) -> dict[str, str]:
    """Return what files say of a case, and what its row among the labels adds."""
    found = {**facts, **{n.strip().lower(): text for n, text in case.groups.items()}}
    return {**found, "age": age_band(found.get("age", ""))}


def age_band(text: str) -> str:
    """Return an age's decade, ``"40-49"`` for ``"045Y"``, 45 or ``"45.5"``."""
    found = re.fullmatch(r"\s*(\d{1,3})(?:\.\d+)?\s*([YMWD]?)\s*", text.upper())
    if not found:
        return text if re.fullmatch(r"\d+-\d+|\d+\+", text) else ""
    # Ages in months, weeks or days are those of children.
    years = int(found[1]) if found[2] in ("", "Y") else 0
    if years >= _OLDEST:
        return f"{_OLDEST}+"
    return f"{years // 10 * 10}-{years // 10 * 10 + 9}"


def groups_of(facts: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the value of each case by subgroup, where cases share values.

    Columns whose values hardly repeat, or may name a patient, are left out.
    """
    groups = {}
    for name in sorted({name for known in facts for name in known}):
        values = [str(known.get(name, "")) for known in facts]
        distinct = Counter(v for v in values if v)
        few = 1 < len(distinct) <= min(_MOST_VALUES, len(values) / 2)
        if few and not _PRIVATE.search(name):
            groups[name] = values
    return groups
