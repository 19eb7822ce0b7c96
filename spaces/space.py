"""What every space is to whoever scores, searches or judges its architectures: an order, an equivalence, a builder.

Tables and columns call an architecture of either space a cell, and know it by its index.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from common.errors import BadUsage, unknown

if TYPE_CHECKING:
    from torch import nn

    from spaces.draw import Draw

SEES = ("function", "relus", "executed", "parameters", "cell")
"""What a score can depend on, coarsest first; each level's classes refine those of the level before."""


class Architecture(Protocol):
    """A member of a space: prints as its text."""

    @property
    def index(self) -> int:
        """Its place in the order of the space."""
        ...


class Skeleton(ABC):
    """The sizes that the networks of a benchmark have in common, and the closed-form counts that follow from them.

    Subclass as a frozen dataclass.
    """

    channels: int
    """Of the stem's output; stages double them."""
    classes: int
    size: int
    """Side of the input in pixels."""

    @property
    def width(self) -> int:
        """Channels of the last stage, which is the length of the pooled features."""
        return 4 * self.channels

    @property
    @abstractmethod
    def described(self) -> str:
        """How large networks are, behind `networks of`."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """All that can change a score, as its identity holds it."""

    def small(self) -> Skeleton:
        """For the same architecture in a network of 3 channels."""
        return replace(cast("Any", self), channels=3)

    def thin(self) -> Skeleton:
        """For the same architecture in a network of 1 channel on images of 3 x 3 pixels."""
        return replace(cast("Any", self), channels=1, size=3)

    @abstractmethod
    def count_parameters(self, architecture: Any) -> int:
        """All parameters."""

    @abstractmethod
    def count_multiply_adds(self, architecture: Any) -> int:
        """Multiply-adds of all convolutions and the classifier for one image."""

    @abstractmethod
    def count_layers(self, architecture: Any) -> int:
        """Convolutions and the classifier."""

    @abstractmethod
    def most_parameters(self) -> int:
        """Those of the largest architecture of the space."""


@runtime_checkable
class Member(Protocol):
    """A network that says which member of a space it is: with its counts, and with its smaller forms."""

    cell: Any
    skeleton: Skeleton

    def rebuilt(self, skeleton: Any, draw: Draw) -> nn.Module:
        """The network of the same architecture on another skeleton, of another draw."""
        ...


Build = Callable[[Any, Any, "Draw", str], "nn.Module"]
"""The network of an architecture on its space's skeleton, of a draw of weights, that executes what its readers see."""


class Space(ABC):
    """A set of architectures with an order. Subclass as a frozen dataclass without fields: spaces travel to workers.

    A space says its name, its choices, what its architectures are and how their networks are made. Everything else
    follows, unless the space knows better: architectures are in the lexicographic order of their choices, and no two
    are equal.
    """

    name: str
    called: str = "architectures"
    """What several of its architectures are called in messages."""
    sets: tuple[str, ...] = ("all", "functions")
    """Names of sets of architectures; `all` and `functions`, one of each, are in every space."""
    choices: tuple[tuple[str, ...], ...]
    """At each position what there is to choose from: an architecture is a choice at each."""
    backbones: tuple[str, ...] = ("own",)
    """The ways in which networks are made."""
    cell_based = False
    """Whether an architecture is a cell of operations on edges, which can be drawn and taken apart."""
    batched = False
    """Whether several architectures can run as one network: then there is an `engine`."""

    def __len__(self) -> int:
        """How many architectures there are."""
        return math.prod(map(len, self.choices))

    @abstractmethod
    def at(self, index: int) -> Any:
        """The architecture of an index. Raises BadUsage where there is none."""

    def resolve(self, text: str) -> int:
        """The index of an architecture given as index or text. Raises BadUsage that says what is malformed."""
        text = text.strip()
        if re.fullmatch(r"[+-]?\d+", text, re.ASCII):
            return int(self.at(int(text)).index)
        indices = _indices(self)
        if text not in indices:
            raise unknown(f"architecture of the space {self.name}", text, indices)
        return indices[text]

    def chosen(self, index: int) -> tuple[int, ...]:
        """The number of the choice at each position. Raises BadUsage where there is no such index."""
        if not 0 <= index < len(self):
            raise BadUsage(f"index {index} is out of range: the space {self.name} has 0 to {len(self) - 1}")
        numbers = []
        for choices in reversed(self.choices):
            index, number = divmod(index, len(choices))
            numbers.append(number)
        return tuple(reversed(numbers))

    def index_of(self, chosen: tuple[int, ...]) -> int:
        """The index of the architecture of these choices."""
        index = 0
        for number, choices in zip(chosen, self.choices, strict=True):
            index = index * len(choices) + number
        return index

    def cell_set(self, name: str) -> tuple[int, ...]:
        """Indices of a named set, ascending. Raises BadUsage for another name."""
        if name not in self.sets:
            raise unknown(f"set of {self.called}", name, self.sets)
        return tuple(self.members("function") if name == "functions" else range(len(self)))

    def form(self, index: int, sees: str) -> Hashable:
        """Equal for two architectures exactly when they are the same at a level of `SEES`."""
        return index

    def representatives(self, sees: str) -> Sequence[int]:
        """For every architecture the lowest index in its class: those that are equal to what `sees` them."""
        return _representatives(self, sees)

    def members(self, sees: str) -> Mapping[int, tuple[int, ...]]:
        """The architectures of each class, ascending, under its representative."""
        return _members(self, sees)

    def graph_features(self, index: int) -> dict[str, float]:
        """What can be read off an architecture's graph, by name; nothing where it has none to speak of."""
        return {}

    @abstractmethod
    def builder(self, backbone: str) -> Build:
        """How networks are made."""

    def engine(self, skeleton: Any, draw: Draw) -> Any:
        """What runs several architectures of a draw as one network, where the space is `batched`."""
        raise NotImplementedError(f"the space {self.name} runs architectures one at a time")


@cache
def _indices(space: Space) -> dict[str, int]:
    return {str(space.at(index)): index for index in range(len(space))}


@cache
def _representatives(space: Space, sees: str) -> tuple[int, ...]:
    if sees not in SEES:
        raise unknown("level of equivalence", sees, SEES)
    first: dict[Hashable, int] = {}
    return tuple(first.setdefault(space.form(index, sees), index) for index in range(len(space)))


@cache
def _members(space: Space, sees: str) -> dict[int, tuple[int, ...]]:
    classes: dict[int, list[int]] = {}
    for index, representative in enumerate(space.representatives(sees)):
        classes.setdefault(representative, []).append(index)
    return {representative: tuple(indices) for representative, indices in classes.items()}
