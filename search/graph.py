"""What a student is cut out of: a network with gates, and what any choice of gates leaves of it."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import nn


class Student(Protocol):
    """A network smaller than the teacher's. Equal students are equal, hashable and travel to workers."""

    @property
    def label(self) -> str:
        """Short and unambiguous within a study."""
        ...

    @property
    def parameters(self) -> int: ...

    @property
    def multiply_adds(self) -> int:
        """Of one image."""
        ...

    def record(self) -> dict[str, Any]:
        """All that defines it, for its identity."""
        ...

    def build(self, seed: int, init: str) -> nn.Module:
        """The network at its initialisation, on the CPU."""
        ...


class Graph(Protocol):
    """A teacher's graph with a gate on each element that can be cut. Tensors are [gates], in the order of `names`."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def parameters(self) -> int:
        """The teacher's."""
        ...

    def record(self) -> dict[str, Any]:
        """All that defines it, but for its gates."""
        ...

    def prices(self) -> torch.Tensor:
        """c_e of the penalty, by what closing the element saves; the dearest is 1."""
        ...

    def settled(self, before: torch.Tensor, after: torch.Tensor, budget: int) -> torch.Tensor:
        """`after` without what no student within the budget can use, and in the scale in which gates compare."""
        ...

    def student(self, gates: torch.Tensor) -> Student:
        """What open gates leave."""
        ...

    def kept(self, gates: torch.Tensor) -> list[str]:
        """The names of what the student has."""
        ...

    def smallest(self) -> int:
        """Parameters of the smallest student. Raises BadUsage where there is none."""
        ...

    def network(self, seed: int, init: str) -> Gated:
        """With all gates open, at an initialisation that is no student's."""
        ...

    def rivals(self, found: Student, budget: int, count: int, rng: random.Random) -> dict[str, list[Student]]:
        """By the kinds of `RIVALS`, nearest to `found` in parameters, none above `budget`; at most `count` random."""
        ...


class Gated(nn.Module, ABC):
    """The network of a graph, and its gates."""

    graph: Graph
    gates: nn.Parameter

    @abstractmethod
    def forward(self, images: torch.Tensor) -> Any:
        """An `Output`. Where a gate is 0 it is not in the graph of gradients."""

    @property
    def open(self) -> tuple[str, ...]:
        """The names whose gate is not exactly 0."""
        return tuple(name for name, gate in zip(self.graph.names, self.gates.tolist(), strict=True) if gate)

    def weights(self) -> list[nn.Parameter]:
        """All parameters but the gates."""
        return [parameter for name, parameter in self.named_parameters() if name != "gates"]


def of_scale_one(gates: torch.Tensor) -> torch.Tensor:
    """The open gates with root mean square 1."""
    opened = gates[gates > 0]
    return gates / opened.square().mean().sqrt() if len(opened) else gates


def nearest(students: list[Student], parameters: int, budget: int) -> list[Student]:
    """Of those within the budget the one whose parameters are nearest, the larger of two; none where none is."""
    within = [student for student in students if student.parameters <= budget]
    return sorted(within, key=lambda s: (abs(s.parameters - parameters), -s.parameters, s.label))[:1]
