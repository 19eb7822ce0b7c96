"""Cut a student out of a teacher's graph: gates that an L1 penalty closes while the network imitates the teacher.

    min over weights W and gates a >= 0 of  mean_x T^2 KL(teacher(x; T) || student(x; W, a, T)) + lambda sum_e c_e a_e

after Gu & Tresp (ECAI 2020, arXiv 2001.11612), whose granularity and schedule are not published: a reconstruction. c_e
is what a gate's element costs. The penalty is met by proximal steps, so that gates reach exactly 0; a gate at 0 stays
there, and with it goes what no longer lies on a path from input to output. Lambda grows until what is open is a student
that fits the budget; the last path is never cut. Classes of images are not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from common.errors import BadUsage
from distill.losses import kd
from distill.recipes import Recipe
from distill.training import Answers, optimiser
from images.stream import Stream
from search.subgraph.graph import Gated, Student


@dataclass(frozen=True)
class Schedule:
    """`warm` steps with open gates, then lambda grows by `growth` a step; at most `steps` in all.

    Rate and lambda are in units of the gates' root mean square gradient so far, so that neither depends on how far
    apart student and teacher are: at lambda 1 the penalty pulls a gate as hard as the loss does.
    """

    warm: int = 100
    growth: float = 2e-3
    steps: int = 1500
    gate_rate: float = 0.02


@dataclass(frozen=True)
class Selection:
    """The student that was cut out, and how the gates got there."""

    student: Student
    gates: list[list[float]]
    """Of every element after each step."""
    penalties: list[float]
    """Lambda at each step."""
    losses: list[float]

    @property
    def steps(self) -> int:
        """The number of steps it took."""
        return len(self.gates)


def shrunk(gates: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """The proximal operator of sum by_e |a_e| on a >= 0: max(0, a_e - by_e)."""
    return (gates - by).clamp(min=0)


def select(
    network: Gated,
    stream: Stream,
    answers: Answers,
    recipe: Recipe,
    budget: int,
    schedule: Schedule | None = None,
    watch: Callable[[int], None] | None = None,
) -> Selection:
    """Train weights and gates side by side until what is open is a student whose parameters fit `budget`.

    Weights follow the recipe's optimiser at its first learning rate, with its weight decay, which gates do not have.
    Raises BadUsage for a budget that no connected student meets, and where the steps were too few.
    """
    schedule = schedule or Schedule()
    graph = network.graph
    if budget < (least := graph.smallest()):
        raise BadUsage(f"no student of this graph has {budget:,} parameters or fewer: the smallest has {least:,}")
    sgd = optimiser(network.weights(), recipe)
    prices = graph.prices()
    gates: list[list[float]] = []
    penalties: list[float] = []
    losses: list[float] = []
    squares = 0.0
    for step in range(schedule.steps):
        images, _ = stream.batch(step)
        penalty = schedule.growth * max(0, step - schedule.warm)
        network.train()
        loss = kd(answers(step, images), network(images).logits, recipe.temperature)
        sgd.zero_grad()
        network.gates.grad = None
        loss.backward()
        sgd.step()
        if step >= schedule.warm:
            assert network.gates.grad is not None  # backward filled it
            gradient = network.gates.grad.detach().cpu()  # of a closed gate 0: it is not in the graph
            squares += gradient.square().mean().item()
            unit = math.sqrt(squares / (step - schedule.warm + 1)) or 1.0
            _close(network, schedule.gate_rate * gradient / unit, schedule.gate_rate * penalty * prices, budget)
        gates.append(network.gates.tolist())
        penalties.append(penalty)
        losses.append(loss.item())
        if watch is not None:
            watch(step + 1)
        left = network.gates.detach().cpu()
        student = graph.student(left)
        # of several operations on an edge a student has one: until the others are closed, nothing is decided
        decided = len(graph.kept(left)) == len(network.open)
        if decided and student.parameters <= budget and step >= schedule.warm:
            return Selection(student, gates, penalties, losses)
    why = f"the student still has {student.parameters:,} parameters, more than {budget:,}"
    if student.parameters <= budget:
        why = f"{len(network.open)} gates are still open, of which a student has {len(graph.kept(left))}"
    raise BadUsage(f"after {schedule.steps} steps {why}: give it more steps or a penalty that grows faster")


@torch.no_grad()
def _close(network: Gated, downhill: torch.Tensor, penalty: torch.Tensor, budget: int) -> None:
    """One proximal step of the open gates."""
    before = network.gates.detach().cpu()
    after = shrunk(before - downhill, penalty) * (before > 0)
    network.gates.copy_(network.graph.settled(before, after, budget))
