"""What a network of one's own says in place of a skeleton: its counts, taken of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from probe.module.subject import Subject
from probe.needs import NotApplicable
from spaces.space import Skeleton


@dataclass(frozen=True)
class Alone:
    """The architecture of a network of one's own: the only one there is."""

    index: int = 0


class ModuleSkeleton(Skeleton):
    """The counts of a network: its parameters, frozen ones too, its layers, its multiply-adds by PyTorch's counter.

    Multiply-adds are those of one image in evaluation: of convolutions, linear layers and the products of attention.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    @property
    def described(self) -> str:
        return f"{type(self._subject.network).__name__}"

    def record(self) -> dict[str, Any]:
        raise NotApplicable("a network of one's own has no record")

    def count_parameters(self, architecture: Any) -> int:
        return sum(parameter.numel() for parameter in self._subject.untouched.parameters.values())

    def count_multiply_adds(self, architecture: Any) -> int:
        return self._subject.multiply_adds

    def count_layers(self, architecture: Any) -> int:
        return len(self._subject.layers)

    def most_parameters(self) -> int:
        raise NotApplicable("it counts parameters against the largest network of a space, and this one is of none")
