"""Formulas as trees: printed as text, `sub(log(student.map_std), both.cka)`, and read back as the same tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from common.errors import BadUsage, unknown
from search.formula.names import LEAVES
from search.formula.operations import ARITY, COMMUTATIVE

LONGEST = 2000
"""Characters of a formula that is read."""
DEEPEST = 20
"""Operations in a row of a formula that is read."""
_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*|[(),]|\S)")


class Formula(NamedTuple):
    """A statistic, or an operation on the parts; make one of two parts with `made`, so that equal ones are equal."""

    name: str
    parts: tuple[Formula, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.parts))})" if self.parts else self.name

    @property
    def size(self) -> int:
        """Operations and statistics."""
        return 1 + sum(part.size for part in self.parts)

    @property
    def depth(self) -> int:
        """Operations in a row, at most; 0 of a statistic."""
        return 1 + max(part.depth for part in self.parts) if self.parts else 0

    def subtrees(self) -> Iterator[tuple[tuple[int, ...], Formula]]:
        """Itself and all parts of parts, each behind the way to it: which part to take, again and again."""
        yield (), self
        for number, part in enumerate(self.parts):
            for way, found in part.subtrees():
                yield (number, *way), found

    def with_part(self, way: tuple[int, ...], other: Formula) -> Formula:
        """The formula with another part at the end of a way."""
        if not way:
            return other
        parts = [part.with_part(way[1:], other) if at == way[0] else part for at, part in enumerate(self.parts)]
        return made(self.name, *parts)


def made(name: str, *parts: Formula) -> Formula:
    """The formula of an operation; where the order of its parts does not matter they are in that of their texts."""
    return Formula(name, tuple(sorted(parts, key=str)) if name in COMMUTATIVE else parts)


def parse(text: str) -> Formula:
    """The formula of a text. Raises BadUsage that says what is wrong with it."""
    if len(text) > LONGEST:
        raise BadUsage(f"a formula of {len(text):,} characters: at most {LONGEST:,} are read")
    reader = _Reader(text)
    found = reader.formula(DEEPEST)
    if reader.tokens:
        raise reader.wrong(f"'{reader.tokens[0]}' behind its end")
    return found


class _Reader:
    """Takes tokens off a text, one after the other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.findall(text)

    def wrong(self, what: str) -> BadUsage:
        return BadUsage(f"formula '{self.text}': {what}")

    def take(self, wanted: str) -> str:
        if not self.tokens:
            raise self.wrong(f"it ends where {wanted} is expected")
        return self.tokens.pop(0)

    def expect(self, token: str) -> None:
        if (found := self.take(f"'{token}'")) != token:
            raise self.wrong(f"'{found}' where '{token}' is expected")

    def formula(self, left: int) -> Formula:
        name = self.take("a statistic or an operation")
        if name in LEAVES:
            return Formula(name)
        if name not in ARITY:
            raise unknown("statistic or operation of a formula", name, [*LEAVES, *ARITY])
        if not left:
            raise self.wrong(f"more than {DEEPEST} operations in a row")
        self.expect("(")
        parts = [self.formula(left - 1)]
        for _ in range(ARITY[name] - 1):
            self.expect(",")
            parts.append(self.formula(left - 1))
        self.expect(")")
        return made(name, *parts)
