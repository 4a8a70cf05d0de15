"""Labels that are numbers, as spreadsheets and data frames spell them: 1 and 1.0."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

# A data frame writes its whole column so where one value is missing. A number that
# begins with 0 is a code, and so are others that are more than a whole number.
_WHOLE = re.compile(r"(-?[1-9][0-9]*|0)\.0+")


def known_as(names: Iterable[str], labels: Sequence[str]) -> dict[str, str]:
    """Return which label each name is, of those that are known.

    A name that is no label but a whole number is the label that is the same number,
    where only one is: ``1.0`` is ``1``, unless ``1.0`` is a label itself.

    Parameters
    ----------
    names
        As a table has them.
    labels
        Of a classifier.

    Returns
    -------
    dict
        Names that are no label are left as they are.

    """
    spelled = defaultdict(list)
    for label in labels:
        spelled[_plain(label)].append(label)
    known = {}
    for name in names:
        same = spelled[_plain(name)]
        known[name] = same[0] if name not in labels and len(same) == 1 else name
    return known


def merged(names: Iterable[str]) -> dict[str, str]:
    """Return names by which each number is one class: ``1`` and ``1.0`` are ``1``.

    Where no number is spelled in two ways, all names are left as they are.
    """
    plain = {name: _plain(name) for name in names}
    if len(set(plain.values())) == len(plain):
        return {name: name for name in plain}
    return plain


def told(renamed: dict[str, str]) -> list[str]:
    """Return in a sentence which names were taken for others; nothing where none."""
    others = [f"{a!r} as {b!r}" for a, b in sorted(renamed.items()) if a != b]
    return [f"labels that are whole numbers: {', '.join(others)}"] if others else []


def _plain(name: str) -> str:
    match = _WHOLE.fullmatch(name)
    return match[1] if match else name
