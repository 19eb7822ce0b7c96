"""Ways of training M students, measured side by side in one run: seconds of a step for all M, and ratios.

Students of one cell can run as one network (`stack`); students of different cells share the batch and the
teacher's reading (`lock-step`); and the teacher's answers can be kept from an earlier reading (`answers kept`), as
`distill run` keeps them. Noise images and the recipe's own teacher untrained: time does not depend on what they hold.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from distill.recipes import Recipe, recipe
from distill.runs import visiting_order
from distill.teachers import spec
from distill.training import Answers, Group, Lockstep, live, remembered
from images.stream import Resident, Stream
from spaces.draw import Draw
from spaces.nb201.cell import cell_at
from spaces.nb201.network import CellNetwork
from spaces.stack import Stack

STEPS = 64
"""Length of the streams, which come round again."""


Key = TypeVar("Key")


@dataclass(frozen=True)
class Way:
    """A way of training all students: median seconds of one step of all of them, and its ratio to the first way."""

    name: str
    cells: str
    seconds: float
    ratio: float


class _Noise:
    """What a stream asks of a data set."""

    def __init__(self, size: int) -> None:
        self.name, self.size, self.mean, self.std = "noise", size, (0.5,) * 3, (0.25,) * 3


def _stream(plan: Recipe, device: torch.device) -> Stream:
    rng = np.random.default_rng(0)
    count, size = plan.batch * STEPS, plan.skeleton.size
    images = rng.integers(0, 256, size=(count, 3, size, size), dtype=np.uint8)
    resident = Resident.of(images, rng.integers(0, plan.skeleton.classes, size=count), 0, device)
    nothing = np.zeros((count, 2), np.int64), np.zeros(count, bool)
    return Stream(_Noise(size), resident, np.arange(count), *nothing, plan.batch)


def measure(benchmark: str, students: int, device: str, rounds: int) -> list[Way]:
    """Median over `rounds` of a step of each way, the ways taking turns; the first one is what the others save on."""
    torch.set_num_threads(1)
    where = torch.device(device)
    plan = replace(recipe(benchmark), epochs=1, epoch_steps=STEPS)
    stream = _stream(plan, where)
    teacher = spec(plan.teacher.removeprefix("random:")).build().to(where).eval().requires_grad_(False)
    answers = [live(teacher)]
    kept = [remembered(torch.randn(STEPS * plan.batch, plan.skeleton.classes, device=where), plan.batch)]
    different = [cell_at(index) for index in visiting_order()[:students]]
    one = different[0]

    def network(number: int, same: bool) -> CellNetwork:
        draw = Draw(number, plan.init, device=where)
        return CellNetwork(one if same else different[number], plan.skeleton, draw).train()

    def alone(number: int, same: bool) -> Lockstep:
        return Lockstep([Group(network(number, same), (plan.kd_weight,))], [stream], answers, plan)

    def together(same: bool) -> Lockstep:
        groups = [Group(network(number, same), (plan.kd_weight,)) for number in range(students)]
        return Lockstep(groups, [stream], answers, plan)

    def stacked(answers: list[Answers]) -> Lockstep:
        draws = [Draw(number, plan.init, device=where) for number in range(students)]
        group = Group(CellNetwork(one, plan.skeleton, Stack(draws)), (plan.kd_weight,) * students)
        return Lockstep([group], [stream], answers, plan)

    ways: dict[tuple[str, str], Sequence[Lockstep]] = {
        ("separate runs", "different"): [alone(number, False) for number in range(students)],
        ("lock-step", "different"): [together(False)],
        ("separate runs", "one"): [alone(number, True) for number in range(students)],
        ("lock-step", "one"): [together(True)],
        ("lock-step, stacked", "one"): [stacked(answers)],
        ("lock-step, stacked, answers kept", "one"): [stacked(kept)],
    }
    seconds = take_turns({key: _all(runs) for key, runs in ways.items()}, rounds, where)
    base = {cells: seconds["separate runs", cells] for cells in ("different", "one")}
    return [Way(name, cells, seconds[name, cells], seconds[name, cells] / base[cells]) for name, cells in ways]


def _all(runs: Sequence[Lockstep]) -> Callable[[], None]:
    def advance() -> None:
        for run in runs:
            run.step %= STEPS
            run.advance()

    return advance


def take_turns(ways: dict[Key, Callable[[], object]], rounds: int, device: torch.device) -> dict[Key, float]:
    """Median seconds of each, after one call that does not count."""
    times: dict[Key, list[float]] = {key: [] for key in ways}
    for number in range(rounds + 1):
        for key, advance in ways.items():
            start = time.perf_counter()
            advance()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if number:
                times[key].append(time.perf_counter() - start)
    return {key: statistics.median(values) for key, values in times.items()}
