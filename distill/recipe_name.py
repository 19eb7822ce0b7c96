"""The name of a recipe and of its accuracy tables, read and written in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class RecipeName:
    """`<base>[-short|-rehearsal][-executed][:field=value...][-chosen]`.

    `base` is a benchmark, or `<benchmark>-small`. `short` is a tenth of the steps, distilled only, which BOHB looks at
    first; `rehearsal` goes through everything in seconds, to numbers that mean nothing; `executed` trains cells as the
    benchmark executes them (docs/decisions/equivalence.md); `variant`, with its colons, sets fields of the recipe;
    `chosen` are tables of cells that somebody chose: they are trained as the others are, but are no sample.
    """

    base: str
    short: bool = False
    rehearsal: bool = False
    executed: bool = False
    variant: str = ""
    chosen: bool = False

    @staticmethod
    def parse(text: str) -> RecipeName:
        """What a text says; whatever it does not understand stays in `base`."""
        found = re.fullmatch(r"([^:]*?)(-short|-rehearsal)?(-executed)?((?::[^:]*?)*)(-chosen)?", text)
        assert found is not None  # the base takes everything
        base, length, executed, variant, chosen = found.groups()
        return RecipeName(
            base, length == "-short", length == "-rehearsal", executed is not None, variant, chosen is not None
        )

    def __str__(self) -> str:
        length = "-short" if self.short else "-rehearsal" if self.rehearsal else ""
        return f"{self.base}{length}{'-executed' * self.executed}{self.variant}{'-chosen' * self.chosen}"

    @property
    def of_chosen(self) -> RecipeName:
        """The same of cells that somebody chose."""
        return replace(self, chosen=True)

    @property
    def of_sample(self) -> RecipeName:
        """The same of the sample."""
        return replace(self, chosen=False)


OWN_TEACHER = re.compile(r"(.+\.py):([A-Za-z_]\w*)")
"""A teacher of one's own, `FILE.py:FUNCTION`: a function without arguments that returns a `torch.nn.Module`."""


def is_own(teacher: str) -> bool:
    """Whether a teacher's name is of one of one's own."""
    return OWN_TEACHER.fullmatch(teacher) is not None


def short_name(teacher: str) -> str:
    """`FILE.py:FUNCTION` without the folder of the file: what records say, since folders differ between machines."""
    said = OWN_TEACHER.fullmatch(teacher)
    return f"{Path(said[1]).name}:{said[2]}" if said else teacher
