"""Which scans to score, as people write it: ``modality=MR and slices>=20``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from napari_resonance.errors import ScoringError

Facts = Mapping[str, str | float]
"""What is known of a scan, by name. What is not known is not there."""

NAMES = ("modality", "description", "source", "columns", "rows", "slices", "volumes")
"""The names a rule may speak of."""

_NUMBERS = {"columns", "rows", "slices", "volumes"}
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<sign><=|>=|!=|=|<|>|~|\(|\)) |
    "(?P<double>[^"]*)" | '(?P<single>[^']*)' |
    (?P<word>[^\s<>=!~()"']+)
    )""",
    re.VERBOSE,
)
_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
_Test = Callable[[Facts], bool]
_DEEPEST = 50  # parentheses and "not" within each other


@dataclass(frozen=True)
class Rule:
    """A rule that was read: call it with the facts of a scan.

    Parameters
    ----------
    text
        As it was written.

    """

    text: str
    _test: _Test

    def __call__(self, facts: Facts) -> bool:
        """Tell whether a scan is meant."""
        return self._test(facts)


def parse_rule(text: str) -> Rule:
    """Read a rule; nothing of it is ever run as code.

    Comparisons ``name sign value`` are joined by ``and``, ``or``, ``not`` and
    parentheses. Signs are ``= != < <= > >=`` and ``~``, which asks whether a text
    holds another. Case does not matter. Values with spaces stand in quotes. A
    comparison with what is not known of a scan does not hold.

    Parameters
    ----------
    text
        For example ``modality=MR and (slices>=20 or description~"t1 mprage")``.

    Raises
    ------
    ScoringError
        If it cannot be understood; the message says where.

    """
    reader = _Reader(text)
    test = reader.either()
    reader.expect_end()
    return Rule(text, test)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


class _Reader:
    """Reads a rule from left to right: one method a level of binding."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0

    def either(self) -> _Test:
        """Read tests joined by "or"."""
        tests = [self._all()]
        while self._take("or"):
            tests.append(self._all())
        return lambda facts: any(test(facts) for test in tests)

    def expect_end(self) -> None:
        """Refuse what is left over."""
        if self._next < len(self._tokens):
            self._refuse("'and' or 'or' is missing before")

    def _all(self) -> _Test:
        tests = [self._one()]
        while self._take("and"):
            tests.append(self._one())
        return lambda facts: all(test(facts) for test in tests)

    def _one(self) -> _Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse("too much is nested at")
        if self._take("not"):
            refused = self._one()
            test: _Test = lambda facts: not refused(facts)  # noqa: E731
        elif self._take("("):
            test = self.either()
            if not self._take(")"):
                self._refuse("')' is missing before")
        else:
            test = self._comparison()
        self._depth -= 1
        return test

    def _comparison(self) -> _Test:
        name = self._token("word", f"one of {', '.join(NAMES)} is needed instead of")
        if name.text.lower() not in NAMES:
            self._next -= 1
            self._refuse(f"only {', '.join(NAMES)} can be asked for, not")
        sign = self._token("sign", "a sign such as = or >= is needed instead of")
        if sign.text in "()":
            self._next -= 1
            self._refuse("a sign such as = or >= is needed instead of")
        value = self._token("word text", "a value is needed instead of")
        return self._test(name.text.lower(), sign.text, value)

    def _test(self, name: str, sign: str, value: _Token) -> _Test:
        if name in _NUMBERS:
            try:
                wanted = float(value.text)
                order = _ORDERS[sign]
            except (ValueError, KeyError):
                self._next -= 1
                self._refuse(f"{name} is compared with a number by = < or >, not")
            return lambda facts: name in facts and order(float(facts[name]), wanted)
        text = value.text.casefold()
        tests: dict[str, Callable[[str], bool]] = {
            "=": lambda known: known == text,
            "!=": lambda known: known != text,
            "~": lambda known: text in known,
        }
        if sign not in tests:
            self._next -= 1
            self._refuse(f"{name} is a text, compared by = != or ~, not with")
        holds = tests[sign]
        return lambda facts: name in facts and holds(str(facts[name]).casefold())

    def _take(self, wanted: str) -> bool:
        if self._next == len(self._tokens):
            return False
        token = self._tokens[self._next]
        found = token.kind != "text" and token.text.lower() == wanted
        self._next += found
        return found

    def _token(self, kinds: str, otherwise: str) -> _Token:
        if self._next == len(self._tokens):
            self._refuse(otherwise)
        token = self._tokens[self._next]
        if token.kind not in kinds.split():
            self._refuse(otherwise)
        self._next += 1
        return token

    def _split(self) -> Iterator[_Token]:
        place, text = 0, self._text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise self._error("a quote is not closed, or a sign is unknown", place)
            kind = match.lastgroup or ""
            kind_of = kind if kind in ("sign", "word") else "text"
            yield _Token(kind_of, match[kind], match.start(kind))
            place = match.end()

    def _refuse(self, why: str) -> None:
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            raise self._error(f"{why} {token.text!r}", token.place)
        raise self._error(f"{why} its end", len(self._text))

    def _error(self, why: str, place: int) -> ScoringError:
        return ScoringError(
            f"the rule {self._text!r} cannot be understood: {why} "
            f"(character {place + 1})",
            remedy="Write it like: modality=MR and slices>=20",
        )
