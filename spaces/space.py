"""What every space is to whoever scores, searches or judges its architectures: an order, an equivalence, a builder.

Tables and columns call an architecture of either space a cell, and know it by its index.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn

    from spaces.supernet import Supernet


class Architecture(Protocol):
    """A member of a space: prints as its text."""

    @property
    def index(self) -> int:
        """Its place in the order of the space."""
        ...


class Macro(ABC):
    """The sizes that the networks of a benchmark have in common, and the closed-form counts that follow from them."""

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

    @abstractmethod
    def small(self) -> Macro:
        """For the same architecture in a network of 3 channels."""

    @abstractmethod
    def thin(self) -> Macro:
        """For the same architecture in a network of 1 channel on images of 3 x 3 pixels."""

    @abstractmethod
    def count_parameters(self, architecture: Any) -> int:
        """Trainable parameters."""

    @abstractmethod
    def count_multiply_adds(self, architecture: Any) -> int:
        """Multiply-adds of all convolutions and the classifier for one image."""

    @abstractmethod
    def count_layers(self, architecture: Any) -> int:
        """Convolutions and the classifier."""

    @abstractmethod
    def most_parameters(self) -> int:
        """Those of the largest architecture of the space."""


Build = Callable[[Any, "Supernet", str], "nn.Module"]
"""The network of an architecture, of a draw of weights, that executes what its readers see (spaces/equivalence.py)."""


class Space(ABC):
    """A set of architectures with an order. Subclass as a frozen dataclass without fields: spaces travel to workers."""

    name: str
    sets: tuple[str, ...]
    """Names of sets of architectures; `all` and `functions`, one of each, are in every space."""
    choices: tuple[tuple[str, ...], ...]
    """At each position what there is to choose from: an architecture is a choice at each."""
    backbones: tuple[str, ...] = ("own",)
    """The ways in which networks are made."""

    @abstractmethod
    def __len__(self) -> int:
        """How many architectures there are."""

    @abstractmethod
    def at(self, index: int) -> Any:
        """The architecture of an index. Raises BadUsage where there is none."""

    @abstractmethod
    def resolve(self, text: str) -> int:
        """The index of an architecture given as index or text. Raises BadUsage that says what is malformed."""

    @abstractmethod
    def chosen(self, index: int) -> tuple[int, ...]:
        """The number of the choice at each position."""

    @abstractmethod
    def index_of(self, chosen: tuple[int, ...]) -> int:
        """The index of the architecture of these choices."""

    @abstractmethod
    def cell_set(self, name: str) -> tuple[int, ...]:
        """Indices of a named set, ascending. Raises BadUsage for another name."""

    @abstractmethod
    def representatives(self, sees: str) -> Sequence[int]:
        """For every architecture the lowest index in its class: those that are equal to what `sees` them."""

    @abstractmethod
    def members(self, sees: str) -> Mapping[int, tuple[int, ...]]:
        """The architectures of each class, ascending, under its representative."""

    @abstractmethod
    def builder(self, backbone: str) -> Build:
        """How networks are made."""
