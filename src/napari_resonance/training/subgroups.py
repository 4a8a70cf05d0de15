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
# Above 89 an age alone may tell who somebody is (45 CFR 164.514(b)(2)).
_OLDEST = 90
_UNITS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def facts_of(scan: Scan, case: Case) -> dict[str, str]:
    """Return what files say of a case that others may share; nothing that names it."""
    header = header_of(case.files[0] if case.files else case.paths[0])
    sex = header.get("PatientSex", "").upper()
    maker = str(scan.meta.get("manufacturer", "")).strip().upper().split()
    machine = str(scan.meta.get("manufacturer_model_name", "")).strip()
    facts = {
        "modality": scan.modality,
        "scanner": " ".join([*maker[:1], machine]).strip(),
        "sex": sex if sex in ("F", "M", "O") else "",
        "age": age_band(_age(header)),
    }
    return {name: value for name, value in facts.items() if value}


def _age(header: Mapping[str, str]) -> str:
    """Return an age as it is written, or in years at the time of the study."""
    born, seen = header.get("PatientBirthDate", ""), header.get("StudyDate", "")
    dated = re.fullmatch(r"\d{8}", born) and re.fullmatch(r"\d{8}", seen)
    if header.get("PatientAge") or not dated:
        return header.get("PatientAge", "")
    return str((int(seen) - int(born)) // 10_000)


def with_groups(facts: Mapping[str, str], case: Case) -> dict[str, str]:
    """Return what files say of a case, and what its row among the labels adds."""
    found = {**facts, **{n.strip().lower(): text for n, text in case.groups.items()}}
    return {**found, "age": age_band(found.get("age", ""))}


def age_band(text: str) -> str:
    """Return an age's decade, ``"40-49"`` for ``"045Y"``, 45 or ``"45.5"``."""
    found = re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*([YMWD]?)\s*", text.upper())
    if not found:
        return text if re.fullmatch(r"\d+-\d+|\d+\+", text) else ""
    years = int(float(found[1]) * _UNITS[found[2]])
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
