"""The contract of a search method, and what their hyper-parameters must be."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from common.errors import BadUsage
from common.spec import label
from search.choices import Choices
from search.driver import Asking


@dataclass(frozen=True)
class Method(ABC):
    """A `Method` searches a space. To write one: subclass, decorate with `@dataclass(frozen=True)`, set `name` and
    `reference`, write `search`.

    Fields are hyper-parameters. A method knows architectures and their scores, and nothing of where scores come from:
    it cannot see an accuracy that it is not searching by. All its randomness is `draw`.
    """

    name: ClassVar[str]
    reference: ClassVar[str]
    exhaustive: ClassVar[bool] = False
    """Whether it evaluates everything, once and in one way, whatever the budget and the seed."""
    glimpses: ClassVar[bool] = False
    """Whether it looks at shorter trainings first."""

    @property
    def label(self) -> str:
        """Name and the fields that are not at their defaults, as on the command line: `evolve:population=50`."""
        return label(self.name, self)

    @abstractmethod
    def search(self, space: Choices, draw: random.Random) -> Asking:
        """Ask for architectures, better ones as it learns, until nobody answers."""


def require(method: Method, **holds: bool) -> None:
    """Refuse a method with a field that is out of range: raises BadUsage for the first that does not hold."""
    for field, is_fine in holds.items():
        if not is_fine:
            raise BadUsage(f"'{method.label}': {field} {getattr(method, field)} is out of range")
