"""Searches by one objective: the same method again and again, with other randomness."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.benchmarks import Benchmark
from common.progress import Progress
from search.cells import cell_space, index_of
from search.choices import Architecture, Choices
from search.constraints import Cost, Limit, counts, within
from search.driver import PATIENCE, Shorter, drive
from search.latency import Latency
from search.methods.base import Method
from search.objective import Objective
from search.records import Found, found


@dataclass(frozen=True)
class Plan:
    """A `Plan` holds what all methods have in common. `cells` is the name of the cells to choose from, `limits` are on
    the student.

    `latency` is there where it is limited.
    """

    benchmark: Benchmark
    cells: str
    limits: tuple[Limit, ...]
    runs: int
    budget: int
    latency: Latency | None = None


def space_of(plan: Plan, chosen: Sequence[int], objective: Objective) -> Choices:
    """The chosen cells that the objective can evaluate and that keep the limits. Raises BadUsage where none does."""
    among = sorted(set(chosen) & set(objective.cells))
    costs: dict[str, Cost] = {**counts(plan.benchmark.skeleton)}
    if plan.latency:
        costs["latency"] = plan.latency.of
    space = plan.benchmark.space
    return cell_space(within(among, plan.limits, costs, space), objective.sees, space)


def settings(method: Method, objective: Objective, plan: Plan, space: Choices) -> dict[str, Any]:
    """Return all that decides what is found, as a file of settings has it."""
    return {
        "benchmark": plan.benchmark.name,
        "objective": objective.name,
        "method": method.label,
        "reference": method.reference,
        "fields": asdict(method),
        "evaluation": objective.settings,
        "cells": plan.cells,
        "limits": {one.what: one.most for one in plan.limits},
        **({"latency": asdict(plan.latency)} if plan.latency else {}),
        "allowed": len(space.allowed),
        "functions": len(set(space.classes)),
        "runs": plan.runs,
        "budget": None if method.exhaustive else plan.budget,
        "patience": PATIENCE,
    }


def search(method: Method, objective: Objective, plan: Plan, space: Choices) -> list[Found]:
    """The runs of a method; run n draws from its own stream, keyed by the method's name and n."""

    def evaluating(by: Objective) -> Callable[[Architecture], float | None]:
        return lambda architecture: by.evaluate(index_of(architecture, plan.benchmark.space))

    first = objective.shorter if method.glimpses else None
    shorter = Shorter(evaluating(first), first.length / objective.length) if first else None

    done = []
    runs = 1 if method.exhaustive else plan.runs
    with Progress(f"{method.label} by {objective.name} on {plan.benchmark.name}", runs, "searches") as bar:
        for run in range(runs):
            asking = method.search(space, random.Random(f"{method.label} {run}"))
            budget = None if method.exhaustive else plan.budget
            trace = drive(asking, space, evaluating(objective), budget, shorter)
            done.append(found(run, trace, space, plan.benchmark, objective))
            bar.advance(1, failed=trace.answer is None)
    return done
