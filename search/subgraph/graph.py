"""The interfaces of the subgraph search: a `Graph` is the teacher with gates, a `Student` is what open gates leave."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import nn


class Student(Protocol):
    """A `Student` is a network smaller than the teacher. Students of equal fields are equal; they can be hashed
    and pickled."""

    @property
    def label(self) -> str:
        """A short name, unambiguous within a study."""
        ...

    @property
    def parameters(self) -> int:
        """The number of its trainable parameters."""
        ...

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of a forward pass of one image."""
        ...

    def record(self) -> dict[str, Any]:
        """All fields that define the student, as JSON, for the identity of its trainings."""
        ...

    def build(self, seed: int, init: str) -> nn.Module:
        """The network at its initialisation, on the CPU."""
        ...


class Graph(Protocol):
    """A `Graph` is a teacher with one gate on each element that can be cut. Tensors of gates are ordered as `names`."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the elements, one for each gate."""
        ...

    @property
    def parameters(self) -> int:
        """The number of the teacher's parameters."""
        ...

    def record(self) -> dict[str, Any]:
        """All fields that define the graph, as JSON, without the state of its gates."""
        ...

    def prices(self) -> torch.Tensor:
        """The factor c_e of each gate in the penalty, by what closing the gate saves; the largest factor is 1."""
        ...

    def settled(self, before: torch.Tensor, after: torch.Tensor, budget: int) -> torch.Tensor:
        """The gates after a step, tidied: those that no student within the budget can use are 0, the others are scaled
        so that they compare. `before`, the gates before the step, decide what stays where the step would close all.
        """
        ...

    def student(self, gates: torch.Tensor) -> Student:
        """The student that the open gates leave."""
        ...

    def kept(self, gates: torch.Tensor) -> list[str]:
        """The names of the elements that the student has."""
        ...

    def smallest(self) -> int:
        """The number of parameters of the smallest student. Raises BadUsage where there is no student."""
        ...

    def network(self, seed: int, init: str) -> Gated:
        """The teacher's network with all gates open, initialised by a draw that no student has."""
        ...

    def rivals(self, found: Student, budget: int, count: int, rng: random.Random) -> dict[str, list[Student]]:
        """The networks to compare with, by the kinds of `RIVALS` (search/subgraph/words.py): the nearest to `found` in
        parameters, none above `budget`; at most `count` random ones."""
        ...


class Gated(nn.Module, ABC):
    """A `Gated` is the network of a graph with its gates."""

    graph: Graph
    gates: nn.Parameter

    @abstractmethod
    def forward(self, images: torch.Tensor) -> Any:
        """The `Output` of a batch. A gate of 0 is left out of the autograd graph."""

    @property
    def open(self) -> tuple[str, ...]:
        """The names of the elements whose gate is not exactly 0."""
        return tuple(name for name, gate in zip(self.graph.names, self.gates.tolist(), strict=True) if gate)

    def weights(self) -> list[nn.Parameter]:
        """All parameters but the gates."""
        return [parameter for name, parameter in self.named_parameters() if name != "gates"]


def of_scale_one(gates: torch.Tensor) -> torch.Tensor:
    """The gates divided by the root mean square of those above 0."""
    opened = gates[gates > 0]
    return gates / opened.square().mean().sqrt() if len(opened) else gates


def nearest(students: list[Student], parameters: int, budget: int) -> list[Student]:
    """The student within the budget that is nearest in parameters, as a list of one; of two as near, the larger one.
    The list is empty where no student is within the budget."""
    within = [student for student in students if student.parameters <= budget]
    return sorted(within, key=lambda s: (abs(s.parameters - parameters), -s.parameters, s.label))[:1]
