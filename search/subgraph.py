"""Cut a student out of a teacher's graph: gates that an L1 penalty closes while the network imitates the teacher.

    min over weights W and gates a >= 0 of  mean_x T^2 KL(teacher(x; T) || student(x; W, a, T)) + lambda sum_e c_e a_e

after Gu & Tresp (ECAI 2020, arXiv 2001.11612), whose granularity and schedule are not published: a reconstruction. c_e
is a choice's number of weights over the largest. The penalty is met by proximal steps, so that gates reach exactly 0;
a gate at 0 stays there, and with it goes what no longer lies on a path from input to output. A common factor of all
gates changes nothing in a network whose cells are followed by batch norms, so the gates that are open keep their root
mean square at 1: else all would shrink and none be chosen. Lambda grows until the student fits the budget; the last
path is never cut. Classes of images are not looked at.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from common.errors import BadUsage
from distill.losses import kd
from distill.recipes import Recipe
from distill.training import Answers, optimiser
from images.stream import Stream
from search.gates import Choice, GatedNetwork, as_cell, connected, on_paths
from spaces.nb201 import KERNEL, Cell
from spaces.skeleton import Skeleton, count_parameters


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

    cell: Cell
    parameters: int
    steps: int
    choices: tuple[Choice, ...]
    gates: list[list[float]]
    """Of every choice after each step."""
    penalties: list[float]
    """Lambda at each step."""
    losses: list[float]


def costs(choices: Sequence[Choice]) -> torch.Tensor:
    """c_e: weights of a choice over those of the largest; a tenth for those that have none."""
    sizes = [KERNEL[choice.operation] ** 2 if choice.operation in KERNEL else 0 for choice in choices]
    return torch.tensor([max(size / max(*sizes, 1), 0.1) for size in sizes])


def shrunk(gates: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """The proximal operator of sum by_e |a_e| on a >= 0: max(0, a_e - by_e)."""
    return (gates - by).clamp(min=0)


def kept(choices: Sequence[Choice], before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """`after`, less what has lost its path, but never without a path: of those that were just closed the largest are
    opened again at what they were `before`, one by one, until one leads through. All [choices]."""
    after = after.clone()
    for number in before.argsort(descending=True).tolist():
        if connected(_open(choices, after)):
            break
        if after[number] == 0:
            after[number] = before[number]
    left = set(on_paths(_open(choices, after)))
    return after * torch.tensor([float(choice in left) for choice in choices])


def _open(choices: Sequence[Choice], gates: torch.Tensor) -> list[Choice]:
    return [choice for choice, gate in zip(choices, gates.tolist(), strict=True) if gate]


def derived(choices: Sequence[Choice], gates: torch.Tensor) -> Cell:
    """The cell of the largest open gate on each edge, without what then lies on no path."""
    largest: dict[int, tuple[float, Choice]] = {}
    for choice, gate in zip(choices, gates.tolist(), strict=True):
        if gate > largest.get(choice.position, (0.0, choice))[0]:
            largest[choice.position] = (gate, choice)
    return as_cell(on_paths(choice for _, choice in largest.values()))


def select(
    network: GatedNetwork,
    stream: Stream,
    answers: Answers,
    recipe: Recipe,
    budget: int,
    schedule: Schedule | None = None,
    watch: Callable[[int], None] | None = None,
) -> Selection:
    """Train weights and gates side by side until the student's parameters fit `budget`.

    Weights follow the recipe's optimiser at its first learning rate, with its weight decay, which gates do not have.
    Raises BadUsage for a budget that no connected student meets, and where the steps were too few.
    """
    schedule = schedule or Schedule()
    skeleton = recipe.skeleton
    least = smallest(network.choices, skeleton)
    if budget < least:
        raise BadUsage(f"no student of this graph has {budget:,} parameters or fewer: the smallest has {least:,}")
    sgd = optimiser(network.weights(), recipe)
    price = costs(network.choices)
    history = Selection(Cell(()), 0, 0, network.choices, [], [], [])
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
            _close(network, price, schedule.gate_rate * gradient / unit, schedule.gate_rate * penalty)
        history.gates.append(network.gates.tolist())
        history.penalties.append(penalty)
        history.losses.append(loss.item())
        if watch is not None:
            watch(step + 1)
        cell = derived(network.choices, network.gates.detach())
        if (size := count_parameters(cell, skeleton)) <= budget and step >= schedule.warm:
            return Selection(cell, size, step + 1, network.choices, history.gates, history.penalties, history.losses)
    raise BadUsage(
        f"after {schedule.steps} steps the student still has {size:,} parameters, more than {budget:,}: "
        "give it more steps or a penalty that grows faster"
    )


@torch.no_grad()
def _close(network: GatedNetwork, price: torch.Tensor, downhill: torch.Tensor, penalty: float) -> None:
    """One proximal step of the open gates, then their root mean square back to 1."""
    before = network.gates.detach().cpu()
    after = kept(network.choices, before, shrunk(before - downhill, penalty * price) * (before > 0))
    network.gates.copy_(after / after[after > 0].square().mean().sqrt())


def smallest(choices: Sequence[Choice], skeleton: Skeleton) -> int:
    """Parameters of the smallest cell with a path that the choices hold."""
    by_edge: dict[int, list[Choice]] = {}
    for choice in choices:
        by_edge.setdefault(choice.position, []).append(choice)
    cheapest = [min(of_edge, key=lambda c: KERNEL.get(c.operation, 0)) for of_edge in by_edge.values()]
    sizes = [
        count_parameters(as_cell(part), skeleton)
        for size in range(1, len(cheapest) + 1)
        for part in itertools.combinations(cheapest, size)
        if connected(part)
    ]
    if not sizes:
        raise BadUsage("these choices have no path from the cell's input to its output")
    return min(sizes)
